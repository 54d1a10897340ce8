"""Closing: resolve, escalate with the evidence, or hand over; then the summary."""

from __future__ import annotations

from agent.domain.alert import Severity
from agent.domain.decisions import Completed, StandDown, Stopped
from agent.domain.incident import Entry, EventKind, Incident, Status
from agent.domain.outbox import ChatSummary, DeskNote, DeskResolve, Message, PageHuman
from agent.pipeline.context import Context
from agent.pipeline.intake import OWN_KEY_PREFIX
from agent.pipeline.telling import tell
from agent.ports import Changes, Escalation
from agent.reports.summary import evidence, summary

#: PagerDuty Events API v2 cuts a longer summary.
_MAX_SUMMARY = 1_024

#: Spreads no one alert's text over a whole note (PagerDuty notes: 25,000 characters are shown).
_MAX_NOTE = 20_000


def resolve(context: Context, incident_id: str, done: Completed) -> bool:
    """It is fixed: close it at its source, with what was done."""
    taken = context.store.stand_down_of(incident_id)
    if taken is not None:
        return stand_down(context, incident_id, taken)
    incident = context.store.incident(incident_id)
    result = "Resolved automatically"
    entry = Entry(
        "end", EventKind.RESOLVED, "✅ Incident resolved automatically", {"succeeded": done.succeeded}
    )
    told = tell(context, incident_id, entry, changes=Changes(status=Status.RESOLVED, result=result))
    resolution = f"Resolved automatically by runbook {incident.runbook_id}"
    closing: tuple[Message, ...] = (DeskResolve(incident.alert.source_id, resolution),)
    _summarise(context, incident_id, result, closing)
    return told


def escalate(context: Context, incident_id: str, stopped: Stopped) -> bool:
    """A human is needed: page them with the alert, what was tried, the output and the reason."""
    incident = context.store.incident(incident_id)
    reason = context.redactor.text(stopped.reason)
    page = _page(context, incident, reason)
    told = tell(
        context,
        incident_id,
        Entry(
            "end",
            EventKind.ESCALATED,
            f"🔴 ESCALATING: {reason}",
            {"trigger": stopped.trigger.value, "why": reason, "dedup_key": page.dedup_key},
        ),
        changes=Changes(
            status=Status.ESCALATED,
            result=f"Escalated to a human: {reason}",
            escalation=Escalation(stopped.trigger, reason, page.severity, page.dedup_key, page.summary),
        ),
        messages=(page,),
    )
    _summarise(context, incident_id, f"Escalated to a human: {reason}")
    return told


def stand_down(context: Context, incident_id: str, taken: StandDown) -> bool:
    """Somebody took over: say who, and what state things are in."""
    told = tell(
        context,
        incident_id,
        Entry(
            "end",
            EventKind.STOOD_DOWN,
            f"🧍 Standing down: {taken.by} {taken.how}. The agent starts nothing more.",
            {"by": taken.by, "how": taken.how},
            actor=taken.by,
        ),
        changes=Changes(status=Status.STOOD_DOWN, result=f"Handed over to {taken.by}"),
    )
    _summarise(context, incident_id, f"Handed over to {taken.by} ({taken.how})")
    return told


def _page(context: Context, incident: Incident, reason: str) -> PageHuman:
    attempts = context.store.attempts(incident.id)
    details = evidence(incident, context.store.timeline(incident.id), attempts, reason=reason)
    redacted = context.redactor.value(details)
    public_url = context.config.server.public_url.rstrip("/")
    return PageHuman(
        dedup_key=f"{OWN_KEY_PREFIX}{incident.id}",
        summary=context.redactor.text(f"AI agent escalation: {reason} [{incident.alert.title}]")[
            :_MAX_SUMMARY
        ],
        severity=incident.alert.severity or Severity.CRITICAL,
        source="incident-agent",
        component=context.redactor.text(incident.alert.service),
        details=redacted if isinstance(redacted, dict) else {},
        links=((f"{public_url}/api/v1/incidents/{incident.id}", "The incident's timeline"),),
    )


def _summarise(context: Context, incident_id: str, result: str, closing: tuple[Message, ...] = ()) -> None:
    """The summary goes to the thread, the channel and the source; only then is the source closed."""
    incident = context.store.incident(incident_id)
    text = context.redactor.text(
        summary(incident, context.store.timeline(incident_id), result=result, now=context.clock.now())
    )
    note = DeskNote(incident.alert.source_id, text[:_MAX_NOTE])
    entry = Entry("summary", EventKind.SUMMARY, text)
    tell(context, incident_id, entry, messages=(ChatSummary(text), note, *closing))
