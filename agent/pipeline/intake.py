"""Intake: is this ours to work on, and what does its source know about it?"""

from __future__ import annotations

from dataclasses import replace

from agent.domain.alert import Alert
from agent.domain.decisions import HAD_RESOLVED, StandDown
from agent.domain.errors import ServiceError
from agent.domain.incident import DESK_SOURCE, Entry, EventKind, Incident, Status, is_asked
from agent.domain.outbox import Channel, DeskAcknowledge, Message
from agent.domain.records import Changes, FoldedEnd
from agent.pipeline.context import Context
from agent.pipeline.telling import preformatted, tell, tell_soon
from agent.ports import SourceFacts
from agent.safety.redaction_alert import redacted_alert

#: Starts the dedup_key of everything that the agent itself triggers.
OWN_KEY_PREFIX = "oncall-agent-"

#: The client name that the agent triggers with.
OWN_CLIENT = "oncall-agent"

#: Of what an alert says in its body a thread shows so many lines.
_BODY_LINES = 6


def receive(context: Context, incident: Incident) -> None:
    """Open the thread."""
    alert = incident.alert
    grade = alert.severity or alert.urgency
    tell_soon(
        context,
        incident.id,
        Entry(
            key="received",
            kind=EventKind.RECEIVED,
            text=f"🚨 Incident received: {alert.title}" + (f" ({grade})" if grade else ""),
            data={"source": alert.source, "source_id": alert.source_id, "service": alert.service},
        ),
    )


def learn(context: Context, incident: Incident) -> Alert:
    """The alert with what its source knows beyond the webhook; the webhook's own facts if it is down."""
    alert = incident.alert
    if alert.source != DESK_SOURCE:
        _tell_said(context, incident)
        return alert
    if context.desk is None:
        return alert
    try:
        facts = context.desk.facts(alert.source_id)
    except ServiceError as error:
        _tell_unlearned(context, incident.id, error)
        return alert
    learned = redacted_alert(context.redactor, _joined(alert, facts))
    _leave_to_whoever_has_it(context, incident, facts)
    tell(  # at once: what is the same alert, and whose service it is, is asked of what is stored
        context,
        incident.id,
        Entry(
            key="learned",
            kind=EventKind.LEARNED,
            text=f"ℹ️ {alert.source} says: {_in_words(learned)}",
            data={"labels": dict(learned.labels), "own": is_own(facts)},
        ),
        changes=Changes(alert=learned),
    )
    return learned


def _tell_said(context: Context, incident: Incident) -> None:
    """What a source without a desk has said with the alert is all that there is to learn."""
    alert = incident.alert
    text = f"ℹ️ {alert.source} says: {_in_words(alert)}{preformatted(alert.body, max_lines=_BODY_LINES)}"
    tell_soon(
        context,
        incident.id,
        Entry("learned", EventKind.LEARNED, text, {"labels": dict(alert.labels), "own": False}),
    )


def _leave_to_whoever_has_it(context: Context, incident: Incident, facts: SourceFacts) -> None:
    """A page that arrives late may long be in a human's hands."""
    if facts.status not in ("acknowledged", "resolved") or context.store.own_writes(incident.alert.source_id):
        return
    how = HAD_RESOLVED if facts.status == "resolved" else f"had {facts.status} it before the agent began"
    context.store.stand_down(incident.id, StandDown(f"somebody at {incident.alert.source}", how))


def is_own_echo(context: Context, alert: Alert) -> bool:
    """Whether this is an escalation that the agent itself raised, come back as a webhook."""
    return alert.dedup_key.startswith(OWN_KEY_PREFIX) or context.store.is_own_summary(alert.title)


def is_own(facts: SourceFacts) -> bool:
    """Whether the source says that the agent itself triggered it."""
    return OWN_CLIENT in facts.clients or any(key.startswith(OWN_KEY_PREFIX) for key in facts.alert_keys)


def ignore_echo(context: Context, incident: Incident) -> None:
    """The agent's own escalation never starts work."""
    tell(
        context,
        incident.id,
        Entry("ignored", EventKind.IGNORED, "🔇 This is the agent's own escalation: nothing is started"),
        changes=Changes(
            status=Status.IGNORED,
            result="The agent's own escalation",
            folded=FoldedEnd("The agent's own escalation"),
        ),
    )


def take_up(context: Context, incident_id: str, alert: Alert) -> StandDown | None:
    """Tell the source that it is being worked on, now that steps will run; unless a human already is.

    Not earlier: an acknowledge stops the source's own paging, so what the agent does not work on
    keeps waking people.
    """
    taken = context.store.stand_down_of(incident_id)
    if taken is not None:
        return taken
    acknowledge: tuple[Message, ...] = ()
    if is_asked(incident_id) or alert.source != DESK_SOURCE:  # nowhere to acknowledge it
        text = "👋 Taking it"
    elif Channel.PAGER in context.channels:
        text = f"👋 Taking it: acknowledging at {alert.source}"
        acknowledge = (DeskAcknowledge(alert.source_id),)
    else:
        text = "👋 Taking it, without acknowledging: nothing else would page a human"
    entry = Entry("acknowledged", EventKind.ACKNOWLEDGED, text)
    tell_soon(context, incident_id, entry, messages=acknowledge)
    return None


def _tell_unlearned(context: Context, incident_id: str, error: ServiceError) -> None:
    tell(
        context,
        incident_id,
        Entry(
            key="learned",
            kind=EventKind.LEARNED,
            text=f"⚠️ Details could not be fetched ({error.reason}); going on with what the webhook says",
            data={"error": str(error)},
        ),
    )


def _joined(alert: Alert, facts: SourceFacts) -> Alert:
    """What the source knows now wins over the webhook, except where it says nothing."""
    keys = facts.alert_keys
    own_key = next((key for key in keys if key.startswith(OWN_KEY_PREFIX)), "")
    if not own_key and OWN_CLIENT in facts.clients:
        own_key = OWN_KEY_PREFIX + alert.source_id
    return replace(
        alert,
        title=facts.title or alert.title,
        body=facts.body or alert.body,
        service=facts.service or alert.service,
        urgency=facts.urgency or alert.urgency,
        severity=facts.severity or alert.severity,
        priority=facts.priority or alert.priority,
        team=facts.team or alert.team,
        labels={**alert.labels, **facts.labels},
        environment=alert.environment or facts.labels.get("environment", facts.labels.get("env", "")),
        links=tuple(dict.fromkeys((*alert.links, *facts.links))),
        dedup_key=own_key or (keys[0] if keys else alert.dedup_key),
    )


def _in_words(alert: Alert) -> str:
    facts = {
        "severity": alert.severity,
        "urgency": alert.urgency,
        "service": alert.service,
        "labels": ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items())[:8]),
    }
    return "; ".join(f"{name} {value}" for name, value in facts.items() if value) or "nothing more"
