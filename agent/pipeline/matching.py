"""Matching: rules decide, scores rank, the advisor may be asked; what is not sure is a human's choice.

Every runbook whose Trigger Conditions all hold is eligible. One alone is taken; among several the scores say
how probable each is, and below `matching.min_confidence` nothing is taken alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.domain.advice import Advice
from agent.domain.alert import Alert
from agent.domain.decisions import Ambiguous, Candidate, Match, Matched, NoMatch
from agent.domain.probe_alerts import is_blind
from agent.domain.runbook import Runbook
from agent.domain.trigger import AllOf, Condition, Expression, Not, Trigger
from agent.library import Verdict, evaluate
from agent.pipeline import rechoice
from agent.pipeline.advice import Consulted, Parts, consult
from agent.pipeline.context import Context
from agent.pipeline.links import linked_names, weighed
from agent.pipeline.match_telling import tell_found, told_before
from agent.pipeline.scores import Standing
from agent.ranking import Ranked
from agent.ranking.corpus import WORTH_ASKING

#: A rule that holds alone is certain.
_RULE_CONFIDENCE = 1.0

_NEAREST = 3
_CHOICES = 5
_NO_RULE = "no runbook's conditions hold; scores alone speak for it"


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found, out of how many runbooks whose conditions hold, and what the advisor said."""

    found: Match
    eligible: int = 0
    consulted: Consulted | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """One runbook in an explanation: its rule's verdict, its probability, and what speaks for it."""

    runbook: Runbook
    verdict: Verdict
    probability: float
    reasons: tuple[str, ...] = ()


def match(context: Context, alert: Alert) -> Match:
    """The one runbook that answers the alert, or why a human must choose."""
    return judge(context, context.library.runbooks, alert).found


def decide(context: Context, incident_id: str, alert: Alert) -> Match:
    """Match, keep the revision that the incident will run by, and tell why.

    What was told before a crash stays: a runbook that changed meanwhile does not change the story.
    """
    told = told_before(context, incident_id)
    if told is not None:
        return told
    runbooks = context.library.runbooks
    judged = judge(context, runbooks, alert)
    ranked = judged.consulted.candidates[:_CHOICES] if judged.consulted is not None else ()
    tell_found(
        context,
        incident_id,
        judged.found,
        runbooks=runbooks,
        eligible=judged.eligible,
        consulted=judged.consulted,
        among=rechoice.eligible(context, alert, [(each, runbooks[each.runbook_id]) for each in ranked]),
    )
    return judged.found


def judge(context: Context, runbooks: Mapping[str, Runbook], alert: Alert) -> Judged:
    """Match, with all that led to it."""
    if is_blind(alert):
        return Judged(NoMatch(("a watch that cannot see is for a human, whatever conditions hold",)))
    standing = _standing(context, runbooks, alert)
    if not standing.eligible:
        return _without_rules(context, runbooks, alert, standing.ranked)
    candidates = _candidates(context, runbooks, alert, standing)
    why = "more than one runbook's conditions hold"
    consulted = _consult(context, candidates, runbooks, alert)
    return Judged(_settled(context, consulted, why), len(standing.eligible), consulted)


def explain(context: Context, alert: Alert) -> list[Explained]:
    """Every runbook with its rule's verdict: those that hold first, the more probable one first."""
    runbooks = context.library.runbooks
    standing = _standing(context, runbooks, alert)
    candidates = (
        _candidates(context, runbooks, alert, standing)
        if standing.eligible
        else [Candidate(each.key, each.probability, each.reasons) for each in standing.ranked]
    )
    scores = {each.runbook_id: each for each in candidates}
    nothing = Candidate("", 0.0)
    found = [
        Explained(each, evaluate(each.trigger, alert), score.confidence, score.reasons)
        for each in runbooks.values()
        for score in (scores.get(each.id, nothing),)
    ]
    return sorted(found, key=_how_near)


def _how_near(each: Explained) -> tuple[bool, float, int, str]:
    return not each.verdict.holds, -each.probability, len(each.verdict.missing), each.runbook.id


