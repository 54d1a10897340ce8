"""The alert as the advisor reads it: JSON of bounded size, without characters that cannot be seen."""

from __future__ import annotations

import json
import unicodedata

from agent.domain.alert import Alert

_MAX_TITLE, _MAX_BODY, _MAX_FIELD = 1_000, 8_000, 500
_MAX_LABELS = 50
_CUT = " […]"
_KEPT = frozenset("\n\t")


def plain(text: str, limit: int) -> str:
    """At most so many characters; what cannot be seen (direction marks, zero widths) becomes a mark that can.

    Cut first: a text of a megabyte costs no more than what is kept of it.
    """
    kept = text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT
    return "".join(char if char in _KEPT or not _is_unseen(char) else "\ufffd" for char in kept)


def _is_unseen(char: str) -> bool:
    """Controls, format characters, halves of characters, private ones, and separators of lines."""
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def alert_text(alert: Alert) -> str:
    """The alert's own words by field; the caller has redacted them."""
    fields: dict[str, object] = {
        "source": plain(alert.source, _MAX_FIELD),
        "title": plain(alert.title, _MAX_TITLE),
        "body": plain(alert.body, _MAX_BODY),
        "service": plain(alert.service, _MAX_FIELD),
        "severity": alert.severity.value if alert.severity is not None else "",
        "urgency": alert.urgency.value if alert.urgency is not None else "",
        "priority": plain(alert.priority, _MAX_FIELD),
        "team": plain(alert.team, _MAX_FIELD),
        "environment": plain(alert.environment, _MAX_FIELD),
    }
    labels = list(alert.labels.items())[:_MAX_LABELS]
    fields["labels"] = {plain(key, _MAX_FIELD): plain(value, _MAX_FIELD) for key, value in labels}
    return json.dumps({key: value for key, value in fields.items() if value}, ensure_ascii=False, indent=1)
