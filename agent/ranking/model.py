"""The weights of the features, and how a lead becomes a probability; fitted to public pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from agent.ranking.features import FEATURES

Values = npt.NDArray[np.float64]

#: What the calibration looks at besides the best candidate's own features.
LEAD = ("share", "odds", "lead", "score")

#: From this cosine on a known alert is like the one that is asked.
LIKE = 0.3
_KNOWN_TEXT = tuple(FEATURES).index("known_text")


@dataclass(frozen=True, slots=True)
class Model:
    """One set of weights: for alerts with a name, or for those that only have text."""

    weights: Values
    bias: float
    calibration: Values

    def scores(self, rows: Values) -> Values:
        """How much speaks for each candidate, on an open scale."""
        found: Values = rows @ self.weights
        return found

    def probability(self, rows: Values, scores: Values) -> float:
        """How probable it is that the best candidate is the right one, and that there is a right one."""
        logit = self.bias + float(calibration_row(rows, scores) @ self.calibration)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def shares(scores: Values) -> Values:
    """The candidates' scores as shares of one."""
    raised = np.exp(scores - scores.max())
    found: Values = raised / raised.sum()
    return found


def calibration_row(rows: Values, scores: Values) -> Values:
    """What tells a safe lead from an unsafe one: the lead, and the best candidate's features."""
    order = np.argsort(-scores)
    best = int(order[0])
    share = float(shares(scores)[best])
    second = float(scores[order[1]]) if len(order) > 1 else float(scores[best]) - 3.0
    lead = [share, math.log(share / (1 - share + 1e-6)), float(scores[best]) - second, float(scores[best])]
    return np.concatenate([np.array(lead), rows[best]])


class Kind(StrEnum):
    """What there is to go by: each kind of question has its own weights and its own calibration."""

    NAMED = "named"
    UNNAMED = "unnamed"
    NAMED_UNLIKE = "named_unlike"
    UNNAMED_UNLIKE = "unnamed_unlike"


def kind_of(rows: Values, *, named: bool) -> Kind:
    """By whether the alert has a name, and whether any known alert is like it."""
    alike = len(rows) > 0 and float(rows[:, _KNOWN_TEXT].max()) >= LIKE
    if named:
        return Kind.NAMED if alike else Kind.NAMED_UNLIKE
    return Kind.UNNAMED if alike else Kind.UNNAMED_UNLIKE


@lru_cache(maxsize=1)
def shipped() -> Mapping[Kind, Model]:
    """The shipped weights by kind of question."""
    text = (resources.files("agent.ranking") / "weights.json").read_text(encoding="utf-8")
    data = json.loads(text)
    return {kind: _model(data[kind]) for kind in Kind}


def _model(data: Mapping[str, Mapping[str, float]]) -> Model:
    return Model(
        _in_order(data["weights"], tuple(FEATURES)),
        float(data["calibration"]["bias"]),
        _in_order(data["calibration"], (*LEAD, *FEATURES)),
    )


def _in_order(values: Mapping[str, float], names: Sequence[str]) -> Values:
    return np.array([float(values[name]) for name in names])
