"""Titles that mean the same thing, put together by the rare words that they share; always in the same way."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.ranking.words import words

#: Cosine of rare words from which two titles are one cluster: half of what they say is the same.
_ALIKE = 0.5
#: Longer titles are cut: what they are about stands in front.
_TITLE_MAX = 300


@dataclass(frozen=True, slots=True)
class Cluster:
    """Pages of one kind: the places of its members, its most frequent title, the words they share."""

    members: tuple[int, ...]
    title: str
    words: tuple[str, ...]


def clusters(titles: Sequence[str]) -> tuple[Cluster, ...]:
    """Largest first. Of each kind the most frequent title leads, others join the leader that is nearest."""
    kinds: dict[frozenset[str], list[int]] = defaultdict(list)
    for at, title in enumerate(titles):
        kinds[_telling(title)].append(at)
    rarity = _rarity(kinds)
    leaders = _Leaders(rarity)
    groups: list[list[int]] = []
    for kind in sorted(kinds, key=lambda kind: (-len(kinds[kind]), sorted(kind))):
        joined = leaders.nearest(kind)
        if joined is None:
            leaders.add(kind)
            groups.append([])
            joined = len(groups) - 1
        groups[joined].extend(kinds[kind])
    made = [_cluster(sorted(group), titles, rarity) for group in groups]
    return tuple(sorted(made, key=lambda each: (-len(each.members), each.title)))


def plain_title(title: str) -> str:
    """A title on one line and not too long."""
    return " ".join(title[:_TITLE_MAX].split())


def _telling(title: str) -> frozenset[str]:
    """Its words without those that have digits: names of hosts and pods, and values, come and go."""
    return frozenset(word for word in words(title[:_TITLE_MAX]) if not any(map(str.isdigit, word)))


def _rarity(kinds: Iterable[frozenset[str]]) -> Mapping[str, float]:
    every = list(kinds)
    having = Counter(word for kind in every for word in kind)
    return {word: math.log(1 + len(every) / count) for word, count in having.items()}


class _Leaders:
    """Finds the leader that is most like a title by an index over the leaders' words."""

    def __init__(self, rarity: Mapping[str, float]) -> None:
        self._rarity = rarity
        self._by_word: dict[str, list[int]] = defaultdict(list)
        self._lengths: list[float] = []

    def add(self, kind: frozenset[str]) -> None:
        for word in kind:
            self._by_word[word].append(len(self._lengths))
        self._lengths.append(self._length(kind))

    def nearest(self, kind: frozenset[str]) -> int | None:
        shared: dict[int, float] = defaultdict(float)
        for word in sorted(kind):
            for leader in self._by_word.get(word, ()):
                shared[leader] += self._rarity[word] ** 2
        length = self._length(kind)
        alike = {leader: value / (length * self._lengths[leader]) for leader, value in shared.items()}
        best = min(alike, key=lambda leader: (-alike[leader], leader), default=None)
        return best if best is not None and alike[best] >= _ALIKE else None

    def _length(self, kind: frozenset[str]) -> float:
        return math.sqrt(sum(self._rarity[word] ** 2 for word in sorted(kind))) or 1.0


def _cluster(members: Sequence[int], titles: Sequence[str], rarity: Mapping[str, float]) -> Cluster:
    often = Counter(plain_title(titles[at]) for at in members)
    title = min(often, key=lambda each: (-often[each], each))
    counts = Counter(word for at in members for word in _telling(titles[at]))
    common = [word for word, count in counts.items() if 2 * count >= len(members)]
    return Cluster(tuple(members), title, tuple(sorted(common, key=lambda word: (-rarity[word], word))[:6]))
