"""Handing over: before a human is called another agent may be asked, until a time.

The page never hangs on that agent. What is critical is paged at once, all the same; anything else is paged at
the deadline at the latest, by this run, which waits for nothing but an answer and the clock. Whatever the
other agent does but answer `resolved` in time calls the human as if it had not been asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from agent.domain.alert import Severity
from agent.domain.decisions import Completed, EscalationTrigger, StandDown, Stopped
from agent.domain.handoffs import (
    FOR_AGENTS_TOO,
    HANDED_OVER,
    HANDOFF,
    HANDOFF_SOURCE,
    MAY_VERIFY,
    Answered,
)
from agent.domain.incident import MANUAL_SOURCE, Entry, EventKind, Incident, Status, is_asked
from agent.domain.outbox import Channel, HandOver, Message
from agent.domain.queue import Rank, rank_of
from agent.domain.records import Changes, Decision
from agent.escalations.entering import HANDOFF_PREFIX
from agent.escalations.settings import queueing_of
from agent.pipeline import clearing, closing
from agent.pipeline.context import Context
from agent.pipeline.escalation_notes import escalation_notes
from agent.pipeline.execution import Job
from agent.pipeline.kept import kept_runbook
from agent.pipeline.telling import promised, tell
from agent.pipeline.terms import settled_terms
from agent.pipeline.turns import take_turn
from agent.pipeline.verification import verify
from agent.ports import Run

_RESOLVED, _CLEARED, _STOOD_DOWN, _WAITING = "resolved", "cleared", "stood_down", "waiting"

#: Who says of another agent that it does not take it: whoever posted it there.
OWN_WORD = "agent"

#: Words of another agent are shown to people, and no longer than they read.
_MAX_WORDS = 500


@dataclass(frozen=True, slots=True)
class Mended:
    """Another agent, or the source, says that it is over; `is_verified`: our own Verify section holds too."""

    by: str
    words: str
    is_verified: bool


def ask(run: Run, context: Context, incident_id: str, stopped: Stopped) -> Mended | Stopped | StandDown:
    """What became of it at the other agent; the same `Stopped` if none is to be asked."""
    if not context.config.handoff.targets or is_asked(incident_id) or stopped.trigger not in FOR_AGENTS_TOO:
        return stopped
    to = run.step("hand-over-to", lambda: _whom(context, incident_id, stopped), returns=str)
    if not to:
        return stopped
    expires_at = datetime.fromisoformat(
        run.step(HANDED_OVER, lambda: _tell_handed_over(context, incident_id, to, stopped), returns=str)
    )
    outcome = _WAITING
    for look in count(1):  # a wake-up may be about something else
        left_s = (expires_at - context.clock.now()).total_seconds()
        run.wait("decision", max(left_s, 0.0))
        outcome = run.step(
            "handed-back" if look == 1 else f"handed-back-{look}",
            lambda: _settle(context, incident_id, to, expires_at),
            returns=str,
        )
        if outcome != _WAITING:
            break
    if outcome == _STOOD_DOWN:
        return context.store.stand_down_of(incident_id) or StandDown("somebody", "took over")
    if outcome == _CLEARED:
        return Mended(context.store.incident(incident_id).alert.source, "it is over there", is_verified=False)
    if outcome == _RESOLVED:
        return _believed(run, context, incident_id, to, stopped)
    return Stopped(f"{stopped.reason}; {outcome}", stopped.trigger)


def key_of(context: Context, incident_id: str) -> str:
    """What both ends call it; made of what never changes, so that twice is once."""
    return f"{context.config.handoff.name}-{incident_id}"


def said_of(decision: Decision) -> Answered:
    """What the other agent said, as it was kept beside its decision."""
    data = json.loads(decision.choice) if decision.choice.startswith("{") else {}
    evidence = data.get("evidence")
    words = " ".join(str(data.get("words") or "").split())
    return Answered(words[:_MAX_WORDS], evidence if isinstance(evidence, dict) else {})


def kept(answered: Answered) -> str:
    """The same, as it is kept."""
    return json.dumps({"words": answered.words, "evidence": dict(answered.evidence)})


def _whom(context: Context, incident_id: str, stopped: Stopped) -> str:
    """The agent that the routing rules, or the runbook, name; "" where a human is called at once."""
    incident = context.store.incident(incident_id)
    if incident.alert.source == MANUAL_SOURCE or context.store.stand_down_of(incident_id) is not None:
        return ""
    notes = escalation_notes(context, incident)
    rule = queueing_of(context.config).rule_of(
        incident.alert,
        stopped.trigger.value,
        _rank(context, incident),
        runbook=incident.runbook_id,
        wanted=notes.routing,
        now=context.clock.now(),
    )
    handoff = context.config.handoff
    for text in (rule.route_to, rule.channel):
        name = text.removeprefix(HANDOFF_PREFIX)
        if name == text or name not in handoff.targets:
            continue
        chain = _chain(context, incident)
        if name not in chain and len(chain) < handoff.max_hops:
            return name
        why = f"{name} had it before" if name in chain else f"{len(chain)} agents had it, as many as may"
        tell(context, incident_id, Entry("not-handed", EventKind.NOTE, f"🤝 {name} is not asked: {why}"))
    return ""


def _chain(context: Context, incident: Incident) -> tuple[str, ...]:
    """Who had it before, for an incident that was handed to us."""
    if incident.alert.source != HANDOFF_SOURCE:
        return ()
    handed = context.store.handed_in(incident.alert.source_id)
    return handed.chain if handed is not None else ()


def _rank(context: Context, incident: Incident) -> Rank:
    severity = escalation_notes(context, incident).severity
    if severity:
        return rank_of(Severity(severity), None)
    return rank_of(incident.alert.severity, incident.alert.urgency)


def _tell_handed_over(context: Context, incident_id: str, to: str, stopped: Stopped) -> str:
    incident = context.store.incident(incident_id)
    reason = context.redactor.text(stopped.reason)
    expires_at = _deadline(context, incident, to)
    pages_now = _rank(context, incident) is Rank.CRITICAL and incident.alert.source != HANDOFF_SOURCE
    page = "a human is paged now all the same: it is critical" if pages_now else "a human is called then"
    until = f"{expires_at.astimezone(UTC):%H:%M:%S} UTC"
    text = f"🤝 {reason}. {to} is asked, with all that is known, and has until {until}; {page}"
    data = {
        "to": to,
        "key": key_of(context, incident_id),
        "why": reason,
        "trigger": stopped.trigger.value,
        "expires_at": expires_at.isoformat(),
        "paged": pages_now,
    }
    messages: list[Message] = [HandOver(to, key_of(context, incident_id))]
    if pages_now:
        messages.append(closing.page_ahead(context, incident, reason))
    told = tell(
        context,
        incident_id,
        Entry(HANDED_OVER, EventKind.NOTE, text, data),
        changes=Changes(status=Status.AWAITING_APPROVAL, waits_until=expires_at),
        messages=messages,
    )
    return expires_at.isoformat() if told else promised(context, incident_id, HANDED_OVER, name="expires_at")


def _deadline(context: Context, incident: Incident, to: str) -> datetime:
    """No later than whoever handed it to us waits."""
    target = context.config.handoff.targets.get(to)
    now = context.clock.now()
    if target is None or Channel.HANDOFF not in context.channels:
        return now
    expires_at = now + target.deadline
    if incident.alert.source != HANDOFF_SOURCE:
        return expires_at
    handed = context.store.handed_in(incident.alert.source_id)
    return expires_at if handed is None else max(now, min(expires_at, handed.deadline))


def _settle(context: Context, incident_id: str, to: str, expires_at: datetime) -> str:
    """What the other agent said; an answer that came after the deadline is none."""
    if context.store.stand_down_of(incident_id) is not None:
        return _STOOD_DOWN
    decision = context.store.decision(incident_id, HANDOFF)
    if decision is None and clearing.is_cleared(context, incident_id):
        return _CLEARED
    if decision is None and context.clock.now() < expires_at:
        return _WAITING
    if decision is None or decision.at > expires_at:
        words = f"{to} did not answer in time"
        tell(context, incident_id, Entry("handed-back", EventKind.NOTE, f"⌛ {words}"))
        return words
    answered = said_of(decision)
    outcome = "it is resolved" if decision.approved else "a human is needed"
    said = f": {answered.words}" if answered.words else ""
    words = f"{to} does not take it{said}" if decision.by == OWN_WORD else f"{to} says: {outcome}{said}"
    data = {"outcome": outcome, "evidence": dict(answered.evidence)}
    tell(context, incident_id, Entry("handed-back", EventKind.NOTE, f"🤝 {words}", data, actor=to))
    return _RESOLVED if decision.approved else words


def _believed(
    run: Run, context: Context, incident_id: str, to: str, stopped: Stopped
) -> Mended | Stopped | StandDown:
    """Its word is checked with the runbook's own Verify section, where that section may run."""
    words = run.step("handed-back-words", lambda: _words(context, incident_id), returns=str)
    taken = take_turn(run, context, incident_id, after=HANDED_OVER)
    if taken is not None:
        return taken
    job = _job(run, context, incident_id, stopped)
    done = Completed(0, 0)
    end: Completed | Stopped | StandDown = done
    if job is not None:
        end = verify(run, context, job, done, again=True)
    if isinstance(end, Completed):
        end = _heard(run, context, incident_id, end)
    match end:
        case Completed():
            return Mended(to, words, is_verified=job is not None)
        case Stopped(reason):
            return Stopped(f"{stopped.reason}; {to} says: it is resolved; {reason}", stopped.trigger)
        case StandDown() as stand_down:
            return stand_down


