"""What keeps redaction fast on hostile output: so many characters and so many masked places a text.

What lies beyond is replaced by a line that says so; it is never passed through unread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import re2

#: What one command may print is capped far below this by the sandbox.
MOST_CHARACTERS: Final = 1_000_000
#: Each place costs Python some 10 to 40 µs; ordinary output has a handful.
MOST_PLACES: Final = 1_000
#: A form may reach over the end of a line: of what stands so near to a cut nothing is shown.
_LINES_BEFORE_CUT: Final = 3

#: The sandbox's own cut may go through the middle of a secret: no form finds its halves.
_SANDBOX_CUT: Final = re2.compile(r"\S*\n… ([0-9]+) bytes left out …\n\S*")
LEFT_OUT: Final = " bytes left out …"


class Places:
    """Counts the places that are masked in one text, and cuts the text where they are too many."""

    def __init__(self, most: int = MOST_PLACES) -> None:
        self.left = most

    def take(self, count: int = 1) -> bool:
        """Whether so many more places may be masked."""
        self.left -= count
        return self.left >= 0

    def sub(self, pattern: re2._Regexp, replace: Callable[[re2._Match], str], text: str) -> str:
        """The text with every place replaced, up to the bound."""
        parts: list[str] = []
        done = 0
        for found in pattern.finditer(text):
            if not self.take():
                return cut("".join(parts) + text[done : found.start()], len(text) - found.start())
            parts += (text[done : found.start()], replace(found))
            done = found.end()
        return "".join(parts) + text[done:] if parts else text


def shortened(text: str, mask: str) -> str:
    """The text inside its bound, without the words that a cut went through."""
    if len(text) > MOST_CHARACTERS:
        text = cut(text[:MOST_CHARACTERS], len(text) - MOST_CHARACTERS)
    if LEFT_OUT in text:
        text = str(_SANDBOX_CUT.sub(lambda found: f"{mask}\n… {found[1]}{LEFT_OUT}\n{mask}", text))
    return text


def cut(kept: str, dropped: int) -> str:
    """Whole lines of what was kept, and a last line that tells how much is not shown."""
    end = len(kept)
    for _ in range(_LINES_BEFORE_CUT):
        end = max(kept.rfind("\n", 0, max(end, 0)), 0)
    lines = kept[: end + 1] if end else ""
    return (
        f"{lines}… {len(kept) - len(lines) + dropped} characters not shown: too much to look for secrets …\n"
    )
