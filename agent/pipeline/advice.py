"""Asks the advisor about ranked candidates, and weighs what it says: rules and scores stay in charge.

Matching calls `consult` with what it would otherwise decide on alone. The advisor sees opaque ids, redacted
and cut texts, and the parameters that would have no value; it can choose among what it was offered, lower
confidence to the point where a human chooses, raise it by `max_raise` at most, and fill those parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.domain.advice import Advice, AdviceRequest, NoAdvice, NoAdviceReason, Offered, checked
from agent.domain.alert import Alert
from agent.domain.command import Refusal
from agent.domain.decisions import Candidate
from agent.domain.runbook import Parameter, Runbook
from agent.library import bind
from agent.library.bindings import why_not_allowed
from agent.pipeline.advice_texts import alert_text, plain
from agent.ports import Advisor
from agent.safety.redaction import Redactor
from agent.safety.redaction_alert import redacted_alert

_MAX_TITLE, _MAX_TEXT, _MAX_REASON = 200, 1_500, 200
_MAX_REASONS = 5
#: What an advisor says of its own sureness is drawn towards a coin's: models are surer than they are right
#: (Xiong et al., "Can LLMs Express Their Uncertainty?", 2024).
_TRUST = 0.8
#: However unsure it was, a choice against a candidate leaves that one no better than a coin.
_LEAST_DOUBT = 0.5
_SURE = 1 - 1e-6


@dataclass(frozen=True, slots=True)
class Parts:
    """What consulting needs; without an advisor nothing is asked and nothing changes."""

    advisor: Advisor | None
    redactor: Redactor
    max_candidates: int = 5
    max_raise: float = 0.1


@dataclass(frozen=True, slots=True)
class Consulted:
    """The candidates as they stand now, best first. `answer` is None when nobody was asked.

    `chosen` is the runbook that the advisor chose ("" for none); `parameters` are its values for that one,
    for `library.bind(…, chosen=…)`, which checks them like any other.
    """

    candidates: tuple[Candidate, ...]
    answer: Advice | NoAdvice | None = None
    chosen: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def consult(
    parts: Parts, candidates: Sequence[Candidate], runbooks: Mapping[str, Runbook], alert: Alert
) -> Consulted:
    """Ask about the best candidates if there is something to ask: which of several, or values for one."""
    stand = Consulted(tuple(candidates))
    if parts.advisor is None:
        return stand
    request = request_of(parts, candidates, runbooks, alert)
    if not request.candidates or (len(request.candidates) == 1 and not request.wanted()):
        return stand
    answer = parts.advisor.advise(request)
    if isinstance(answer, Advice):
        answer = checked(request, answer, why_not_allowed)  # whatever the advisor is made of
    return applied(stand, answer, max_raise=parts.max_raise, redactor=parts.redactor)


def request_of(
    parts: Parts, candidates: Sequence[Candidate], runbooks: Mapping[str, Runbook], alert: Alert
) -> AdviceRequest:
    """The question: at most `max_candidates`, named c1, c2, … in order; every text redacted, then cut."""
    offered = tuple(
        _offered(_name(place), each, runbooks[each.runbook_id], alert, parts.redactor)
        for place, each in enumerate(candidates[: parts.max_candidates])
    )
    return AdviceRequest(offered, alert_text(redacted_alert(parts.redactor, alert)))


def _name(place: int) -> str:
    return f"c{place + 1}"


def _offered(name: str, candidate: Candidate, runbook: Runbook, alert: Alert, redactor: Redactor) -> Offered:
    def shown(text: str, limit: int) -> str:
        return plain(redactor.text(text), limit)

    return Offered(
        id=name,
        title=shown(runbook.title, _MAX_TITLE),
        text=shown(runbook.text, _MAX_TEXT),
        reasons=tuple(shown(reason, _MAX_REASON) for reason in candidate.reasons[:_MAX_REASONS]),
        wanted=tuple(open_parameters(runbook.parameters, alert)),
    )


def open_parameters(parameters: Iterable[Parameter], alert: Alert) -> Iterable[Parameter]:
    """Those to which neither the alert nor a default gives a value, and that no step captures."""
    for parameter in parameters:
        if not parameter.captured and isinstance(bind((parameter,), alert), Refusal):
            yield parameter


def applied(
    stand: Consulted, answer: Advice | NoAdvice, *, max_raise: float, redactor: Redactor
) -> Consulted:
    """The candidates weighed anew by the answer; without advice they stay as they are."""
    if isinstance(answer, NoAdvice):
        return replace(stand, answer=answer)
    places = {_name(place): place for place in range(len(stand.candidates))}
    if answer.candidate and answer.candidate not in places:
        return replace(stand, answer=NoAdvice(NoAdviceReason.NOT_OFFERED, usage=answer.usage))
    answer = replace(answer, reason=redactor.text(answer.reason))
    at = places[answer.candidate] if answer.candidate else None
    before = [candidate.confidence for candidate in stand.candidates]
    after = reweighed(before, at, answer.confidence, max_raise=max_raise)
    weighed = [
        replace(candidate, confidence=confidence, reasons=(*candidate.reasons, *_said(answer, at == place)))
        for place, (candidate, confidence) in enumerate(zip(stand.candidates, after, strict=True))
    ]
    return Consulted(
        candidates=tuple(sorted(weighed, key=lambda each: -each.confidence)),
        answer=answer,
        chosen=stand.candidates[at].runbook_id if at is not None else "",
        parameters=dict(answer.parameters),
    )


def _said(answer: Advice, is_chosen: bool) -> tuple[str, ...]:
    return (f"the advisor chose it ({answer.confidence:.2f}): {answer.reason}",) if is_chosen else ()


def reweighed(
    before: Sequence[float], chosen: int | None, stated: float, *, max_raise: float
) -> tuple[float, ...]:
    """The confidences after an advisor chose the candidate at `chosen` (None: none of them).

    Its stated sureness s is drawn to s' = 0.5 + 0.8 (s - 0.5). The chosen one's confidence p becomes the mean
    of p and s' on the log-odds scale, and never more than p + max_raise. Every other one becomes at most
    1 - max(s', 0.5), so that a choice against the machine's best always leaves it to a human; and together
    the others never take more than the chosen one leaves. Nothing but the chosen one is ever raised.
    """
    drawn = 0.5 + _TRUST * (stated - 0.5)
    most = 1 - max(drawn, _LEAST_DOUBT)
    if chosen is None:
        return tuple(min(each, most) for each in before)
    own = before[chosen]
    now = min(_sigmoid((_log_odds(own) + _log_odds(drawn)) / 2), own + max_raise, 1.0)
    others = sum(before) - own
    share = min(1.0, max(0.0, 1 - now) / others) if others > 0 else 1.0
    return tuple(
        now if place == chosen else min(each, each * share, most) for place, each in enumerate(before)
    )


def _log_odds(probability: float) -> float:
    within = min(max(probability, 1 - _SURE), _SURE)
    return math.log(within / (1 - within))


def _sigmoid(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def in_words(consulted: Consulted) -> str:
    """One line for the timeline; "" when nobody was asked."""
    match consulted.answer:
        case None:
            return ""
        case NoAdvice(reason, detail):
            return f"No advice ({reason.value}: {detail}); rules and scores decide"
        case Advice(confidence=confidence, reason=reason):
            choice = consulted.chosen or "none of the candidates"
            return f"The advisor says {choice} ({confidence:.2f}): {reason}{_cost(consulted.answer)}"


def _cost(answer: Advice) -> str:
    usage = answer.usage
    price = f", ${usage.cost_usd:.4f}" if usage.cost_usd is not None else ""
    return f" [{usage.input_tokens} + {usage.output_tokens} tokens{price}, {usage.latency_s:.1f} s]"


def data_of(consulted: Consulted) -> dict[str, object]:
    """What the timeline and the metrics keep of it; empty when nobody was asked."""
    answer = consulted.answer
    if answer is None:
        return {}
    usage = answer.usage
    told: dict[str, object] = {
        "outcome": answer.reason.value if isinstance(answer, NoAdvice) else "advice",
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": usage.cost_usd,
        "latency_s": round(usage.latency_s, 3),
    }
    if isinstance(answer, Advice):
        told |= {"chosen": consulted.chosen, "confidence": answer.confidence, "reason": answer.reason}
        told |= {"parameters": dict(consulted.parameters)}
    return told
