"""How the incident's story looks in Slack: mrkdwn made from untrusted text, inside Slack's limits.

mrkdwn is not Markdown: `*bold*`, `<url|label>`, and `& < >` escaped. Alert texts and command output may hold
`<!channel>`, links that lie about where they go, or backticks; here they become text that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import re2

from agent.ports import ThreadCard

# Slack recommends at most 4,000 characters of text and cuts at 40,000 (chat.postMessage, "text").
MESSAGE_LIMIT = 3_900
# Block Kit reference: a header's text; a section field takes 2,000, ours stay short to be read at a glance.
HEADER_LIMIT = 150
FIELD_LIMIT = 300
# A section takes 3,000, and all blocks of a message together about 13,000 (msg_blocks_too_long).
REASON_LIMIT = 2_000
URL_LIMIT = 1_000
# Four spaces at the start of a line say: show as it is (see `render_line`).
PREFORMATTED = "    "

STATUS_EMOJI = {
    "received": "🚨",
    "matched": "📋",
    "running": "▶️",
    "awaiting_approval": "✋",
    "verifying": "🔎",
    "resolved": "✅",
    "escalated": "🔴",
    "stood_down": "🧍",
    "ignored": "🔇",
    "stopped": "⛔",
    "resumed": "▶️",
}
_UNKNOWN_EMOJI = "•"

_ZERO_WIDTH = "\u200b"
_CONTROL = re2.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{9f}\x{2028}\x{2029}]")
_LONE_SURROGATE = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_BROADCAST = re2.compile(r"(?i)\B@(channel|here|everyone|group)\b")
_PLAIN_URL = re2.compile(r"(?i)https?://([a-z0-9._-]{1,253}|\[[0-9a-f:]{2,39}\])(:[0-9]{1,5})?([/?#][!-~]*)?")
_URL_BREAKERS = frozenset('<>|\\"`')

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """What Slack is given: `text` is the notification and the screen reader's text, beside the blocks."""

    text: str
    blocks: tuple[Json, ...] = ()


def clean(text: str) -> str:
    """The text without what no JSON or screen can show: control characters and halves of characters."""
    whole = text.translate(_LONE_SURROGATE).replace("\r\n", "\n").replace("\r", "\n")
    return str(_CONTROL.sub("", whole))


def escape(text: str) -> str:
    """Untrusted text as mrkdwn that mentions nobody, links nowhere and closes no code block."""
    entities = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    unfenced = entities.replace("``", f"`{_ZERO_WIDTH}`{_ZERO_WIDTH}")
    return _unbroadcast(unfenced)


def plain(text: str) -> str:
    """Untrusted text for a plain_text object (a header): one line, shown as it is."""
    one_line = " ".join(clean(text).split())
    unmarked = one_line.replace("<", f"<{_ZERO_WIDTH}")
    return _unbroadcast(unmarked)


def _unbroadcast(text: str) -> str:
    return str(_BROADCAST.sub(lambda found: f"@{_ZERO_WIDTH}{found.group(1)}", text))


