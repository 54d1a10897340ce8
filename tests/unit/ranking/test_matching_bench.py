"""The benchmark's own arithmetic, and that the shared pairs still meet what was promised of them."""

import numpy as np
import pytest

from agent.ranking.model import shipped
from bench.matching import tables
from bench.matching.data import FOLDS, cases
from bench.matching.measures import Results, at_threshold, auc, ece, results, risk_by_coverage
from bench.matching.plots import plot


def made(sure: list[float], hit: list[int], negative: list[int] | None = None) -> Results:
    size = len(sure)
    return Results(
        np.where(np.array(hit) > 0, 0, 5),
        np.array(sure),
        np.array(hit, dtype=float),
        np.array(negative or [0] * size, dtype=bool),
        np.ones(size, dtype=bool),
        np.array(["a"] * size),
    )


def test_probabilities_that_come_true_have_no_calibration_error() -> None:
    assert ece(made([0.75] * 4, [1, 1, 1, 0])) == pytest.approx(0)
    assert ece(made([0.95, 0.95], [0, 0])) == pytest.approx(0.95)


def test_auc_is_one_if_every_right_one_is_surer_than_every_wrong_one() -> None:
    assert auc(made([0.9, 0.8, 0.2], [1, 1, 0])) == 1
    assert auc(made([0.1, 0.8, 0.9], [1, 0, 0])) == 0


def test_a_negative_that_is_matched_counts_as_a_wrong_runbook() -> None:
    told = at_threshold(made([0.9, 0.9, 0.9, 0.1], [1, 0, 0, 0], [0, 0, 1, 1]), 0.8)
    assert told == {"alone": 1.0, "right_when_alone": 0.5, "wrong_on_negatives": 0.5}


def test_risk_grows_with_coverage_by_what_is_wrong() -> None:
    assert risk_by_coverage(made([0.9, 0.5], [1, 0])) == [(0.5, 0.0), (1.0, 0.5)]


def test_figures_take_the_place_of_older_ones() -> None:
    page = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
    new = f"{tables.BEGIN}\nnew\n{tables.END}"
    assert tables.put_into(page, new) == f"before\n{new}\nafter\n"


def test_a_plot_holds_its_curves() -> None:
    svg = plot("t", "x", "y", {"one": [(0, 0), (1, 1)], "two": [(0, 1)]})
    assert svg.count("<polyline") == 2


def test_the_shipped_weights_keep_to_the_shared_pairs(shared) -> None:  # type: ignore[no-untyped-def]
    """Fitted to these pairs, so no measure of what they are worth; a sign that something broke."""
    found = [case for case in cases(shared / "corpora") if case.named]
    told = results(found, dict.fromkeys(range(FOLDS), shipped()))
    assert told.part(told.specific).top(1) > 0.94
    assert at_threshold(told, tables.OPERATING)["wrong_on_negatives"] <= 0.02
    assert ece(told) <= 0.05
