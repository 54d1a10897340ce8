"""Pages a human once on whatever is stuck, with the reason and what to do, and on what nobody is told.

A look costs a handful of indexed queries, whatever there is: only what is late comes back from the store. One
thing that cannot be looked at hides none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog

from agent.adapters.store import Store
from agent.delivery.alarms import Alarm, Alarms
from agent.delivery.lateness import Lateness
from agent.domain.alert import Severity
from agent.domain.bypasses import Bypass
from agent.domain.decisions import EscalationTrigger, Stopped
from agent.domain.errors import AgentError
from agent.domain.runs import RunState
from agent.domain.stuck import Standing, Stuck
from agent.durable import Durable
from agent.pipeline import closing, stuck
from agent.pipeline.context import Context
from agent.pulse import Pulse

log = structlog.get_logger()

#: How often it looks; after a full look at once again.
_EVERY_S = 5.0
_AT_ONCE_S = 0.1

#: More that is late at once is taken up in the next look, so that none takes for ever.
_MOST = 200

#: A run that nobody is found at is started again so often by one process; then a human is called.
_MOST_RESTARTS = 3

#: An attempt may be late by what writing its end down may take.
_ATTEMPT_GRACE = timedelta(minutes=1)

#: A process that was seen this lately may still be at work.
_LIVES_S = 60.0

#: A run that was begun this long ago is surely in the books.
_BOOKED = timedelta(seconds=30)
_LOST_EVERY_S = 60.0

#: What cannot be looked at for so long is told to a human.
_TROUBLE_S = 60.0

#: What ends bypasses looks every few seconds.
_BYPASS_GRACE = timedelta(minutes=2)

#: After a start everything is given this time to take up again what waited for it.
_START_S = 30.0

#: The time of day may drift from the steady clock by this much; more, and it was set, or the machine slept.
_CLOCK_STEP_S = 30.0


class Watchdog:
    """Looks over everything unfinished."""

    def __init__(
        self, context: Context, store: Store, durable: Durable, *, alarms: Alarms, pulse: Pulse
    ) -> None:
        self._context = context
        self._store = store
        self._durable = durable
        self._alarms = alarms
        self._pulse = pulse
        self._lateness = Lateness(context, store, alarms)
        self._missed: frozenset[str] = frozenset()
        self._restarts: dict[str, int] = {}
        self._unread: dict[str, str] = {}
        self._unread_since: float | None = None
        self._clock_offset_s: float | None = None
        self._lost_at = 0.0
        self._patient_until = context.clock.monotonic() + _START_S

    def tick(self) -> float:
        """Look; gives the seconds before it is worth looking again. AgentError: it could not look at all."""
        self._unread = {}
        blind: list[str] = []
        is_full = False
        for what, look in self._looks():
            with _guarded(what, blind.append):
                is_full = look() or is_full
        if blind:
            raise AgentError(f"the watchdog is blind: {'; '.join(blind)}")
        return _AT_ONCE_S if is_full and not self._unread else _EVERY_S

    def _looks(self) -> Iterator[tuple[str, Callable[[], bool]]]:
        """What to look at; each look says whether there was more than fits into it."""
        if not self._is_patient():
            yield "incidents", self._look_at_incidents
            yield "attempts", self._look_at_attempts
            yield "letters", self._look_at_letters
            yield "bypasses", self._look_at_bypasses
        yield "runs", self._look_at_runs
        yield "lost runs", self._look_for_lost_ones
        yield "schedules", self._look_at_schedules
        yield "itself", self._look_at_itself

    def _is_patient(self) -> bool:
        """At the start, and after a step of the clock, what seems late gets its time to go on by itself."""
        clock = self._context.clock
        monotonic = clock.monotonic()
        offset_s = clock.now().timestamp() - monotonic
        before_s, self._clock_offset_s = self._clock_offset_s, offset_s
        if before_s is not None and abs(offset_s - before_s) > _CLOCK_STEP_S:
            log.warning("clock_stepped", by_s=round(offset_s - before_s, 1))
            self._patient_until = max(self._patient_until, monotonic + stuck.GRACE.total_seconds())
        return monotonic < self._patient_until

    def _look_at_incidents(self) -> bool:
        now = self._context.clock.now()
        suspects = self._store.suspects(stuck.cutoffs(self._context.config, now), _MOST)
        if not suspects:
            return False
        around = stuck.Around(self._store.stops(), self._store.at_work())
        for standing in suspects:
            with self._reading(standing.incident_id):
                self._look_at(standing, around, now)
        return len(suspects) == _MOST

    def _look_at(self, standing: Standing, around: stuck.Around, now: datetime) -> None:
        found = stuck.overdue(self._context.config, standing, around, now)
        if found is not None:
            self._page(standing.incident_id, found, seen=standing)

    def _look_for_lost_ones(self) -> bool:
        """Started, not ended, and there is no run of it: once a minute, for it looks at everything open."""
        monotonic = self._context.clock.monotonic()
        if monotonic < self._lost_at:
            return False
        self._lost_at = monotonic + _LOST_EVERY_S
        lost = self._store.unheld(self._context.clock.now() - _BOOKED, _MOST)
        for standing in lost:
            with self._reading(standing.incident_id):
                self._look_at_state(standing.incident_id, self._durable.state(standing.incident_id))
        return False

    def _look_at_attempts(self) -> bool:
        now = self._context.clock.now()
        late = self._store.late_attempts(now - _ATTEMPT_GRACE, _MOST)
        for attempt in late:
            with self._reading(attempt.incident_id):
                self._page(attempt.incident_id, stuck.never_ended(attempt, now))
        return len(late) == _MOST

    def _look_at_letters(self) -> bool:
        self._pulse.hindered("pages", self._lateness.look())
        return False

    def _look_at_bypasses(self) -> bool:
        """What could not be ended was paged for when that was tried; this is what nobody tries to end."""
        before = self._context.clock.now() - _BYPASS_GRACE
        left = [each for each in self._store.bypasses() if each.ends_at < before and not each.failures]
        self._alarms.settle("bypasses", _alarm_of_bypasses(left) if left else None)
        return False

    def _look_at_schedules(self) -> bool:
        """Of this process alone, and told under its name: another one's may be well."""
        silent = self._pulse.silent()
        name = f"schedules-{self._durable.executor_id}"
        self._alarms.settle(name, _alarm_of_schedules(silent) if silent else None)
        return False

    def _look_at_runs(self) -> bool:
        """Runs that are under way and do not wait: is anybody at work?"""
        states = self._durable.states()
        missing = {incident_id for incident_id, state in states.items() if state is not RunState.ALIVE}
        seen_twice, self._missed = self._missed & missing, frozenset(missing)
        for incident_id in sorted(seen_twice):  # a run changes hands in a moment; twice is no moment
            with self._reading(incident_id):
                self._look_at_state(incident_id, self._durable.state(incident_id))
        return False

    def _look_at_state(self, incident_id: str, state: RunState) -> None:
        match state:
            case RunState.ALIVE:
                self._restarts.pop(incident_id, None)
            case RunState.UNKNOWN:
                self._start_again(incident_id)
            case RunState.WORN_OUT:
                self._page(incident_id, stuck.too_many_restarts("again and again"))
            case RunState.OTHER_VERSION:
                if not self._is_somebody_at(incident_id):
                    self._page(incident_id, stuck.other_version())
            case RunState.DONE | RunState.DEAD:
                self._page(incident_id, stuck.nobody_at_work(state.value))

    def _start_again(self, incident_id: str) -> None:
        if self._store.incident(incident_id).status.is_terminal:
            return
        times = self._restarts.get(incident_id, 0)
        if times >= _MOST_RESTARTS:
            self._page(incident_id, stuck.nobody_at_work(f"started again {times} times"))
            return
        log.warning("run_started_again", incident_id=incident_id, times=times + 1)
        self._restarts[incident_id] = times + 1
        self._durable.start(incident_id)

    def _is_somebody_at(self, incident_id: str) -> bool:
        """Whether the process that has it was there a moment ago: it may be one of the other version."""
        holder = self._store.holders([incident_id]).get(incident_id, "")
        now = self._context.clock.now()
        return any(
            each.executor_id == holder
            and each.left_at is None
            and (now - each.seen_at).total_seconds() < _LIVES_S
            for each in self._store.executors()
        )

    def _page(self, incident_id: str, found: Stuck, *, seen: Standing | None = None) -> None:
        """Once: an incident ends but once. What moved on since it was looked at is left alone."""
        incident = self._store.incident(incident_id)
        if incident.status.is_terminal or (seen is not None and incident.status is not seen.status):
            return
        log.error("incident_stuck", incident_id=incident_id, why=found.why.value, reason=found.reason)
        if closing.escalate(self._context, incident_id, Stopped(str(found), EscalationTrigger.STUCK)):
            self._store.count({f"stuck/{found.why.value}": 1})
        self._restarts.pop(incident_id, None)

    @contextmanager
    def _reading(self, incident_id: str) -> Iterator[None]:
        """An incident that cannot be looked at is told, and hides none of the others."""
        with _guarded(incident_id, lambda words: self._unread.update({incident_id: words})):
            yield

    def _look_at_itself(self) -> bool:
        self._alarms.settle("watchdog", self._trouble())
        return False

    def _trouble(self) -> Alarm | None:
        """Once it lasts: a database that is busy for a moment is no reason to wake anybody."""
        now = self._context.clock.monotonic()
        if not self._unread:
            self._unread_since = None
            return None
        if self._unread_since is None:
            self._unread_since = now
        if now - self._unread_since < _TROUBLE_S:
            return None
        return Alarm(
            f"the watchdog of oncall-agent cannot look at {len(self._unread)} incident(s): "
            f"{self._unread[min(self._unread)]}",
            "look at these incidents yourself; the agent's log says more (watchdog_failed, watchdog_broke)",
            details={"incidents": sorted(self._unread)[:20]},
        )


