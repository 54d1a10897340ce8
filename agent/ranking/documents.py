"""A Markdown file as the ranking sees it: name, title, headings, text; made once per revision."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.ranking.words import squeezed, words

#: What a word is worth by where it stands, and the usual number of words there (BM25F, Zaragoza 2004).
_NAME, _TITLE, _HEADS, _BODY, _CODE, _FOLDER = 6.0, 4.0, 2.5, 1.0, 0.4, 1.5
_USUAL_HEADS, _USUAL_BODY, _USUAL_CODE = 20.0, 350.0, 120.0
_LENGTH_COUNTS = 0.6
_SATURATION = 1.2

_HEADING = re.compile(r"^#{1,6}[ \t]+(.*)$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_LEAD = 700
_GENERAL = frozenset({"readme", "index", "_index"})


@dataclass(frozen=True, slots=True)
class Document:
    """One candidate. `shares` is how much of a word's whole weight the document earns, 0 to 1."""

    key: str
    name: frozenset[str]
    title: frozenset[str]
    folder: frozenset[str]
    lead: frozenset[str]
    shares: Mapping[str, float]
    squeezed_name: str
    squeezed_heads: frozenset[str]
    squeezed_text: str
    size: int
    is_general: bool


def document(key: str, path: str, text: str) -> Document:
    """Read a file; `key` is how the caller calls it, `path` tells its name and folder."""
    place = PurePosixPath(path)
    is_general = place.stem.lower() in _GENERAL and place.parent.name != ""
    name = place.parent.name if is_general else place.stem
    prose, code = _parts(text)
    heads = _HEADING.findall(prose)
    title = heads[0] if heads else name
    named, titled, headed = words(name), words(title), words(" ".join(heads))
    body, coded, folder = words(prose), words(code), words(place.parent.name)
    return Document(
        key=key,
        name=frozenset(named),
        title=frozenset(titled),
        folder=frozenset(folder),
        lead=frozenset(words(prose[:_LEAD])),
        shares=_shares(
            (named, _NAME),
            (titled, _TITLE),
            (headed, _HEADS / _stretch(len(headed), _USUAL_HEADS)),
            (body, _BODY / _stretch(len(body), _USUAL_BODY)),
            (coded, _CODE / _stretch(len(coded), _USUAL_CODE)),
            (folder, _FOLDER),
        ),
        squeezed_name=squeezed(name),
        squeezed_heads=frozenset(squeezed(head) for head in heads),
        squeezed_text=squeezed(text),
        size=len(body),
        is_general=is_general,
    )


def _parts(text: str) -> tuple[str, str]:
    """Prose, and what stands in fences."""
    parts = _FENCE.split(text)
    return "\n".join(parts[::2]), "\n".join(parts[1::2])


def _shares(*weighed: tuple[list[str], float]) -> dict[str, float]:
    total: dict[str, float] = {}
    for found, weight in weighed:
        for word, count in Counter(found).items():
            total[word] = total.get(word, 0.0) + weight * count
    return {word: weight / (_SATURATION + weight) for word, weight in total.items()}


def _stretch(length: int, usual: float) -> float:
    """A word in a long text says less than one in a short text."""
    return 1 - _LENGTH_COUNTS + _LENGTH_COUNTS * length / usual
