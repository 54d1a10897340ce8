"""Fits the ranking's weights with NumPy: a softmax over the candidates, then a calibration of the lead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agent.ranking.features import FEATURES
from agent.ranking.model import LEAD, Kind, Model, calibration_row
from bench.matching.data import Case

ROUNDS, RATE, RIDGE = 400, 0.05, 5e-3
GENERAL_TARGET = 0.3  # a pair whose target is any page of a folder says less than one with a single page
CALIBRATION_RIDGE = 1.0


def fit_kinds(cases: Sequence[Case]) -> dict[Kind, Model]:
    """A model for each kind of question."""
    return {kind: fit([case for case in cases if case.kind is kind]) for kind in Kind}


def fit(cases: Sequence[Case]) -> Model:
    """A model for cases that are all named, or all unnamed."""
    weights = fit_weights([case for case in cases if case.right])
    bias, calibration = fit_calibration(weights, cases)
    return Model(weights, bias, calibration)


def fit_weights(cases: Sequence[Case]) -> np.ndarray:
    """Maximise the share of the right candidates (Adam)."""
    weights, first, second = (np.zeros(len(FEATURES)) for _ in range(3))
    for turn in range(1, ROUNDS + 1):
        gradient = RIDGE * weights
        for case in cases:
            share = _softmax(case.rows @ weights)
            wanted = np.zeros_like(share)
            wanted[list(case.right)] = share[list(case.right)]
            wanted /= wanted.sum()
            weight = 1.0 if case.specific else GENERAL_TARGET
            gradient = gradient + weight * (case.rows.T @ (share - wanted)) / len(cases)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        step = first / (1 - 0.9**turn) / (np.sqrt(second / (1 - 0.999**turn)) + 1e-8)
        weights = weights - RATE * step
    return weights


def fit_calibration(weights: np.ndarray, cases: Sequence[Case]) -> tuple[float, np.ndarray]:
    """Logistic regression (Newton) of "the best one is right" on the lead and the best one's features."""
    rows = np.array([calibration_row(case.rows, case.rows @ weights) for case in cases])
    hit = np.array([float(int(np.argmax(case.rows @ weights)) in case.right) for case in cases])
    middle, spread = rows.mean(0), rows.std(0) + 1e-9
    scaled = np.hstack([np.ones((len(rows), 1)), (rows - middle) / spread])
    found = np.zeros(scaled.shape[1])
    ridge = np.diag([0.0] + [CALIBRATION_RIDGE] * (scaled.shape[1] - 1))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(scaled @ found, -30, 30)))
        gradient = scaled.T @ (chance - hit) + ridge @ found
        curve = (scaled * (chance * (1 - chance))[:, None]).T @ scaled + ridge
        step = np.linalg.solve(curve + 1e-9 * np.eye(len(found)), gradient)
        found = found - step
        if np.abs(step).max() < 1e-7:
            break
    calibration = found[1:] / spread
    return float(found[0] - (calibration * middle).sum()), calibration


def as_json(model: Model) -> dict:
    names = (*LEAD, *FEATURES)
    return {
        "weights": {
            name: round(float(value), 5) for name, value in zip(FEATURES, model.weights, strict=True)
        },
        "calibration": {
            "bias": round(model.bias, 5),
            **{name: round(float(value), 5) for name, value in zip(names, model.calibration, strict=True)},
        },
    }


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()
