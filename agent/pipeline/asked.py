"""A run that somebody asks the daemon for: an incident with exactly this runbook; it always waits for a yes.

Nothing is matched. Parameters bind from what was said, the plan is priced, and every guard is asked as ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.alert import Alert, Severity
from agent.domain.approvals import ASKED_BY
from agent.domain.decisions import Match, Matched, NoMatch
from agent.domain.incident import ASKED_SOURCE, Entry, EventKind
from agent.domain.people import Actor, Deed, refusal
from agent.domain.runbook import Runbook
from agent.domain.source_event import Acceptance, EventType, SourceEvent
from agent.pipeline.context import Context
from agent.pipeline.match_telling import tell_matched, told_before
from agent.pipeline.stops import Subject, covering
from agent.pipeline.telling import Teller, tell
from agent.safety.redaction_alert import redacted_alert

#: Labels of such an incident's alert; nobody else may give labels that begin so.
OWN_LABELS = "oncall."
RUNBOOK, BY = f"{OWN_LABELS}runbook", f"{OWN_LABELS}asked-by"


@dataclass(frozen=True, slots=True)
class RunAsked:
    """What is to be run, and the alert it is to be run for. `key` is the same however often it is sent."""

    runbook: str
    key: str
    title: str = ""
    service: str = ""
    severity: Severity | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """The incident that is handled now. `again`: it was asked for before with the same key."""

    incident_id: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Nothing is started, and why."""

    why: str


def start(
    teller: Teller, runbooks: Mapping[str, Runbook], asked: RunAsked, actor: Actor
) -> Started | NotStarted:
    """Open the incident; durable when it returns."""
    if why := refusal(actor.person, Deed.RUN):
        return NotStarted(why)
    runbook = runbooks.get(asked.runbook)
    if runbook is None:
        return NotStarted(f"there is no runbook {asked.runbook[:100]}; `/oncall runbooks` lists them")
    if any(name.startswith(OWN_LABELS) for name in asked.labels):
        return NotStarted(f"labels that begin with {OWN_LABELS} are the agent's own; name it otherwise")
    stop = covering(teller.store.stops(), Subject(asked.service, runbook.id, runbook.path))
    if stop is not None:
        return NotStarted(f"{runbook.id} is {stop}; `oncall-agent resume {stop.id}` lifts that")
    alert = redacted_alert(teller.redactor, _alert(asked, runbook, actor))
    event = SourceEvent(
        ASKED_SOURCE,
        alert.source_id,
        EventType.TRIGGERED,
        "run.asked",
        alert.source_id,
        actor_name=str(actor),
        alert=alert,
    )
    accepted = teller.store.accept(event, "{}")
    if not accepted.incident_id:  # the same was sent at this very moment, and that one won
        accepted = teller.store.accept(event, "{}")
    if accepted.acceptance is Acceptance.NEW_INCIDENT:
        return Started(accepted.incident_id)
    before = teller.store.incident(accepted.incident_id).alert.labels.get(RUNBOOK)
    if before != runbook.id:
        return NotStarted(f"with the same id a run of {before} was asked for; give this one an id of its own")
    return Started(accepted.incident_id, again=True)


def _alert(asked: RunAsked, runbook: Runbook, actor: Actor) -> Alert:
    key = hashlib.sha256(f"{actor.person.name}\n{asked.key}".encode("utf-8", "replace")).hexdigest()[:32]
    return Alert(
        source=ASKED_SOURCE,
        source_id=f"asked-{key}",
        title=asked.title or f"{runbook.title}, asked for by {actor.person.name}",
        service=asked.service,
        severity=asked.severity,
        labels={**asked.labels, RUNBOOK: runbook.id, BY: str(actor)},
        dedup_key=f"asked {key}",  # of its own: it is no other alert come back, and goes with none
    )


def decide(context: Context, incident_id: str, alert: Alert) -> Match:
    """The runbook that was asked for, in its revision of now; told once."""
    told = told_before(context, incident_id)
    if told is not None:
        return told
    name, by = alert.labels.get(RUNBOOK, ""), alert.labels.get(BY, "")
    runbook = context.library.runbooks.get(name)
    if runbook is None:
        text = f"⚠️ {by} asked for a run of {name}, which is not in force any more"
        tell(context, incident_id, Entry("no_match", EventKind.NO_MATCH, text, {"why": [text]}))
        return NoMatch((text,))
    found = Matched(runbook.id, runbook.revision, 1.0, (f"asked for by {by}",))
    text = f"🙋 {by} asks for a run of {runbook.id}; it waits for a yes"
    entry = Entry("asked", EventKind.NOTE, text, {ASKED_BY: by}, actor=by)
    tell_matched(context, incident_id, runbook, found, before=(entry,))
    return found
