"""Words of texts and identifiers, cut to stems: `KubePodCrashLooping` and "pods crash" meet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

#: More of a text says nothing more about what it is about; a title of a megabyte costs nothing.
MAX_CHARACTERS = 64 * 1024

# Character classes without nesting: linear, whatever the text is.
_WORD = re.compile(r"[A-Za-z0-9]+")
_PIECE = re.compile(r"[A-Z]+[a-z]*|[a-z]+|[0-9]+")
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_NOT_SQUEEZED = bytes(set(range(128)) - set(b"abcdefghijklmnopqrstuvwxyz0123456789"))

_SILENT = frozenset(
    {
        *("the", "an", "of", "to", "in", "is", "are", "on", "for", "and", "or", "with", "that", "this", "it"),
        *("be", "by", "from", "at", "as", "has", "have", "not", "was", "will", "can", "if", "more", "than"),
        *("its", "been", "when", "which", "there", "any", "all", "into", "no", "do", "does"),
    }
)
#: Longest first; a light cut that never joins two words, only forms of one (after Porter, 1980).
_SUFFIXES = ("ation", "able", "ment", "ing", "ied", "ie", "ed", "er", "or", "ly")


def words(text: str) -> list[str]:
    """Stems in order, identifiers taken apart, templates such as `{{ $value }}` left out."""
    return [stem for word in _WORD.findall(_plain(text)) for stem in stems(word)]


def _plain(text: str) -> str:
    plain = text[:MAX_CHARACTERS]
    return _TEMPLATE.sub(" ", plain) if "{{" in plain else plain


def squeezed(text: str) -> str:
    """Letters and digits alone, in lower case: `kube-pod_crash` is `kubepodcrash`."""
    plain = text[:MAX_CHARACTERS].lower().encode("ascii", "ignore")
    return plain.translate(None, _NOT_SQUEEZED).decode("ascii")


@lru_cache(maxsize=1 << 16)
def stems(word: str) -> tuple[str, ...]:
    """The stems that one word of letters and digits holds."""
    found = (piece.lower() for whole in _PIECE.findall(word) for piece in _pieces(whole))
    return tuple(_stem(piece) for piece in found if len(piece) > 1 and piece not in _SILENT)


def _pieces(word: str) -> Iterator[str]:
    """`HTTPServer` is `HTTP` and `Server`; `Pod` stays whole."""
    capitals = len(word) - len(word.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    if 1 < capitals < len(word):
        yield word[: capitals - 1]
        yield word[capitals - 1 :]
    else:
        yield word


def _stem(word: str) -> str:
    if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui":
        word = word[:-1]
    if len(word) > 4:
        word = _cut(word)
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _cut(word: str) -> str:
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            left = word[: -len(suffix)]
            if len(left) > 3 and left[-1] == left[-2] and left[-1] not in "ls":
                left = left[:-1]
            return f"{left}y" if suffix in ("ie", "ied") else left
    return word