def _heard(run: Run, context: Context, incident_id: str, done: Completed) -> Completed | Stopped | StandDown:
    """And with the source's own word, where it has one to say; it is waited for once in a run."""
    waited = run.step("handed-back-waited", lambda: clearing.was_awaited(context, incident_id), returns=bool)
    if not waited:
        alert = context.store.incident(incident_id).alert
        return clearing.await_word(run, context, incident_id, alert, done)
    if run.step("handed-back-cleared", lambda: clearing.is_cleared(context, incident_id), returns=bool):
        return done
    return Stopped("its source has not said that it is over", EscalationTrigger.NOT_VERIFIED)


def _words(context: Context, incident_id: str) -> str:
    decision = context.store.decision(incident_id, HANDOFF)
    return said_of(decision).words if decision is not None else ""


def _job(run: Run, context: Context, incident_id: str, stopped: Stopped) -> Job | None:
    """What the Verify section needs; None where there is none, or it was never allowed to run."""
    incident = context.store.incident(incident_id)
    plan = context.store.plan(incident_id)
    if stopped.trigger not in MAY_VERIFY or plan is None or any(each.waits_for for each in plan.verify):
        return None
    runbook = kept_runbook(context, incident.runbook_id, incident.runbook_revision)
    if runbook.verification is None:
        return None
    terms = settled_terms(context, incident_id, runbook, plan)
    until_s = context.config.execution.incident_deadline_s
    deadline = datetime.fromisoformat(
        run.step(
            "handed-back-deadline",
            lambda: _after(context, until_s),
            returns=str,
        )
    )
    return Job(incident_id, runbook, plan, deadline, replace(terms, step_by_step=False))


def _after(context: Context, seconds: float) -> str:
    return (context.clock.now() + timedelta(seconds=seconds)).isoformat()
