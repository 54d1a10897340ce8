"""Ranks documents for a question, and says how sure it is and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.ranking.documents import Document
from agent.ranking.features import FEATURES, Asked, asked, features
from agent.ranking.index import Index
from agent.ranking.known import KnownAlert, KnownAlerts, Likeness
from agent.ranking.model import Kind, Model, Values, kind_of, shares, shipped
from agent.ranking.questions import Question

#: Candidates that are looked at closely: those that earn most by their words, and those named or known.
_CANDIDATES = 40
_REASONS = 3
_UNKNOWN = Likeness()


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with the probability that it is the right one; `reasons` speak for it, strongest first."""

    key: str
    probability: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contest:
    """The candidates of one question with their features; what measuring and training look at."""

    keys: tuple[str, ...]
    rows: Values


class Ranker:
    """Documents and known alerts; changes are taken in one by one."""

    def __init__(
        self,
        documents: Iterable[Document] = (),
        known: Sequence[KnownAlert] = (),
        models: Mapping[Kind, Model] | None = None,
    ) -> None:
        self.index = Index(documents)
        self._known = KnownAlerts(known)
        self._models = models

    def know(self, known: Sequence[KnownAlert]) -> None:
        """Replace the known alerts."""
        self._known = KnownAlerts(known)

    def rank(self, question: Question, *, among: Collection[str] = ()) -> tuple[Ranked, ...]:
        """Best first; `among` restricts the candidates. The probabilities of all never sum to more than 1."""
        contest = self.contest(question, among=among)
        if not contest.keys:
            return ()
        model = (self._models or shipped())[kind_of(contest.rows, named=bool(question.name))]
        scores = model.scores(contest.rows)
        return _ranked(contest, scores, model.probability(contest.rows, scores), model)

    def contest(
        self, question: Question, *, among: Collection[str] = (), ignoring: Collection[str] = ()
    ) -> Contest:
        """The candidates' features; `ignoring` names known alerts that are left out (to measure)."""
        ask = asked(question, self.index)
        likeness = self._known.likeness(question, ignoring=ignoring)
        keys = self._candidates(ask, likeness, among)
        rows = [features(ask, self.index[key], self.index, likeness.get(key, _UNKNOWN)) for key in keys]
        return Contest(tuple(keys), np.array(rows).reshape(len(keys), len(FEATURES)))

    def _candidates(
        self, ask: Asked, likeness: Mapping[str, Likeness], among: Collection[str]
    ) -> Sequence[str]:
        if among:
            return sorted(key for key in among if key in self.index)
        found = set(self.index.best(ask.by_all, _CANDIDATES))
        found.update(self.index.best(ask.by_name, _CANDIDATES // 4) if ask.name else ())
        found.update(self.index.named(ask.squeezed_name) if ask.squeezed_name else ())
        nearest = sorted(likeness, key=lambda key: -likeness[key].text)[: _CANDIDATES // 4]
        found.update(key for key in nearest if key in self.index)
        return sorted(found)


def _ranked(contest: Contest, scores: Values, probability: float, model: Model) -> tuple[Ranked, ...]:
    share = shares(scores)
    order = [int(at) for at in np.argsort(-scores, kind="stable")]
    others = 1 - float(share[order[0]])
    rest = (1 - probability) / others if others > 0 else 0.0
    found = [Ranked(contest.keys[order[0]], probability, _reasons(contest.rows[order[0]], model))]
    for at in order[1:]:
        # never more than its own share, and never more than the best one
        part = min(float(share[at]), float(share[at]) * rest, probability)
        found.append(Ranked(contest.keys[at], part, _reasons(contest.rows[at], model)))
    return tuple(found)


def _reasons(row: Values, model: Model) -> tuple[str, ...]:
    worth = row * model.weights
    order = [int(at) for at in np.argsort(-worth)[:_REASONS] if worth[int(at)] > 0]
    names = list(FEATURES.values())
    return tuple(f"{names[at]} ({row[at]:.2f})" for at in order)
