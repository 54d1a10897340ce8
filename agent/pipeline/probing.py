"""Looks at what `## Watch` sections name, when it is due, and raises alerts by itself.

One process does it for all of them. What was seen and what is raised stands in the store before anything is
told, and is told until the store has it: a restart, at whatever moment, neither raises twice nor forgets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import structlog

from agent.domain.alert import Alert
from agent.domain.errors import StoreError, UnknownIncidentError
from agent.domain.incident import Entry, EventKind, Incident
from agent.domain.probe_alerts import alert_of, blind_alert, cleared_event, raised_event
from agent.domain.probe_looks import after_look, forgotten, is_due, unseen
from agent.domain.probing import Deed, DeedKind, Probe, ProbeState, Raised, Reading, Unseen
from agent.domain.records import Changes
from agent.domain.runbook import Runbook
from agent.domain.source_event import SourceEvent
from agent.pipeline.context import Context
from agent.pipeline.probe_sight import Held, Seen, Sight, look, marker_of
from agent.pipeline.telling import tell
from agent.ports import ProbeStore
from agent.safety.redaction_alert import redacted_alert

log = structlog.get_logger()

#: So many looks at once, and so many in one round: the rest comes in the next one, the longest due first.
AT_ONCE, IN_ONE_ROUND = 4, 8

_EVERY_S, _AT_ONCE_S, _NOTHING_TO_WATCH_S = 1.0, 0.05, 5.0

#: A probe whose file is broken just now is asked for so often.
_BROKEN_EVERY_S = 60.0

#: And one that a human's stop holds.
_HELD_FOR_S = 10.0

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Watched:
    """One item, and the runbook that it stands in."""

    runbook: Runbook
    probe: Probe

    @property
    def key(self) -> _Key:
        """What it is remembered by."""
        return self.runbook.id, self.probe.key


class Prober:
    """One look after the other, as they become due."""

    def __init__(
        self, context: Context, states: ProbeStore, sight: Sight, *, notify: Callable[[], None] = lambda: None
    ) -> None:
        self._context = context
        self._states = states
        self._sight = sight
        self._notify = notify
        self._orphans_ended = False
        self._off: frozenset[_Key] = frozenset()
        self._held: dict[_Key, datetime] = {}

    def tick(self) -> float:
        """Tell what is still to be told, look at what is due; gives the seconds before the next round."""
        watched = watched_in(self._context.library.runbooks)
        states = {(each.runbook_id, each.key): each for each in self._states.probe_states()}
        for key in states.keys() - watched.keys():
            self._missing(states[key])
        if not watched:
            return _NOTHING_TO_WATCH_S
        self._end_orphans(watched)
        self._say_off(watched)
        for key, state in states.items():
            if state.untold and key in watched:
                states[key] = self._told(watched[key], state)
        now = self._context.clock.now()
        due = [each for each in _due(watched, states, now) if self._may_be_looked(each.key, now)]
        for each, seen in self._looked(due[:IN_ONE_ROUND]):
            self._took_in(each, states.get(each.key), seen)
        return _AT_ONCE_S if len(due) > IN_ONE_ROUND else _EVERY_S

    def _end_orphans(self, watched: Mapping[_Key, Watched]) -> None:
        """What a crash of whoever looked before left running is ended once, before the first look."""
        if self._orphans_ended:
            return
        ended = self._context.sandbox.end_orphans([marker_of(*key) for key in watched])
        if ended:
            log.warning("orphans_ended", processes=ended)
        self._orphans_ended = True

    def _say_off(self, watched: Mapping[_Key, Watched]) -> None:
        off = {key: why for key, each in watched.items() if (why := self._sight.off(each.probe))}
        for key in off.keys() - self._off:
            log.warning("watch_is_off", runbook=key[0], watch=watched[key].probe.name, why=off[key])
        self._off = frozenset(off)

    def _may_be_looked(self, key: _Key, now: datetime) -> bool:
        """What is held takes nobody's turn: it is asked for again after a while."""
        held_at = self._held.get(key)
        if held_at is not None and not 0 <= (now - held_at).total_seconds() < _HELD_FOR_S:
            del self._held[key]
        return key not in self._off and key not in self._held

    def _looked(self, due: Sequence[Watched]) -> Sequence[tuple[Watched, Seen]]:
        """A few at once: one that hangs until its timeout holds up no more than its round."""
        if len(due) < 2:
            return [(each, self._look(each)) for each in due]
        with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="watch") as pool:
            return list(zip(due, pool.map(self._look, due), strict=True))

    def _look(self, each: Watched) -> Seen:
        try:
            return look(self._context, self._sight, each.runbook, each.probe)
        except StoreError:
            raise
        except (
            Exception
        ) as error:  # a boundary: what breaks one look must not blind all the others in silence
            log.exception("watch_broke", runbook=each.runbook.id, watch=each.probe.name)
            return Unseen(f"the look itself broke ({type(error).__name__}: {error})")

    def _took_in(self, each: Watched, state: ProbeState | None, seen: Seen) -> None:
        now = self._context.clock.now()
        if isinstance(seen, Held):
            self._held[each.key] = now
            return
        found = seen if isinstance(seen, Unseen) else Reading(now, seen)
        before = state or ProbeState(each.runbook.id, each.probe.key)
        after = after_look(each.probe, replace(before, path=each.runbook.path), found, now)
        if isinstance(found, Unseen) and found.why != before.unseen_why:
            log.warning("watch_cannot_see", runbook=each.runbook.id, watch=each.probe.name, why=found.why)
        self._states.keep_probe(after)
        if after.untold:
            self._told(each, after)

    def _told(self, each: Watched | None, state: ProbeState) -> ProbeState:
        """Each deed in its turn; that it was told is kept together with what it led to."""
        for deed in state.untold:
            log.info(
                "watch_told", deed=deed.kind.value, runbook=state.runbook_id, watch=state.key, why=deed.why
            )
            state = self._tell(each, state, deed)
            state = replace(state, untold=state.untold[1:])
            self._states.keep_probe(state)
        return state

    def _tell(self, each: Watched | None, state: ProbeState, deed: Deed) -> ProbeState:
        match deed.kind:
            case DeedKind.RAISE | DeedKind.WORSE:
                return self._raise(each, state, deed) if each is not None else state
            case DeedKind.BLIND:
                incident_id = self._open(_blind_alert(each, state, deed), deed)
                return replace(state, blind=_with(state.blind, deed, incident_id))
            case DeedKind.CLEAR | DeedKind.SEES:
                self._accept(cleared_event(deed))
                return state

    def _raise(self, each: Watched, state: ProbeState, deed: Deed) -> ProbeState:
        if deed.kind is DeedKind.WORSE and _tell_worse(self._context, each, state, deed):
            return state
        incident_id = self._open(alert_of(each.runbook, each.probe, deed, state.readings), deed)
        return replace(state, raised=_with(state.raised, deed, incident_id))

    def _open(self, alert: Alert, deed: Deed) -> str:
        return self._accept(raised_event(redacted_alert(self._context.redactor, alert), deed))

    def _accept(self, event: SourceEvent) -> str:
        raw = json.dumps(asdict(event), default=str, sort_keys=True)
        accepted = self._context.store.accept(event, raw)
        self._notify()
        return accepted.incident_id

    def _missing(self, state: ProbeState) -> None:
        """It stands in no usable runbook: its file is broken just now, or nobody wants it watched."""
        now = self._context.clock.now()
        broken = _why_broken(self._context, state)
        if not broken:
            for deed in forgotten(state, now):
                self._accept(cleared_event(deed))
            _tell_gone(self._context, state)
            self._states.forget_probe(state.runbook_id, state.key)
            return
        if state.looked_at is not None and 0 <= (now - state.looked_at).total_seconds() < _BROKEN_EVERY_S:
            return
        after = unseen(state, broken, now)
        self._states.keep_probe(after)
        self._told(None, after)