def _alarm_of_bypasses(left: Sequence[Bypass]) -> Alarm:
    first = left[0]
    return Alarm(
        f"oncall-agent: the emergency bypass of {first.configuration} should have ended at "
        f"{first.ends_at:%Y-%m-%d %H:%M} UTC, and nobody ends it"
        + (f"; and {len(left) - 1} more" if len(left) > 1 else ""),
        "put the earlier version of the configuration back in Keeptrusts; the agent ends a bypass only with "
        "keeptrusts.api_token, and its log says what hinders it (schedule_broke)",
        Severity.CRITICAL,
        details={"configurations": [each.configuration for each in left[:20]]},
    )


def _alarm_of_schedules(silent: Sequence[str]) -> Alarm:
    return Alarm(
        f"oncall-agent: {'; '.join(silent)}",
        "incidents are worked on all the same; the agent's log says more (schedule_broke, schedule_failed), "
        "and a restart of the agent loses nothing",
    )


@contextmanager
def _guarded(what: str, broken: Callable[[str], object]) -> Iterator[None]:
    """A boundary: whatever breaks within is told, and the look goes on behind it."""
    try:
        yield
    except AgentError as error:
        log.error("watchdog_failed", at=what, error=str(error))  # noqa: TRY400  (its words say all)
        broken(f"{what}: {error}")
    except Exception as error:
        log.exception("watchdog_broke", at=what)
        broken(f"{what}: {type(error).__name__}: {error}")
