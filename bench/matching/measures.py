"""Figures of a ranking, from what each held-out case got: where the right one stood, and how sure it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.ranking.model import Kind, Model
from bench.matching.data import FOLDS, Case
from bench.matching.fitting import fit_kinds

#: Far behind everything: the right one is not among the candidates.
_ABSENT = 10**6
BINS = 10


@dataclass(frozen=True)
class Results:
    """One entry a case: the right one's rank from 0, the best one's probability, whether it was right."""

    rank: np.ndarray
    sure: np.ndarray
    hit: np.ndarray
    negative: np.ndarray
    specific: np.ndarray
    corpus: np.ndarray

    def part(self, chosen: np.ndarray) -> Results:
        return Results(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @property
    def pairs(self) -> Results:
        return self.part(~self.negative)

    def top(self, count: int) -> float:
        return float((self.rank < count).mean())

    @property
    def mrr(self) -> float:
        return float((1 / (self.rank + 1)).mean())


def models_by_fold(cases: Sequence[Case]) -> Mapping[int, Mapping[Kind, Model]]:
    """For each fold the models that never saw its alert names."""
    return {fold: fit_kinds([case for case in cases if case.fold != fold]) for fold in range(FOLDS)}


def results(cases: Sequence[Case], models: Mapping[int, Mapping[Kind, Model]]) -> Results:
    rank, sure, hit = [], [], []
    for case in cases:
        model = models[case.fold][case.kind]
        scores = model.scores(case.rows) if case.keys else np.array([])
        order = list(np.argsort(-scores, kind="stable"))
        rank.append(min((order.index(at) for at in case.right), default=_ABSENT))
        sure.append(model.probability(case.rows, scores) if order else 0.0)
        hit.append(bool(order) and order[0] in case.right)
    return Results(
        np.array(rank),
        np.array(sure),
        np.array(hit, dtype=float),
        np.array([case.negative for case in cases]),
        np.array([case.specific for case in cases]),
        np.array([case.corpus for case in cases]),
    )


def ece(found: Results) -> float:
    """Expected calibration error over ten equal bins: how far a probability is from what came true."""
    return sum(abs(said - came) * share for _, said, came, share in reliability(found))


def reliability(found: Results) -> list[tuple[float, float, float, float]]:
    """Each bin that is not empty: its middle, the mean probability, what came true of it, its weight."""
    bins = np.clip((found.sure * BINS).astype(int), 0, BINS - 1)
    return [
        (
            (at + 0.5) / BINS,
            float(found.sure[bins == at].mean()),
            float(found.hit[bins == at].mean()),
            float((bins == at).mean()),
        )
        for at in range(BINS)
        if (bins == at).any()
    ]


def auc(found: Results) -> float:
    """How well the probability tells right from wrong; whatever a negative gets is wrong."""
    order = np.argsort(found.sure, kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    positive = found.hit > 0
    many, few = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - many * (many + 1) / 2) / max(1, many * few))


def at_threshold(found: Results, least: float) -> Mapping[str, float]:
    """What happens when a runbook is taken alone from this probability on."""
    alone = found.sure >= least
    pairs = alone & ~found.negative
    return {
        "alone": float(alone[~found.negative].mean()),
        "right_when_alone": float(found.hit[pairs].mean()) if pairs.any() else 1.0,
        "wrong_on_negatives": float(alone[found.negative].mean()),
    }


def risk_by_coverage(found: Results) -> list[tuple[float, float]]:
    """Over all cases, the surest first: the part decided alone, and the part of these that was wrong."""
    order = np.argsort(-found.sure, kind="stable")
    wrong = np.cumsum(1 - found.hit[order])
    count = np.arange(1, len(order) + 1)
    return list(zip((count / len(order)).tolist(), (wrong / count).tolist(), strict=True))
