"""Alerts whose runbook is known: from alert rules that name one, and from what resolved an alert before."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.ranking.questions import Question
from agent.ranking.words import words

#: How many of the most similar ones have a vote.
_VOTERS = 10


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """An alert and the key of the document that answers it ("" if it is known to have none)."""

    name: str
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near one document's known alerts are, 0 to 1: by text, by name, and as a share of the votes."""

    text: float = 0.0
    name: float = 0.0
    votes: float = 0.0


_Vector = Mapping[str, float]


class KnownAlerts:
    """Compares a question with every known alert by the cosine of its rare words."""

    def __init__(self, alerts: Sequence[KnownAlert] = ()) -> None:
        self._alerts = tuple(alerts)
        texts = [words(f"{alert.name} {alert.text}") for alert in alerts]
        self._frequency = Counter(word for text in texts for word in set(text))
        self._texts: dict[str, list[tuple[int, float]]] = {}
        self._names: dict[str, list[tuple[int, float]]] = {}
        for at, (alert, text) in enumerate(zip(alerts, texts, strict=True)):
            self._post(self._texts, at, text)
            self._post(self._names, at, words(alert.name))

    def _post(self, postings: dict[str, list[tuple[int, float]]], at: int, found: Sequence[str]) -> None:
        for word, weight in self._vector(found).items():
            postings.setdefault(word, []).append((at, weight))

    def _vector(self, found: Sequence[str]) -> _Vector:
        weights = {word: (1 + math.log(count)) * self._rarity(word) for word, count in Counter(found).items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}

    def _rarity(self, word: str) -> float:
        return math.log(1 + (len(self._alerts) + 1) / (self._frequency.get(word, 0) + 0.5))

    def likeness(self, question: Question, *, ignoring: Collection[str] = ()) -> dict[str, Likeness]:
        """By document key; `ignoring` leaves alerts of these names out (to measure without them)."""
        by_text = self._near(self._texts, words(question.text), ignoring)
        by_name = self._near(self._names, words(question.name), ignoring)
        text, name = self._best(by_text), self._best(by_name)
        votes = self._votes(by_text)
        return {
            key: Likeness(text.get(key, 0.0), name.get(key, 0.0), votes.get(key, 0.0))
            for key in text.keys() | name.keys()
            if key
        }

    def _near(
        self,
        postings: Mapping[str, Sequence[tuple[int, float]]],
        found: Sequence[str],
        ignoring: Collection[str],
    ) -> dict[int, float]:
        near: dict[int, float] = {}
        for word, weight in self._vector(found).items():
            for at, other in postings.get(word, ()):
                near[at] = near.get(at, 0.0) + weight * other
        return {at: value for at, value in near.items() if self._alerts[at].name not in ignoring}

    def _best(self, near: Mapping[int, float]) -> dict[str, float]:
        best: dict[str, float] = {}
        for at, value in near.items():
            key = self._alerts[at].key
            best[key] = max(best.get(key, 0.0), value)
        return best

    def _votes(self, near: Mapping[int, float]) -> dict[str, float]:
        """The nearest ones' squared likeness by document, scaled by the nearest one's likeness."""
        with_key = [(value, self._alerts[at].key) for at, value in near.items() if self._alerts[at].key]
        voters = sorted(with_key, reverse=True)[:_VOTERS]
        whole = sum(value * value for value, _ in voters) or 1.0
        votes: dict[str, float] = {}
        for value, key in voters:
            votes[key] = votes.get(key, 0.0) + value * value / whole * voters[0][0]
        return votes
