"""The source's own word that an alert is over, where a source says so by itself.

A runbook that did all it had to has fixed it only once the source says so too. What comes while steps run is
that word already: it ends no step, and the run goes by it once it gets there. Before anything ran it ends the
incident (see takeover).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count

from agent.domain.alert import Alert
from agent.domain.decisions import Completed, EscalationTrigger, StandDown, Stopped
from agent.domain.incident import Entry, EventKind, Status, TimelineEvent
from agent.domain.probe_alerts import clears_within_s
from agent.domain.probing import PROBE_SOURCE
from agent.domain.records import Changes
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline.context import Context
from agent.pipeline.telling import promised, tell
from agent.ports import Run
from agent.reports.summary import duration

#: The key of the entry that tells the source's word.
_CLEARED = "cleared"

_WAITING = "clear-awaited"

_AT_WORK = frozenset({Status.RUNNING, Status.VERIFYING})


def is_word(context: Context, incident_id: str, event: SourceEvent) -> bool:
    """Whether the event is no reason to stand down but what the run waits for, or will."""
    if not _says_so(context, event):
        return False
    incident = context.store.incident(incident_id)
    if incident.status.is_terminal:
        return bool(incident.folded_into)
    return incident.status in _AT_WORK or bool(context.store.attempts(incident_id))


def keep_word(context: Context, incident_id: str, event: SourceEvent) -> None:
    """Tell it; one that waited together with the same alert's first incident is over by that."""
    folded = bool(context.store.folded_into(incident_id))
    entry = Entry(
        _CLEARED,
        EventKind.NOTE,
        f"📣 {event.source} says that it is over",
        {"event": event.name, "source": event.source},
        actor=event.source,
    )
    changes = Changes(result=f"Over by itself at {event.source}") if folded else None
    tell(context, incident_id, entry, changes=changes)


def is_cleared(context: Context, incident_id: str) -> bool:
    """Whether its source has said so."""
    return says_cleared(context.store.timeline(incident_id))


def says_cleared(timeline: Sequence[TimelineEvent]) -> bool:
    """The same of a story that was read."""
    return any(event.key == _CLEARED for event in timeline)


def was_awaited(context: Context, incident_id: str) -> bool:
    """Whether the run has waited for it once."""
    return any(event.key == _WAITING for event in context.store.timeline(incident_id))


def await_word(
    run: Run, context: Context, incident_id: str, alert: Alert, done: Completed
) -> Completed | Stopped | StandDown:
    """Wait for the source's word, where it has one to say; a human is called if it does not come in time.

    The wait is the run's own: it holds no thread, and goes on after a restart.
    """
    within_s = within_s_of(context, alert)
    if within_s is None:
        return done
    until = run.step(_WAITING, lambda: _tell_waiting(context, incident_id, alert, within_s), returns=str)
    if not until:
        return done
    for look in count(1):
        left_s = (datetime.fromisoformat(until) - context.clock.now()).total_seconds()
        run.wait("decision", max(left_s, 0.0))
        outcome = run.step(
            f"{_CLEARED}-look-{look}", lambda: _settle(context, incident_id, until), returns=str
        )
        if outcome != "waiting":
            break
    match outcome:
        case "cleared":
            return done
        case "stood_down":
            return context.store.stand_down_of(incident_id) or StandDown("somebody", "took over")
        case _:
            why = f"still firing at {alert.source}: all was done, and it has not said that it is over since"
            return Stopped(why, EscalationTrigger.NOT_VERIFIED)


def _says_so(context: Context, event: SourceEvent) -> bool:
    if event.type is not EventType.RESOLVED or event.actor_kind is ActorKind.HUMAN:
        return False
    return event.source == PROBE_SOURCE or context.config.sources.clear_within_s(event.source) is not None


def within_s_of(context: Context, alert: Alert) -> float | None:
    """How long its source is waited for; a watch of ours looks as often as it says itself."""
    if alert.source == PROBE_SOURCE:
        return clears_within_s(alert)
    return context.config.sources.clear_within_s(alert.source)


def _tell_waiting(context: Context, incident_id: str, alert: Alert, within_s: float) -> str:
    """Until when it is waited; "" if there is nothing to wait for."""
    if is_cleared(context, incident_id):
        return ""
    until = context.clock.now() + timedelta(seconds=within_s)
    text = f"⏳ Waiting up to {duration(within_s)} for {alert.source} to say that it is over"
    entry = Entry(_WAITING, EventKind.VERIFYING, text, {"until": until.isoformat()})
    changes = Changes(status=Status.VERIFYING, waits_until=until)
    if not tell(context, incident_id, entry, changes=changes):
        return promised(context, incident_id, _WAITING, name="until")
    return until.isoformat()


def _settle(context: Context, incident_id: str, until: str) -> str:
    if context.store.stand_down_of(incident_id) is not None:
        return "stood_down"
    if is_cleared(context, incident_id):
        return "cleared"
    return "waiting" if context.clock.now() < datetime.fromisoformat(until) else "late"