def width(text: str) -> int:
    """Length as Slack may count it: UTF-16 units, so that an emoji counts twice rather than once."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int, *, shown: Callable[[str], str] = escape) -> str:
    """The text as `shown` makes it, at most `limit` wide; what does not fit is counted, not hidden."""
    whole = shown(text)
    if width(whole) <= limit:
        return whole
    reserve = width(_more(len(text)))
    keep = _longest(len(text), lambda size: width(shown(text[:size])) + reserve <= limit)
    return shown(text[:keep]) + _more(len(text) - keep)


def _more(left_out: int) -> str:
    return f"… ({left_out:,} more characters)"


def _longest(size: int, fits: Callable[[int], bool]) -> int:
    """The largest prefix that fits; a longer prefix is never narrower, so halving finds it."""
    low, high = 0, size
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def render_line(line: str) -> str:
    """One line of the story as mrkdwn.

    The line may carry an output block: text lines inside it that start with four spaces are shown
    as they are, in a code block that their content cannot close.
    """
    parts = []
    for is_block, rows in groupby(clean(line).split("\n"), lambda row: row.startswith(PREFORMATTED)):
        if is_block:
            parts.append("```\n" + escape("\n".join(row[4:] for row in rows)) + "\n```")
        else:
            parts.append(escape("\n".join(rows)))
    return "\n".join(parts)


def first_message(lines: Sequence[str], limit: int = MESSAGE_LIMIT) -> tuple[str, int]:
    """The text of a message with as many of the first lines as it holds, and how many those are.

    Messages part only between lines. A line that alone is too long for one is cut and says how many
    characters are missing.
    """
    text, count = "", 0
    for line in lines:
        shown = _fit_line(line, limit)
        if count and width(text) + 1 + width(shown) > limit:
            break
        text = f"{text}\n{shown}" if count else shown
        count += 1
    return text, count


def _fit_line(line: str, limit: int) -> str:
    text = clean(line)
    # Rendering shortens a row of a block by its four spaces at most, so no longer prefix can fit.
    most = min(len(text), (len(PREFORMATTED) + 1) * limit)
    if most == len(text) and width(whole := render_line(text)) <= limit:
        return whole
    reserve = width(_more(len(text))) + 1
    keep = _longest(most, lambda size: width(render_line(text[:size])) + reserve <= limit)
    head = render_line(text[:keep])
    gap = "\n" if head.endswith("```") else ""
    return f"{head}{gap}{_more(len(text) - keep)}"


def card_message(card: ThreadCard) -> Message:
    """The incident's root message: what it is, where it stands, why, and where to look."""
    card = _cleaned(card)
    blocks = [_header(card), _fields(card)]
    if card.reason.strip():
        blocks.append({"type": "section", "text": _mrkdwn(cut(card.reason, REASON_LIMIT))})
    links = _links(card)
    if links:
        blocks.append({"type": "context", "elements": [_mrkdwn(" · ".join(links))]})
    return Message(text=_card_text(card), blocks=tuple(blocks))


def _cleaned(card: ThreadCard) -> ThreadCard:
    """A field of nothing but control characters is an empty field."""
    return ThreadCard(**{each.name: clean(getattr(card, each.name)) for each in fields(card)})


def status_emoji(status: str) -> str:
    """The sign that a status is known by."""
    return STATUS_EMOJI.get(status, _UNKNOWN_EMOJI)


def _status_words(status: str) -> str:
    return status.replace("_", " ")


def _card_text(card: ThreadCard) -> str:
    facts = [each for each in (card.severity, card.service, card.progress) if each.strip()]
    tail = f" ({cut(', '.join(facts), FIELD_LIMIT)})" if facts else ""
    title = cut(" ".join(card.title.split()) or "(no title)", FIELD_LIMIT)
    status = cut(_status_words(card.status), FIELD_LIMIT)
    reason = f"\n{cut(card.reason, REASON_LIMIT)}" if card.reason.strip() else ""
    return f"{status_emoji(card.status)} {status}: {title}{tail}{reason}"


def _header(card: ThreadCard) -> Json:
    lead = f"{status_emoji(card.status)} "
    title = plain(card.title) or "(no title)"
    room = HEADER_LIMIT - width(lead)
    if width(title) > room:
        title = title[: _longest(len(title), lambda size: width(title[:size]) + 1 <= room)].rstrip() + "…"
    return {"type": "header", "text": {"type": "plain_text", "text": lead + title, "emoji": True}}


def _fields(card: ThreadCard) -> Json:
    status = f"{status_emoji(card.status)} {_status_words(card.status)}"
    named = (
        ("Status", status),
        ("Severity", card.severity),
        ("Service", card.service),
        ("Runbook", card.runbook),
        ("Progress", card.progress),
    )
    shown = [_mrkdwn(f"*{name}*\n{cut(value, FIELD_LIMIT)}") for name, value in named if value.strip()]
    return {"type": "section", "fields": shown}


def _links(card: ThreadCard) -> list[str]:
    named = (("Incident", card.url), ("Alert", card.source_url))
    return [shown for name, url in named if (shown := link(name, url))]


def link(name: str, url: str) -> str:
    """A link that names the host it leads to; what is no plain web address stays mere text."""
    if not url.strip():
        return ""
    # re2 raises on half characters (lone surrogates), which JSON can bring; an address is ASCII anyway.
    found = _PLAIN_URL.fullmatch(url) if url.isascii() else None
    target = url.replace("&", "&amp;")
    if found is None or len(target) > URL_LIMIT or _URL_BREAKERS & set(url):
        return f"{name}: {cut(url, FIELD_LIMIT)}"
    return f"<{target}|{name} ({escape(found.group(1))})>"


def _mrkdwn(text: str) -> Json:
    # verbatim: names such as @here or #channel in plain text are not turned into live ones (text object).
    return {"type": "mrkdwn", "text": text, "verbatim": True}
