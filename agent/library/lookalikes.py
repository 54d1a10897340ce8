"""Lines that a reader takes for a key while the parser does not: foreign letters, odd marks, near misses."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence

from agent.library.keys import MAX_KEY_WORDS

#: Cyrillic and Greek letters that look like Latin ones; accents and full-width forms are taken off by NFKD.
_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХѴаеѕіјорсухԁԛԝһυνΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικορτχ‐‑‒–—−ı",
    "ABESIJKMHOPCTYXVaesijopcyxdqwhuvABEZHIKMNOPTYXaikoptx------i",
)
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NO_WORD = re.compile(r"[\W_]+")
_LONGEST = 60
_LIKE = 0.8


def folded(line: str) -> str:
    """The line in the Latin letters that a reader sees in it."""
    if line.isascii():
        return line
    apart = unicodedata.normalize("NFKD", line.translate(_LATIN))
    return "".join(character for character in apart if not unicodedata.combining(character)).translate(_LATIN)


def meant(line: str, keys: Sequence[str]) -> str | None:
    """The one of the keys that a reader takes the line's first words for, if they look like it."""
    words, colon, _ = folded(line.strip()).partition(":")
    if not colon or len(words) > _LONGEST:
        return None
    name = " ".join(_NO_WORD.sub(" ", _BRACKETS.sub(" ", words)).lower().split())
    if not name or len(name.split()) > MAX_KEY_WORDS:
        return None
    near = difflib.get_close_matches(name, keys, n=1, cutoff=_LIKE)
    return near[0] if near else None
