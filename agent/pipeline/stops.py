"""The kill switch: put and lifted by humans, asked before everything that starts, told to whom it touches.

It is asked of the database each time and never kept: it is in force everywhere as soon as it is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

import structlog

from agent.domain.decisions import EscalationTrigger, Stopped
from agent.domain.errors import StoreAwayError, StoreError
from agent.domain.incident import Entry, EventKind, Incident
from agent.domain.outbox import ChatCard, ChatSummary, Message, channel_of
from agent.domain.runbook import Runbook
from agent.domain.stops import STOP_PREFIX, Stop, StopAsked, StopScope
from agent.pipeline.telling import Teller, redacted, tell
from agent.reports.summary import duration

if TYPE_CHECKING:  # a stop is typed in a hurry: nothing is loaded that it does not need
    from agent.pipeline.context import Context
    from agent.ports import Run

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a stop or a freeze may be about: an incident's service, and its runbook if one is known."""

    service: str
    runbook_id: str = ""
    path: str = ""


def subject_of(incident: Incident, runbook: Runbook | None = None) -> Subject:
    """The incident with its runbook; until one is settled, with the one that it was matched with."""
    if runbook is None:
        return Subject(incident.alert.service, incident.runbook_id)
    return Subject(incident.alert.service, runbook.id, runbook.path)


def covers(stop: Stop, subject: Subject) -> bool:
    """Whether the stop is about it. Names compare as in Trigger Conditions: in any case, with `*` and `?`."""
    match stop.scope:
        case StopScope.ALL:
            return True
        case StopScope.SERVICE:
            return is_service(stop.name, subject)
        case StopScope.RUNBOOK:
            return is_runbook(stop.name, subject)


def is_service(name: str, subject: Subject) -> bool:
    """An alert that does not say which service it is of may be of any: it is covered."""
    return not subject.service or _is_glob(name, subject.service)


def is_runbook(name: str, subject: Subject) -> bool:
    """By its id, or by its path from wherever one looks at it."""
    if not subject.runbook_id:
        return False
    return _is_glob(name, subject.runbook_id) or (bool(subject.path) and _same_file(name, subject.path))


def _is_glob(name: str, text: str) -> bool:
    from agent.library import regexes

    return regexes.is_glob(name, text)


def _same_file(name: str, path: str) -> bool:
    """`redis.md`, `runbooks/redis.md` and `/srv/agent/runbooks/redis.md` may all be the same file."""
    given, known = PurePath(name).parts, PurePath(path).parts
    length = min(len(given), len(known))
    return length > 0 and given[-length:] == known[-length:]


def covering(stops: Sequence[Stop], subject: Subject) -> Stop | None:
    """The stop that covers it; one that ends what runs comes first."""
    found = [stop for stop in stops if covers(stop, subject)]
    return next((stop for stop in found if stop.ends_running), found[0] if found else None)


def in_force(context: Context, incident_id: str, runbook: Runbook | None = None) -> Stop | None:
    """The stop that keeps this incident from going on; told in its thread."""
    stops = context.store.stops()
    if not stops:
        return None
    stop = covering(stops, subject_of(context.store.incident(incident_id), runbook))
    if stop is not None:
        _tell_stopped(context, incident_id, stop)
    return stop


def must_end(context: Context, incident_id: str, runbook: Runbook) -> Stop | None:
    """The stop that ends what runs of this incident; a running command asks often."""
    stops = [stop for stop in context.store.stops() if stop.ends_running]
    if not stops:
        return None
    return covering(stops, subject_of(context.store.incident(incident_id), runbook))


#: The entry that tells that what is asked before was done.
_TOLD = {"choice": "ambiguous", "plan": "planned", "take-up": "acknowledged"}


def _told_by(before: str) -> str:
    """`plan-2`, the plan of another runbook, is told as `planned-2`."""
    return _TOLD.get(before) or before.replace("plan-", "planned-", 1)


def ask(
    run: Run, context: Context, incident_id: str, *, before: str, runbook: Runbook | None = None
) -> Stopped | None:
    """Why the incident ends here, if it is stopped; while nothing is, this costs one read and no step."""
    if _is_nothing_stopped(context):
        return None

    def look() -> Stopped | None:
        if any(event.key == _told_by(before) for event in context.store.timeline(incident_id)):
            return None  # done before a restart: it is beyond this point, and asked again further on
        stop = in_force(context, incident_id, runbook)
        return Stopped(str(stop), EscalationTrigger.KILL_SWITCH) if stop is not None else None

    ended: Stopped | None = run.step(f"stops-before-{before}", look, returns=Stopped | None)
    return ended


