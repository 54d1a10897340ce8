"""`python -m bench.matching [--fit] [--corpora DIR]`: cross-validated figures; `--fit` writes the shipped weights."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from bench.matching.data import FOLDS, Case, cases
from bench.matching.fitting import as_json, fit

WEIGHTS = Path(__file__).parents[2] / "agent" / "ranking" / "weights.json"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--corpora", type=Path, default=Path(__file__).parents[3] / "shared" / "corpora")
    arguments.add_argument("--fit", action="store_true")
    given = arguments.parse_args()
    found = cases(given.corpora)
    figures = {}
    for named in (True, False):
        part = [case for case in found if case.named == named]
        figures["named" if named else "unnamed"] = report(part, named=named)
    if given.fit:
        models = {named: fit([case for case in found if case.named == named]) for named in (True, False)}
        data = {"named": as_json(models[True]), "unnamed": as_json(models[False])}
        WEIGHTS.write_text(json.dumps(data, indent=1) + "\n")
        print(f"wrote {WEIGHTS.name}")


def report(found: list[Case], *, named: bool) -> dict:
    models = {fold: fit([case for case in found if case.fold != fold]) for fold in range(FOLDS)}
    ranks, probability, hit = [], [], []
    for case in found:
        model = models[case.fold]
        scores = model.scores(case.rows)
        order = list(np.argsort(-scores, kind="stable"))
        ranks.append(min((order.index(at) for at in case.right), default=10**6))
        probability.append(model.probability(case.rows, scores))
        hit.append(float(order[0] in case.right))
    rank, sure, right = np.array(ranks), np.array(probability), np.array(hit)
    negative = np.array([case.negative for case in found])
    specific = np.array([case.specific for case in found])
    print("all fields" if named else "without alert_name")
    for word, chosen in (("specific", specific), ("all pairs", ~negative)):
        of = rank[chosen]
        print(
            f"  {word:10} {len(of)}: top-1 {(of < 1).mean():.3f}  top-3 {(of < 3).mean():.3f}  MRR {(1 / (of + 1)).mean():.3f}"
        )
    for corpus in sorted({case.corpus for case in found if not case.negative}):
        of = rank[np.array([case.corpus == corpus and case.specific for case in found])]
        print(f"    {corpus:30} {len(of):4}: top-1 {(of < 1).mean():.3f}  top-3 {(of < 3).mean():.3f}")
    bins = np.clip((sure * 10).astype(int), 0, 9)
    ece = sum(
        abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in range(10)
        if (bins == b).any()
    )
    print(f"  ECE {ece:.3f}  AUC {auc(sure, right):.3f}")
    for at in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        alone = sure >= at
        print(
            f"  at {at:.2f}: wrong runbook on negatives {(alone & negative).sum() / negative.sum():.3f}"
            f"  alone {alone[~negative].mean():.3f} (specific {alone[specific].mean():.3f})"
            f"  right when alone {right[alone & ~negative].mean():.3f}"
        )
    return {}


def auc(score: np.ndarray, label: np.ndarray) -> float:
    order = np.argsort(score)
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    positive = label > 0
    n, m = positive.sum(), (~positive).sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


if __name__ == "__main__":
    main()
