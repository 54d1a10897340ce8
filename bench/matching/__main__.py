"""`python -m bench.matching [--docs] [--fit] [--corpora DIR]`: cross-validated figures of the ranking.

`--docs` writes tables and plots into docs/matching.md; `--fit` writes the weights that are shipped, fitted
to all shared pairs. The figures never come from those: each case is asked of a model that did not see it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.matching import tables
from bench.matching.data import Case, cases
from bench.matching.fitting import as_json, fit_kinds
from bench.matching.measures import Results, models_by_fold, results
from bench.matching.plots import plot, thinned

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "agent" / "ranking" / "weights.json"
PAGE = ROOT / "docs" / "matching.md"
IMAGES = ROOT / "docs" / "images"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--corpora", type=Path, default=ROOT.parent / "shared" / "corpora")
    arguments.add_argument("--docs", action="store_true", help="write docs/matching.md and its plots")
    arguments.add_argument("--fit", action="store_true", help="write the shipped weights")
    given = arguments.parse_args()
    if not given.corpora.is_dir():
        sys.exit(f"{given.corpora} is not there; name the folder of corpora with --corpora")
    with_rules = cases(given.corpora)
    found = measured(with_rules, cases(given.corpora, rules=False))
    page = tables.page(found)
    print(page)
    if given.docs:
        write_plots(found)
        PAGE.write_text(tables.put_into(PAGE.read_text(), page))
    if given.fit:
        write_weights([*with_rules, *cases(given.corpora, rules=False)])


def measured(with_rules: Sequence[Case], without: Sequence[Case]) -> Mapping[str, Results]:
    """All fields, without the alert's name, and without the alert rules."""
    models = models_by_fold([*with_rules, *without])
    return {
        tables.ALL: results(of(with_rules, named=True), models),
        tables.UNNAMED: results(of(with_rules, named=False), models),
        tables.NO_RULES: results(of(without, named=True), models),
    }


def of(found: Sequence[Case], *, named: bool) -> list[Case]:
    return [case for case in found if case.named == named]


def write_plots(found: Mapping[str, Results]) -> None:
    IMAGES.mkdir(exist_ok=True)
    risk = {name: thinned(tables.risk(each)) for name, each in found.items()}
    (IMAGES / "matching-risk.svg").write_text(
        plot("Risk by coverage", "part decided alone", "part of these that is wrong", risk, top=0.5)
    )
    said = {name: tables.calibration(each) for name, each in found.items()}
    (IMAGES / "matching-calibration.svg").write_text(
        plot("Calibration", "probability that was said", "part that was right", said, diagonal=True)
    )


def write_weights(found: Sequence[Case]) -> None:
    data = {kind.value: as_json(model) for kind, model in fit_kinds(found).items()}
    WEIGHTS.write_text(json.dumps(data, indent=1) + "\n")
    print(f"wrote {WEIGHTS.name}")


if __name__ == "__main__":
    main()
