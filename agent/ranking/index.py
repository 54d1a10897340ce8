"""An inverted index over documents that takes single changes in: one alert against 10,000 in milliseconds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.ranking.documents import Document

Shares = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Posting:
    """Where a word stands: places of documents, and the share that each earns for it."""

    places: npt.NDArray[np.int32]
    shares: Shares


class Index:
    """Documents by key. A document's place stays its own; the place of a removed one is used again."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self._documents: list[Document | None] = []
        self._places: dict[str, int] = {}
        self._free: list[int] = []
        self._postings: dict[str, _Posting] = {}
        self._in_names: Counter[str] = Counter()
        self._by_squeezed: dict[str, set[str]] = {}
        self._rarities: dict[str, float] = {}
        self._name_rarities: dict[str, float] = {}
        self._fill(list(documents))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: str) -> Document:
        document = self._documents[self._places[key]]
        assert document is not None
        return document

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def _fill(self, documents: Sequence[Document]) -> None:
        """Many at once: lists first, arrays at the end."""
        found: defaultdict[str, tuple[list[int], list[float]]] = defaultdict(_empty)
        for document in documents:
            place = self._settle(document)
            for word, share in document.shares.items():
                places, shares = found[word]
                places.append(place)
                shares.append(share)
        for word, (places, shares) in found.items():
            self._postings[word] = _Posting(
                np.array(places, dtype=np.int32), np.array(shares, dtype=np.float32)
            )

    def put(self, document: Document) -> None:
        """Add a document, or put it in the place of its older revision."""
        old: Mapping[str, float] = {}
        if document.key in self._places:
            old = self[document.key].shares
            self._unsettle(document.key)
        place = self._settle(document)
        for word in old.keys() - document.shares.keys():
            self._drop(word, place)
        for word, share in document.shares.items():
            if word not in old:
                self._append(word, place, share)
            elif old[word] != share:
                posting = self._postings[word]
                posting.shares[posting.places == place] = share

    def remove(self, key: str) -> None:
        """Forget a document."""
        shares = self[key].shares
        place = self._unsettle(key)
        for word in shares:
            self._drop(word, place)

    def _append(self, word: str, place: int, share: float) -> None:
        here = _Posting(np.array([place], dtype=np.int32), np.array([share], dtype=np.float32))
        self._postings[word] = _joined(self._postings.get(word), here)

    def _drop(self, word: str, place: int) -> None:
        posting = self._postings[word]
        kept = posting.places != place
        if kept.any():
            self._postings[word] = _Posting(posting.places[kept], posting.shares[kept])
        else:
            del self._postings[word]

    def _unsettle(self, key: str) -> int:
        """Free the document's place; the next one that settles takes it."""
        self._rarities.clear()
        self._name_rarities.clear()
        document = self[key]
        place = self._places.pop(key)
        self._documents[place] = None
        self._free.append(place)
        self._in_names.subtract(document.name | document.title)
        for squeezed in _names(document):
            self._by_squeezed[squeezed].discard(key)
        return place

    def _settle(self, document: Document) -> int:
        self._rarities.clear()
        self._name_rarities.clear()
        place = self._free.pop() if self._free else len(self._documents)
        if place == len(self._documents):
            self._documents.append(None)
        self._documents[place] = document
        self._places[document.key] = place
        self._in_names.update(document.name | document.title)
        for squeezed in _names(document):
            self._by_squeezed.setdefault(squeezed, set()).add(document.key)
        return place

    def rarity(self, word: str) -> float:
        """How much a word tells apart: few documents have a rare one (BM25's inverse frequency)."""
        found = self._rarities.get(word)
        return found if found is not None else self._remembered(self._rarities, word, self._having(word))

    def rarity_in_names(self, word: str) -> float:
        """The same over names and titles alone."""
        found = self._name_rarities.get(word)
        if found is not None:
            return found
        return self._remembered(self._name_rarities, word, self._in_names.get(word, 0))

    def _having(self, word: str) -> int:
        posting = self._postings.get(word)
        return len(posting.places) if posting is not None else 0

    def _remembered(self, rarities: dict[str, float], word: str, having: int) -> float:
        """Until something changes; words that no document has are not kept, however many are asked."""
        found = _rarity(len(self), having)
        if having:
            rarities[word] = found
        return found

    def earned(self, words: Iterable[str]) -> Shares:
        """How much of the words' rarity each place's document earns, as a share of the whole, 0 to 1."""
        total = np.zeros(len(self._documents), dtype=np.float32)
        whole = 0.0
        for word in set(words):
            rarity = self.rarity(word)
            whole += rarity
            posting = self._postings.get(word)
            if posting is not None:
                total[posting.places] += np.float32(rarity) * posting.shares
        return total / np.float32(whole) if whole else total

    def best(self, earned: Shares, count: int) -> list[str]:
        """Keys of the documents that earned most."""
        count = min(count, len(earned))
        if not count:
            return []
        places = np.argpartition(-earned, count - 1)[:count]
        found = [self._documents[int(place)] for place in places]
        return [document.key for document in found if document is not None]

    def named(self, squeezed: str) -> Iterable[str]:
        """Keys of the documents that are called so, or have a heading that says so."""
        return self._by_squeezed.get(squeezed, ())

    def at(self, key: str) -> int:
        """The document's place in what `earned` gives."""
        return self._places[key]


def _empty() -> tuple[list[int], list[float]]:
    return [], []


def _names(document: Document) -> frozenset[str]:
    return document.squeezed_heads | {document.squeezed_name}


def _joined(old: _Posting | None, new: _Posting) -> _Posting:
    if old is None:
        return new
    return _Posting(np.concatenate([old.places, new.places]), np.concatenate([old.shares, new.shares]))


def _rarity(documents: int, having: int) -> float:
    return math.log(1 + (documents - having + 0.5) / (having + 0.5))
