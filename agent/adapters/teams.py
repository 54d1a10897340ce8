"""Microsoft Teams by a workflow that starts "When a Teams webhook request is received".

A workflow takes a message with one Adaptive Card (learn.microsoft.com/microsoftteams/platform/
webhooks-and-connectors/how-to/connectors-using). Every text stands in a TextRun, which knows no Markdown
(learn.microsoft.com/adaptive-cards/schema-explorer/text-run): it is shown as it is, and nothing in it is a
link. A message holds about 28 KB (learn.microsoft.com/connectors/teams, "Known issues and limitations").
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.adapters.hook_http import HookHttp
from agent.adapters.http import json_bytes
from agent.ports import Notification

#: With room for what Teams itself adds: users of webhooks have seen less than the 28 KB go through.
MAX_BYTES = 20_000

#: Elements that the oldest of today's clients know: RichTextBlock came with 1.2, and 1.4 is shown everywhere.
_VERSION = "1.4"

_CUT = "… (more at the link)"
_MAX_FACT, _MAX_FACTS, _MAX_LINKS, _MAX_SUBJECT = 500, 20, 5, 500


class Teams:
    """Implements ports.Notifier."""

    def __init__(self, name: str, url: str, *, timeout_s: float = 5.0) -> None:
        self._name = name
        self._http = HookHttp(f"hook {name}", url, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"Teams({self._name!r}, '***')"

    def notify(self, notification: Notification) -> None:
        """One card; a text that is too long for it is cut."""
        self._http.post(message(notification))


def message(notification: Notification) -> dict[str, object]:
    """What a workflow takes, never longer than it may be."""
    lines = notification.text.splitlines()
    made = _message(notification, lines)
    while len(json_bytes(made)) > MAX_BYTES and lines:
        lines = _shorter(lines)
        made = _message(notification, [*lines, _CUT])
    return made


def _shorter(lines: list[str]) -> list[str]:
    """Without the last quarter of its lines; of one line that is too long alone, the first half."""
    if len(lines) > 1:
        return lines[: len(lines) * 3 // 4]
    (line,) = lines
    return [line[: len(line) // 2]] if len(line) > 1 else []


def _message(notification: Notification, lines: Iterable[str]) -> dict[str, object]:
    card: dict[str, object] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": _VERSION,
        "msteams": {"width": "Full"},
        "body": [
            _block({"text": notification.subject[:_MAX_SUBJECT], "size": "Large", "weight": "Bolder"}),
            *(_block({"text": line}) for line in lines if line.strip()),
            *(
                _block({"text": f"{name[:_MAX_FACT]}: ", "weight": "Bolder"}, {"text": value[:_MAX_FACT]})
                for name, value in list(notification.facts.items())[:_MAX_FACTS]
            ),
        ],
        "actions": [
            {"type": "Action.OpenUrl", "title": words[:100], "url": url}
            for url, words in notification.links[:_MAX_LINKS]
        ],
    }
    content = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [content]}


def _block(*runs: dict[str, str]) -> dict[str, object]:
    return {
        "type": "RichTextBlock",
        "spacing": "Small",
        "inlines": [{"type": "TextRun", **run} for run in runs],
    }
