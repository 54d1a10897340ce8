"""What an advisor is asked and what it may answer: a choice among what was offered, or nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.domain.runbook import Parameter

#: A reason is for one line of the timeline.
MAX_REASON_CHARS = 300

#: Into which an answer's time is sorted, in seconds; renamed, what was counted before is lost.
LATENCY_BUCKETS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Offered:
    """One candidate as the advisor sees it: `id` is opaque, `wanted` are parameters that have no value."""

    id: str
    title: str
    text: str = ""
    reasons: tuple[str, ...] = ()
    wanted: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class AdviceRequest:
    """One question. Every text in it is redacted and cut already; `alert` is untrusted data."""

    candidates: tuple[Offered, ...]
    alert: str

    def offered(self, candidate: str) -> Offered | None:
        """The candidate of this id, if it was offered."""
        return next((each for each in self.candidates if each.id == candidate), None)

    def wanted(self) -> dict[str, tuple[Parameter, ...]]:
        """Every parameter name that may be answered, with what each candidate declares for it."""
        names: dict[str, tuple[Parameter, ...]] = {}
        for candidate in self.candidates:
            for parameter in candidate.wanted:
                names[parameter.name] = (*names.get(parameter.name, ()), parameter)
        return names


@dataclass(frozen=True, slots=True)
class Usage:
    """What asking cost; `cost_usd` is None when the model's price is not known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    latency_s: float = 0.0


class NoAdviceReason(StrEnum):
    """Why there is no advice: a closed list, also the label of the metric."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    AUTH = "auth"
    NO_CREDIT = "no_credit"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    REJECTED = "rejected"
    REFUSED = "refused"
    CUT = "cut"
    EMPTY = "empty"
    BAD_ANSWER = "bad_answer"
    OUT_OF_RANGE = "out_of_range"
    NOT_OFFERED = "not_offered"
    EXTRA_PARAMETER = "extra_parameter"
    BAD_PARAMETER = "bad_parameter"


@dataclass(frozen=True, slots=True)
class NoAdvice:
    """Nothing that could be used: rules and scores stand. `detail` says in words what to do about it."""

    reason: NoAdviceReason
    detail: str = ""
    usage: Usage = field(default_factory=Usage)
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """The candidate that answers the alert ("" for none of them), how sure, why, and parameter values."""

    candidate: str
    confidence: float
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)


#: Why a value may not be used for a parameter; "" if it may.
WhyNotAllowed = Callable[[Parameter, str], str]


def checked(request: AdviceRequest, advice: Advice, why_not_allowed: WhyNotAllowed) -> Advice | NoAdvice:
    """The advice if it says only what it was asked for; anything else is no advice at all.

    Nothing is mended: an advisor that names what was not offered, or gives a value outside a parameter's
    declaration, is not believed in the rest either.
    """
    if not 0.0 <= advice.confidence <= 1.0:  # NaN is not between them either
        told = f"{advice.confidence:g}" if math.isfinite(advice.confidence) else "not a number"
        return _none(advice, NoAdviceReason.OUT_OF_RANGE, f"the confidence is {told}, not 0 to 1")
    chosen = request.offered(advice.candidate)
    if chosen is None and advice.candidate:
        return _none(advice, NoAdviceReason.NOT_OFFERED, "it named a candidate that was not offered")
    wanted = {parameter.name: parameter for parameter in chosen.wanted} if chosen is not None else {}
    if advice.parameters.keys() - wanted.keys():
        return _none(advice, NoAdviceReason.EXTRA_PARAMETER, "it gave a parameter that was not asked for")
    for name, value in advice.parameters.items():
        if why_not_allowed(wanted[name], value):
            detail = f"its value for parameter {name} is not what the runbook declares"
            return _none(advice, NoAdviceReason.BAD_PARAMETER, detail)
    return replace(advice, reason=_one_line(advice.reason))


def _none(advice: Advice, reason: NoAdviceReason, detail: str) -> NoAdvice:
    return NoAdvice(reason, detail, advice.usage)


def _one_line(text: str) -> str:
    """Untrusted words as one printable line."""
    begin = text[: MAX_REASON_CHARS * 4]
    plain = " ".join("".join(char if char.isprintable() else " " for char in begin).split())
    return plain if len(plain) <= MAX_REASON_CHARS else f"{plain[: MAX_REASON_CHARS - 1]}…"
