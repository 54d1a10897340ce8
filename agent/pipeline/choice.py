"""Choice: several runbooks could answer the alert, so a human is paged at once and says which one it is.

A choice is no approval: the chosen runbook is planned and guarded like any other, and waits for a yes if its
autonomy says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count

import structlog

from agent.domain.decisions import Ambiguous, Candidate, EscalationTrigger, Matched, StandDown, Stopped
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import CHOICE, Changes, Decision
from agent.pipeline import closing, rechoice
from agent.pipeline.context import Context
from agent.pipeline.kept import kept_runbook
from agent.pipeline.match_telling import choices_in_words, tell_matched, told_before
from agent.pipeline.telling import promised, tell
from agent.pipeline.turns import take_turn
from agent.ports import Run

log = structlog.get_logger()


def ask(run: Run, context: Context, incident_id: str, found: Ambiguous) -> Matched | Stopped | StandDown:
    """The runbook that a human chose in time; else the incident ends as it would have without asking."""
    reason = reason_of(found)
    expires_at = datetime.fromisoformat(
        run.step("choice-asked", lambda: _tell_asked(context, incident_id, found, reason), returns=str)
    )
    outcome = "waiting"
    for look in count(1):  # a wake-up may be about something else
        left_s = (expires_at - context.clock.now()).total_seconds()
        run.wait("decision", max(left_s, 0.0))
        outcome = run.step(
            "choice" if look == 1 else f"choice-{look}",
            lambda: _settle(context, incident_id, found, expires_at),
            returns=str,
        )
        if outcome != "waiting":
            break
    if outcome == "stood_down":
        return context.store.stand_down_of(incident_id) or StandDown("somebody", "took over")
    if outcome == "chosen":
        end = take_turn(run, context, incident_id, after="choice") or told_before(context, incident_id)
        if end is not None:
            return end
    return Stopped(f"{reason}; {outcome}", EscalationTrigger.AMBIGUOUS)


def reason_of(found: Ambiguous) -> str:
    """Why a human is asked, in few words."""
    names = ", ".join(candidate.runbook_id for candidate in found.candidates)
    if len(found.candidates) == 1:
        return f"It is not sure enough that {names} is the right runbook"
    return f"More than one runbook matches: {names}"


def _tell_asked(context: Context, incident_id: str, found: Ambiguous, reason: str) -> str:
    incident = context.store.incident(incident_id)
    timeout_s = context.config.escalation.approval_timeout_s
    expires_at = context.clock.now() + timedelta(seconds=timeout_s)
    text = f"⚠️ {reason}. A human is paged and has {timeout_s:g} s to choose one"
    if closing.nobody_can_be_paged(context, incident):
        log.error("nobody_can_be_paged", incident_id=incident_id, reason=reason, fix=closing.NO_PAGER)
        text = f"⚠️ {reason}. There are {timeout_s:g} s to choose one. {closing.NO_PAGER}"
    data = {
        "why": list(found.reasons),
        "choices": [[each.runbook_id, round(each.confidence, 4)] for each in found.candidates],
        "expires_at": expires_at.isoformat(),
    }
    text += choices_in_words(incident_id, found.candidates)
    told = tell(
        context,
        incident_id,
        Entry("ambiguous", EventKind.AMBIGUOUS, text, data),
        changes=Changes(status=Status.AWAITING_APPROVAL, waits_until=expires_at),
        messages=(closing.page_for_choice(context, incident, reason),),
    )
    return expires_at.isoformat() if told else promised(context, incident_id, "ambiguous", name="expires_at")


def _settle(context: Context, incident_id: str, found: Ambiguous, expires_at: datetime) -> str:
    """What was chosen; a choice that came after the expiry is none."""
    if context.store.stand_down_of(incident_id) is not None:
        return "stood_down"
    decision = context.store.decision(incident_id, CHOICE)
    if decision is None and context.clock.now() < expires_at:
        return "waiting"
    if decision is None or decision.at > expires_at:
        tell(context, incident_id, Entry("choice", EventKind.NOTE, "⌛ Nobody chose a runbook in time"))
        return "nobody chose one in time"
    candidate = next((each for each in found.candidates if each.runbook_id == decision.choice), None)
    if candidate is None:
        return "what was chosen had not been offered"
    _tell_chosen(context, incident_id, found, candidate, decision)
    return "chosen"


def _tell_chosen(
    context: Context, incident_id: str, found: Ambiguous, candidate: Candidate, decision: Decision
) -> None:
    runbook = kept_runbook(context, candidate.runbook_id, candidate.revision)
    entry = Entry(
        "choice",
        EventKind.CHOSEN,
        f"👉 {decision.by} chose {runbook.id}",
        {"runbook": runbook.id, "probability": round(candidate.confidence, 4), closing.CLEARS: True},
        actor=decision.by,
    )
    chosen = Matched(
        runbook.id,
        runbook.revision,
        candidate.confidence,
        (f"chosen by {decision.by}", *candidate.reasons),
    )
    cleared = closing.clear_choice(incident_id, f"{decision.by} chose {runbook.id}")
    alert = context.store.incident(incident_id).alert
    offered = [(each, kept_runbook(context, each.runbook_id, each.revision)) for each in found.candidates]
    among = rechoice.eligible(context, alert, offered)
    tell_matched(context, incident_id, runbook, chosen, among=among, before=(entry,), messages=(cleared,))