def watched_in(runbooks: Mapping[str, Runbook]) -> Mapping[_Key, Watched]:
    """Every item of every usable runbook."""
    found = (Watched(runbook, probe) for runbook in runbooks.values() for probe in runbook.watch)
    return {each.key: each for each in found}


def _due(watched: Mapping[_Key, Watched], states: Mapping[_Key, ProbeState], now: datetime) -> list[Watched]:
    """What is to be looked at now, what waits the longest first."""
    fresh = ProbeState("", "")
    due = [each for key, each in watched.items() if is_due(each.probe, states.get(key, fresh), now)]

    def since(each: Watched) -> float:
        looked_at = states.get(each.key, fresh).looked_at
        return 0.0 if looked_at is None else looked_at.timestamp()

    return sorted(due, key=since)


def _blind_alert(each: Watched | None, state: ProbeState, deed: Deed) -> Alert:
    if each is None:
        return blind_alert(state, deed, title=state.runbook_id, name=state.key)
    probe = each.probe
    return blind_alert(state, deed, title=each.runbook.title, name=probe.name, service=probe.service)


def _with(raised: Raised | None, deed: Deed, incident_id: str) -> Raised | None:
    """None: it was over before it could be told, and that is told next."""
    if raised is None:
        return None
    return replace(
        raised,
        source_ids=tuple(dict.fromkeys((*raised.source_ids, deed.source_id))),
        incident_id=incident_id or raised.incident_id,
    )


def _tell_worse(context: Context, each: Watched, state: ProbeState, deed: Deed) -> bool:
    """In the incident that is worked on; False if there is none: then it is an alert of its own."""
    incident_id = state.raised.incident_id if state.raised is not None else ""
    incident = _at_work(context, incident_id)
    if incident is None:
        return False
    data = {"severity": deed.severity, "value": deed.value, "threshold": deed.threshold, "trend": deed.trend}
    entry = Entry(
        f"watch-{deed.source_id}", EventKind.NOTE, f"📈 Worse: {each.probe.name} {deed.why}", data, "watch"
    )
    alert = replace(incident.alert, severity=deed.severity)
    tell(context, incident.id, entry, changes=Changes(alert=alert))
    return True


def _at_work(context: Context, incident_id: str) -> Incident | None:
    """The incident that an alert led to, or was folded into; None once it has ended, or is archived."""
    if not incident_id:
        return None
    try:
        incident = context.store.incident(context.store.folded_into(incident_id) or incident_id)
    except UnknownIncidentError:
        return None
    return None if incident.status.is_terminal else incident


def _tell_gone(context: Context, state: ProbeState) -> None:
    incident_id = state.raised.incident_id if state.raised is not None else ""
    log.warning("watch_gone", runbook=state.runbook_id, watch=state.key, incident_id=incident_id)
    incident = _at_work(context, incident_id)
    if incident is None:
        return
    text = "⚠️ What raised this is not watched any more: nobody will say that it is over"
    tell(context, incident.id, Entry("watch-gone", EventKind.NOTE, text, {"watch": state.key}))


def _why_broken(context: Context, state: ProbeState) -> str:
    """The problem of the file that it stood in, or of the folder; "" if there is none."""
    for broken in context.library.broken:
        if state.path == broken.path or state.path.startswith(f"{broken.path}/"):
            return f"its runbook cannot be used: {broken.problems[0]}"
    return ""