def _is_nothing_stopped(context: Context) -> bool:
    try:
        return not context.store.stops()
    except StoreError:  # asked again as a step, which waits for the database and never takes it for a no
        return False


def told(context: Context, incident_id: str, *, left: str) -> Stopped:
    """The end of an incident that was told of a stop; `left` is what was left undone."""
    said = [event for event in context.store.timeline(incident_id) if event.kind is EventKind.STOPPED]
    why = str(said[-1].data.get("why")) if said else "stopped"
    return Stopped(f"{why}; {left}", EscalationTrigger.KILL_SWITCH)


def put(teller: Teller | Context, asked: StopAsked, *, now: datetime) -> tuple[Stop, bool]:
    """The stop that is in force from now on, and whether it was not before."""
    stop = Stop(
        id=f"{STOP_PREFIX}{now:%Y%m%d}-{secrets.token_hex(4)}",
        scope=asked.scope,
        name=asked.name,
        reason=teller.redactor.text(asked.reason),
        by=asked.by,
        at=now,
        ends_running=asked.ends_running,
    )
    try:
        found = _write(teller, stop)
    except StoreAwayError:
        teller.store.put_stop_aside(stop)
        found = stop
    return found, found.id == stop.id


def _write(teller: Teller | Context, stop: Stop) -> Stop:
    return teller.store.put_stop(stop, _entry(teller, stop), _sendable(teller, ChatCard()))


def _entry(teller: Teller | Context, stop: Stop) -> Entry:
    entry = Entry("stopped", EventKind.STOPPED, f"⛔ {_upper(stop)}", _data(stop), stop.by)
    return redacted(teller, entry)


def take_over(teller: Teller | Context) -> None:
    """What was put aside while the database was held gets its row, its entry and its letters."""
    for stop in teller.store.set_aside():
        if not stop.is_foreign:
            _write(teller, stop)
            teller.store.taken_over(stop)


def lift(teller: Teller | Context, stop: Stop, *, by: str, now: datetime) -> bool:
    """The agent goes on; False if somebody had lifted it before."""
    take_over(teller)
    took = duration((now - stop.at).total_seconds())
    text = f"▶️ Resumed by {by}: it was {stop}, for {took}"
    entry = redacted(teller, Entry("resumed", EventKind.RESUMED, text, _data(stop), by))
    return teller.store.lift_stop(stop.id, by, entry, _sendable(teller, ChatSummary(entry.text), ChatCard()))


def _sendable(teller: Teller | Context, *messages: Message) -> list[Message]:
    return [message for message in messages if channel_of(message) in teller.channels]


class StopsClerk:
    """Tells every unfinished incident of the stops that touch it; keeps what is in force for `/health`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.in_force: Sequence[Stop] = ()

    def tick(self) -> float:
        """Look; gives the seconds before it is worth looking again."""
        store = self._context.store
        self.in_force = store.stops()
        take_over(self._context)
        for stop in store.untold_stops():
            # one that was put in a hurry has no entry yet; told before, it is not told again
            store.record(
                stop.id, [_entry(self._context, stop)], messages=_sendable(self._context, ChatCard())
            )
            for incident in store.unfinished():
                self._tell(incident, stop)
            store.stop_told(stop)
            told = "stopped" if stop.is_in_force else "resumed"
            log.warning(told, stop=stop.id, what=stop.what, by=stop.lifted_by or stop.by, reason=stop.reason)
        return 0.5

    def _tell(self, incident: Incident, stop: Stop) -> None:
        if stop.is_in_force:
            runbook = self._context.library.runbooks.get(incident.runbook_id)
            if covers(stop, subject_of(incident, runbook)):
                _tell_stopped(self._context, incident.id, stop)
        elif any(event.key == stop.id for event in self._context.store.timeline(incident.id)):
            text = f"▶️ Resumed by {stop.lifted_by}"
            entry = Entry(f"{stop.id}-resumed", EventKind.RESUMED, text, _data(stop), stop.lifted_by)
            tell(self._context, incident.id, entry)


def _tell_stopped(context: Context, incident_id: str, stop: Stop) -> None:
    text = f"⛔ {_upper(stop)}. Nothing more is started"
    tell(context, incident_id, Entry(stop.id, EventKind.STOPPED, text, _data(stop), stop.by))


def _data(stop: Stop) -> dict[str, object]:
    return {
        "stop": stop.id,
        "scope": stop.scope.value,
        "name": stop.name,
        "reason": stop.reason,
        "by": stop.by,
        "ends_running": stop.ends_running,
        "why": str(stop),
    }


def _upper(stop: Stop) -> str:
    text = str(stop)
    return text[:1].upper() + text[1:]