def _standing(context: Context, runbooks: Mapping[str, Runbook], alert: Alert) -> Standing:
    context.scores.learn(
        context.clock.monotonic(),
        lambda: context.learned.known(Path(context.config.runbooks.path), runbooks, context.store),
    )
    return context.scores.look(runbooks, alert)


def _candidates(
    context: Context, runbooks: Mapping[str, Runbook], alert: Alert, standing: Standing
) -> tuple[Candidate, ...]:
    """The eligible ones, best first; a trusted link weighs among them and nowhere else."""
    if len(standing.eligible) == 1:
        ((only, verdict),) = standing.eligible
        return (Candidate(only, _RULE_CONFIDENCE, verdict.reasons, runbooks[only].revision),)
    verdicts = dict(standing.eligible)
    ranked = tuple(
        Candidate(
            each.key,
            each.probability,
            (*verdicts[each.key].reasons, *each.reasons),
            runbooks[each.key].revision,
        )
        for each in standing.ranked
    )
    linked = context.scores.named(runbooks, linked_names(alert, context.config.matching.trusted_runbook_urls))
    return weighed(ranked, next(iter(linked))) if len(linked) == 1 else ranked


def _consult(
    context: Context, candidates: Sequence[Candidate], runbooks: Mapping[str, Runbook], alert: Alert
) -> Consulted:
    llm = context.config.llm
    parts = Parts(context.advisor, context.redactor, llm.max_candidates, llm.max_raise)
    return consult(parts, candidates, runbooks, alert)


def _settled(context: Context, consulted: Consulted, why: str) -> Match:
    """The best one if it is sure enough, else a choice for a human."""
    best = consulted.candidates[0]
    least = context.config.matching.min_confidence
    if isinstance(consulted.answer, Advice):
        least = max(least, context.config.llm.min_confidence)
    if best.confidence < least:
        return Ambiguous(consulted.candidates[:_CHOICES], (why,))
    parameters = consulted.parameters if consulted.chosen == best.runbook_id else {}
    return Matched(best.runbook_id, best.revision, best.confidence, best.reasons, parameters)


def _without_rules(
    context: Context, runbooks: Mapping[str, Runbook], alert: Alert, ranked: Sequence[Ranked]
) -> Judged:
    nearest = NoMatch(tuple(_nearness(runbooks[each.key], alert, each) for each in ranked[:_NEAREST]))
    if context.config.matching.without_rules == "none":
        return Judged(nearest)
    candidates = [
        Candidate(each.key, each.probability, (_NO_RULE, *each.reasons), runbooks[each.key].revision)
        for each in ranked
        if not _is_excluded(runbooks[each.key], alert)
    ][:_CHOICES]
    if not candidates or candidates[0].confidence < WORTH_ASKING:
        return Judged(nearest)
    consulted = _consult(context, candidates, runbooks, alert)
    if consulted.candidates[0].confidence < WORTH_ASKING:
        return Judged(nearest, consulted=consulted)
    return Judged(_settled(context, consulted, _NO_RULE), consulted=consulted)


def _nearness(runbook: Runbook, alert: Alert, ranked: Ranked) -> str:
    missing = "; ".join(evaluate(runbook.trigger, alert).missing)
    return f"{runbook.id} ({ranked.probability:.2f}): {missing}"


def _is_excluded(runbook: Runbook, alert: Alert) -> bool:
    """Whether the runbook's author ruled the alert out, or did not say for what it is at all."""
    conditions = runbook.trigger.conditions
    ruled_out = tuple(
        replace(condition, expression=part) for condition in conditions for part in _nots(condition)
    )
    return not conditions or (bool(ruled_out) and not evaluate(Trigger(ruled_out), alert).holds)


def _nots(condition: Condition) -> tuple[Expression, ...]:
    """Every NOT that must hold for the condition to hold."""
    match condition.expression:
        case Not() as excluded:
            return (excluded,)
        case AllOf(parts):
            return tuple(each for part in parts for each in _nots(replace(condition, expression=part)))
        case _:
            return ()
