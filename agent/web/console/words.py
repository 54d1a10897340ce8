"""How the console writes what others wrote: hostile text as what it is, times as people say them."""

from __future__ import annotations

import re
from datetime import datetime

from agent.reports.summary import duration

#: Colours, cursor moves and window titles of a terminal: shown as one sign, they are noise on a page.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")

#: What moves, hides or turns around the text beside it: controls, bidi marks, zero widths, line separators.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The text with every sign that could deceive a reader made one that they see."""
    return _UNSEEN.sub(_name, _ANSI.sub("␛", text.replace("\r\n", "\n")))


def _name(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def shown(value: object) -> object:
    """What a template puts into a page; markup of our own passes as it is."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value)
    return "" if value is None else value


def clock(at: datetime) -> str:
    """`21 Nov 18:22:05 UTC`."""
    return f"{at:%-d %b %H:%M:%S} UTC"


def day(at: datetime) -> str:
    """`21 Nov 2026, 18:22 UTC`."""
    return f"{at:%-d %b %Y, %H:%M} UTC"


def ago(at: datetime, now: datetime) -> str:
    """`3m 20s ago`; days beyond two of them."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def left(until: datetime, now: datetime) -> str:
    """`12m 5s left`, or by how much it is over."""
    seconds = (until - now).total_seconds()
    return f"{span(seconds)} left" if seconds >= 0 else f"{span(-seconds)} over"


def span(seconds: float) -> str:
    """A span of time, coarser the longer it is."""
    if seconds >= 172_800:
        return f"{int(seconds // 86_400)} d"
    return duration(float(int(seconds))) if seconds >= 1 else "0s"


def plain(word: str) -> str:
    """A word of ours as people write it: `step_failed` is `step failed`."""
    return word.replace("_", " ")


def long(seconds: float) -> str:
    """A span that was chosen: `15 min`, `4 h`, `1 d 12 h`."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    left, said = round(seconds), []
    for name, size in units:
        many, left = divmod(left, size)
        if many:
            said.append(f"{many} {name}")
    return " ".join(said) or "0 s"
