"""A human's hand at the source: acknowledging, resolving or reassigning there makes the agent stand down.

The agent's own writes come back as the same webhooks. They are told apart by the user that the source
counted our write for; while our write is still under way nobody can tell, so the event waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import assert_never

from agent.domain.decisions import RESOLVED_BY_ITSELF, StandDown
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import DeskResolve, Message
from agent.domain.records import OwnWrite
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline import clearing, closing, keeptrusts, unrun
from agent.pipeline.context import Context
from agent.pipeline.queueing import closed_at_source, desk_of
from agent.pipeline.telling import tell

#: What we call our own write that makes the source send the event.
_OWN_ACTION = {EventType.ACKNOWLEDGED: "acknowledge", EventType.RESOLVED: "resolve"}

#: While the source has not told who we are, an event this soon after our own write is its echo.
_ECHO_WINDOW = timedelta(seconds=2)

#: A write whose answer never came does not hold an event back for longer than this.
_WRITE_MAY_TAKE = timedelta(seconds=15)

#: How far the source's clock may be from ours.
_CLOCKS_DIFFER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Somebody else has it now."""

    stand_down: StandDown


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """Nothing follows from it."""

    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """Our own write is still under way: ask again."""


@dataclass(frozen=True, slots=True)
class Over:
    """The source says by itself that it is over, while the agent works on it: what the run goes by."""


Reading = TakenOver | Irrelevant | Later | Over


def read_event(context: Context, event: SourceEvent) -> Reading:
    """What the event means for the incident that it is about."""
    if event.type is EventType.REASSIGNED:
        if event.actor_kind is ActorKind.HUMAN:
            return TakenOver(StandDown(_name(event), "reassigned the incident"))
        return Irrelevant("reassigned by a rule, not by a human")
    if event.type not in _OWN_ACTION:
        return Irrelevant(f"{event.name} needs nothing from the agent")
    action = _OWN_ACTION[event.type]
    write = next((each for each in context.store.own_writes(event.source_id) if each.action == action), None)
    return _read_acknowledge_or_resolve(context, event, write)


def _read_acknowledge_or_resolve(context: Context, event: SourceEvent, write: OwnWrite | None) -> Reading:
    own_user = _own_user(context, write) if write is not None else ""
    if own_user and event.actor_id == own_user:
        return Irrelevant("the agent's own write")
    if write is not None and not own_user:
        age = context.clock.now() - write.begun_at
        if write.ended_at is None and age < _WRITE_MAY_TAKE:
            return Later()
        if timedelta(0) <= age < _ECHO_WINDOW:  # below zero the clock was set back meanwhile
            return Irrelevant("the agent's own write, by its time")
    if write is not None and event.actor_kind is not ActorKind.HUMAN:
        return Irrelevant("the agent's own write")
    if event.type is EventType.RESOLVED and event.actor_kind is not ActorKind.HUMAN:
        return TakenOver(StandDown(event.actor_name or f"monitoring at {event.source}", RESOLVED_BY_ITSELF))
    how = "resolved the incident" if event.type is EventType.RESOLVED else "acknowledged the incident"
    return TakenOver(StandDown(_name(event), how))


def _own_user(context: Context, write: OwnWrite) -> str:
    configured = context.config.pagerduty.agent_user_id if context.config.pagerduty else ""
    return configured or write.actor_id or context.store.own_user_id()


def _name(event: SourceEvent) -> str:
    return event.actor_name or event.actor_id or f"somebody at {event.source}"


def _nobody_waits(_: str) -> None:
    """There is no run to wake."""


def handle_event(
    context: Context, incident_id: str, event: SourceEvent, *, wake: Callable[[str], None] = _nobody_waits
) -> bool:
    """Act on a stored event; True if somebody took over a running incident, which is then woken.

    The event is marked last: whatever a crash leaves undone before that is done at the next look.
    """
    is_word = clearing.is_word(context, incident_id, event)
    reading = Over() if is_word else read_event(context, event)
    match reading:
        case Later():
            return False
        case Irrelevant(why):
            context.store.event_handled(event.delivery_id, why)
            return False
        case Over():
            clearing.keep_word(context, incident_id, event)
            wake(incident_id)
            context.store.event_handled(event.delivery_id, "the source's word that it is over")
            return False
        case TakenOver(stand_down):
            incident_id, stand_down = _meant(context, incident_id, event, stand_down)
            if event.type is EventType.RESOLVED:
                closing.now_resolved(context, incident_id, f"{stand_down.by} resolved it")
                desk = desk_of(context.config, context.store, context.redactor)
                closed_at_source(desk, incident_id, stand_down, now=context.clock.now())
                unrun.followed(context, incident_id, stand_down)
            keeptrusts.answered(context, incident_id, stand_down)
            in_time = context.store.stand_down(incident_id, stand_down)
            again = _resolve_again(context, event, stand_down)
            told = partial(_tell_human, context, incident_id, event, stand_down)
            if in_time:
                told(key="taken-over", words="stopping", messages=again)
            elif context.store.withdraw_resolve(incident_id, why=event.delivery_id):
                told(key="withdrawn", words="the agent's resolve had not arrived yet and is withdrawn")
            elif again:
                told(key="kept-resolved", words="it stays resolved", messages=again)
            if in_time:
                wake(incident_id)
            outcome = "stand-down" if in_time else "the incident was over"
            context.store.event_handled(event.delivery_id, outcome)
            return in_time
        case _ as never:
            assert_never(never)


def _meant(context: Context, incident_id: str, event: SourceEvent, taken: StandDown) -> tuple[str, StandDown]:
    """A human who has one of the same alert's incidents has the alert; monitoring ends only that one."""
    first = context.store.folded_into(incident_id)
    if not first or event.actor_kind is not ActorKind.HUMAN:
        return incident_id, taken
    how = taken.how.replace("the incident", f"{event.source_id}, the same alert,")
    return first, StandDown(taken.by, how)


def _resolve_again(context: Context, event: SourceEvent, taken: StandDown) -> tuple[Message, ...]:
    """What keeps a resolved incident resolved, should our own acknowledge have arrived after it.

    PagerDuty opens a resolved incident again when it is acknowledged (reference "Update an incident"), and
    takes no condition along: between our look and our write somebody may have resolved it. Resolving what
    is resolved does nothing.
    """
    if event.type is not EventType.RESOLVED:
        return ()
    writes = context.store.own_writes(event.source_id)
    write = next((each for each in writes if each.action == "acknowledge"), None)
    if write is None or _was_over(write, event):
        return ()
    why = f"Resolved by {taken.by}; the agent's acknowledge came later and had opened it again"
    return (DeskResolve(event.source_id, why),)


def _was_over(write: OwnWrite, event: SourceEvent) -> bool:
    """Whether our write had surely ended before the event; both clocks may be wrong a little."""
    if write.ended_at is None or event.occurred_at is None:
        return False
    return write.ended_at + _CLOCKS_DIFFER < event.occurred_at


def _tell_human(
    context: Context,
    incident_id: str,
    event: SourceEvent,
    taken: StandDown,
    *,
    key: str,
    words: str,
    messages: Sequence[Message] = (),
) -> None:
    """What a human did at the source, and what the agent makes of it."""
    entry = Entry(
        f"{key}-{event.delivery_id}",
        EventKind.NOTE,
        f"🧍 {taken.by} {taken.how}: {words}",
        {"event": event.name, "by": taken.by},
        actor=taken.by,
    )
    tell(context, incident_id, entry, messages=messages)
