"""Matching: rules decide.

Every runbook whose Trigger Conditions all hold is eligible; exactly one must be.
"""

from __future__ import annotations

from agent.domain.alert import Alert
from agent.domain.decisions import Ambiguous, Candidate, Match, Matched, NoMatch
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes
from agent.domain.runbook import Runbook
from agent.library import Verdict, evaluate
from agent.pipeline.context import Context
from agent.pipeline.telling import tell

#: A rule that holds is certain; scores and the LLM will have something to say below it.
_RULE_CONFIDENCE = 1.0

_NEAREST = 3


def rank(context: Context, alert: Alert) -> list[tuple[Runbook, Verdict]]:
    """Every runbook with its verdict: those that hold first, then the nearest."""
    judged = [(runbook, evaluate(runbook.trigger, alert)) for runbook in context.library.runbooks.values()]
    return sorted(judged, key=lambda pair: (not pair[1].holds, len(pair[1].missing), pair[0].id))


def match(context: Context, alert: Alert) -> Match:
    """The one runbook that answers the alert, or why a human must choose."""
    ranked = rank(context, alert)
    eligible = [(runbook, verdict) for runbook, verdict in ranked if verdict.holds]
    if not eligible:
        nearest = ranked[:_NEAREST]
        return NoMatch(tuple(f"{runbook.id}: {'; '.join(verdict.missing)}" for runbook, verdict in nearest))
    if len(eligible) > 1:
        return Ambiguous(
            tuple(Candidate(runbook.id, 1 / len(eligible), verdict.reasons) for runbook, verdict in eligible),
            ("more than one runbook's conditions hold",),
        )
    runbook, verdict = eligible[0]
    return Matched(runbook.id, runbook.revision, _RULE_CONFIDENCE, verdict.reasons)


def decide(context: Context, incident_id: str, alert: Alert) -> Match:
    """Match, keep the revision that the incident will run by, and tell why.

    What was told before a crash stays: a runbook that changed meanwhile does not change the story.
    """
    told = context.store.incident(incident_id)
    if told.runbook_revision:
        return Matched(told.runbook_id, told.runbook_revision, told.confidence or 0.0, told.match_reasons)
    found = match(context, alert)
    match found:
        case Matched():
            _tell_matched(context, incident_id, found)
        case NoMatch():
            _tell(context, incident_id, EventKind.NO_MATCH, "⚠️ No runbook matched", found.reasons)
        case Ambiguous():
            names = ", ".join(candidate.runbook_id for candidate in found.candidates)
            reasons = tuple(f"{each.runbook_id}: {'; '.join(each.reasons)}" for each in found.candidates)
            _tell(
                context,
                incident_id,
                EventKind.AMBIGUOUS,
                f"⚠️ More than one runbook matched: {names}",
                reasons,
            )
    return found


def _tell_matched(context: Context, incident_id: str, found: Matched) -> None:
    runbook = context.library.runbooks[found.runbook_id]
    context.store.keep_revision(runbook)
    autonomy = runbook.autonomy_or(context.config.runbooks.default_autonomy)
    tell(
        context,
        incident_id,
        Entry(
            key="matched",
            kind=EventKind.MATCHED,
            text=f"📋 Matched runbook: {runbook.id}, because {'; '.join(found.reasons)}",
            data={
                "runbook": runbook.id,
                "revision": runbook.revision,
                "confidence": found.confidence,
                "why": list(found.reasons),
                "autonomy": autonomy.value,
            },
        ),
        changes=Changes(
            status=Status.MATCHED, match=found, runbook_title=runbook.title, autonomy=autonomy.value
        ),
    )


def _tell(context: Context, incident_id: str, kind: EventKind, text: str, reasons: tuple[str, ...]) -> None:
    nearest = "".join(f"\n    {reason}" for reason in reasons)
    tell(context, incident_id, Entry(kind.value, kind, text + nearest, {"why": list(reasons)}))
