"""Several processes on one database: who is there, who works in the place of one that is gone, who leads.

A process works under its executor id for as long as it holds the id's lock. A lock that is free for a moment
is no death: PostgreSQL may have been restarted, and its owner takes it again. So others look twice before
they take its work over, and an owner that comes too late finds itself taken over and ends.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from agent.adapters.executor_lock import ExecutorLock, executor_lock_name
from agent.adapters.leading import leading
from agent.adapters.locks import Locks
from agent.adapters.store import Store
from agent.domain.errors import ExecutorBusyError, StoreError, TakenOverError
from agent.domain.executor import Role
from agent.durable import Durable
from agent.ports import Clock, Sandbox
from agent.pulse import Pulse
from agent.schedules import Tick

log = structlog.get_logger()

#: An owner asks for its lost lock twice as often as others look whether it is free.
LOOK_EVERY_S = 1.0
_LOST_LOOK_EVERY_S = 0.5

#: For how long a lock must be seen free before its owner counts as gone.
GONE_AFTER_S = 2.5

#: How often a process says that it is there.
_SEEN_EVERY_S = 5.0

#: Workers of whom nothing was seen for this long are not there.
_UNSEEN_S = 30.0

_REMEMBERED = timedelta(days=1)
_FORGET_EVERY_S = 3600.0

#: `sysexits.h`: try again later; a supervisor starts us again.
_TRY_AGAIN = 75


def own_executor_id(database_url: str, role: Role) -> str:
    """As whom this process works: as it is told, else as the only one (SQLite), or as its host."""
    alone = "main" if database_url.startswith("sqlite") else socket.gethostname()
    name = os.environ.get("ONCALL_AGENT_EXECUTOR_ID") or alone
    # a web process takes nobody's place, and there may be several beside a worker
    return name if role.works else f"web:{name}:{os.getpid()}"


def leave_the_field(why: str) -> None:
    """End this process at once: what it would still do, somebody else is doing."""
    log.critical("ended", why=why)
    os._exit(_TRY_AGAIN)


@dataclass
class Presence:
    """Says that this process is there, and notices when it has lost its place."""

    store: Store
    executor_id: str
    role: Role
    version: str
    end: Callable[[str], None] = leave_the_field
    _lock: ExecutorLock | None = None
    _said_at: float = 0.0
    _forgot_at: float = 0.0

    def begin(self, lock: ExecutorLock | None) -> None:
        """From now on it is there; without a lock it works on nothing."""
        self._lock = lock
        host = socket.gethostname()
        self.store.begin_work(self.executor_id, role=self.role, host=host, version=self.version)
        self._said_at = time.monotonic()

    def tick(self) -> float:
        """Look after the lock, and say from time to time that we are there."""
        try:
            if self._lock is not None and not self._lock.keep():
                return _LOST_LOOK_EVERY_S
            if self._lock is not None and self._lock.was_lost:
                log.warning("lock_taken_again", executor=self.executor_id)
                self._say()
                self._lock.was_lost = False
            if time.monotonic() - self._said_at >= _SEEN_EVERY_S:
                self._say()
        except (ExecutorBusyError, TakenOverError) as error:
            self.end(str(error))
        return LOOK_EVERY_S

    def _say(self) -> None:
        self.store.seen_at_work(self.executor_id)
        self._said_at = time.monotonic()
        if self._said_at - self._forgot_at >= _FORGET_EVERY_S:
            self._forgot_at = self._said_at
            self.store.forget_executors(older_than=_REMEMBERED)

    def leave(self) -> None:
        """It goes by itself: others need not wait to see whether it comes back."""
        self.store.end_work(self.executor_id)


class WorkersSeen:
    """Tells a process that only answers the web whether anybody works on what it takes."""

    def __init__(self, store: Store, pulse: Pulse, clock: Clock) -> None:
        self._store = store
        self._pulse = pulse
        self._clock = clock
        self._last: frozenset[tuple[str, datetime]] = frozenset()
        self._changed_at = clock.monotonic()

    def tick(self) -> float:
        """Look whether a worker has said something; whose clock is right does not matter."""
        now, seen = self._clock.monotonic(), self._seen()
        if seen - self._last:
            self._changed_at = now
        self._last = seen
        silent_s = now - self._changed_at
        words = f"no worker has been seen for {silent_s:.0f} s: what comes in is stored, and waits for one"
        self._pulse.hindered("workers", words if silent_s > _UNSEEN_S else "")
        return _SEEN_EVERY_S

    def _seen(self) -> frozenset[tuple[str, datetime]]:
        there = (each for each in self._store.executors() if each.role.works and each.left_at is None)
        return frozenset((each.executor_id, each.seen_at) for each in there)


class _Watched:
    """Since when a lock is seen to be free."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def free_for_s(self, locks: Locks, name: str) -> float | None:
        """None while somebody holds it; nothing is known any more after we could not look."""
        try:
            if not locks.is_free(name):
                self._since.pop(name, None)
                return None
        except StoreError:
            self._since.clear()
            raise
        now = time.monotonic()
        return now - self._since.setdefault(name, now)

    def forget(self, name: str) -> None:
        self._since.pop(name, None)


class Reaper:
    """Carries on here what a process was at that is gone."""

    def __init__(
        self, *, executor_id: str, store: Store, durable: Durable, sandbox: Sandbox, locks: Locks
    ) -> None:
        self._executor_id = executor_id
        self._store = store
        self._durable = durable
        self._sandbox = sandbox
        self._locks = locks
        self._watched = _Watched()

    def tick(self) -> float:
        """Look at everybody in whose hands runs are."""
        owners = [each for each in self._store.owners() if each != self._executor_id]
        if owners:
            left = {each.executor_id for each in self._store.executors() if each.left_at is not None}
            for owner in owners:
                self._look_at(owner, has_left=owner in left)
        return LOOK_EVERY_S

    def _look_at(self, owner: str, *, has_left: bool) -> None:
        name = executor_lock_name(owner)
        free_for_s = self._watched.free_for_s(self._locks, name)
        if free_for_s is None or (free_for_s < GONE_AFTER_S and not has_left):
            return
        if not self._locks.take(name):
            return
        try:
            self._take_over(owner)
        finally:
            self._locks.give_back(name)
            self._watched.forget(name)

    def _take_over(self, owner: str) -> None:
        """Its name is ours meanwhile: neither another process nor itself, coming back, is at the same."""
        self._store.take_from(owner, by=self._executor_id)
        ended = self._sandbox.end_orphans(self._store.markers_of([owner]))
        self._durable.take_over(owner)
        log.warning("work_taken_over", executor=owner, orphans_ended=ended)


@dataclass
class Duty:
    """Something that exactly one process at a time does for all of them."""

    name: str
    locks: Locks
    _watched: _Watched = field(default_factory=_Watched)
    _may_begin_at_once: bool = True
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def is_ours(self) -> bool:
        """Whether to do it here and now; who stands by looks twice before it takes its turn."""
        with self._mutex:
            return self._is_ours(f"duty-{self.name}")

    def _is_ours(self, lock: str) -> bool:
        if self.locks.holds(lock):
            return True
        free_for_s = self._watched.free_for_s(self.locks, lock)
        if free_for_s is None:
            self._may_begin_at_once = False
            return False
        if free_for_s < GONE_AFTER_S and not self._may_begin_at_once:
            return False
        if not self.locks.take(lock):
            self._may_begin_at_once = False
            return False
        log.info("duty_taken", duty=self.name)
        self._watched.forget(lock)
        # lost with its connection it is taken again without a pause: nobody else has had the time
        self._may_begin_at_once = True
        return True

    def led(self, tick: Tick) -> Tick:
        """The same, done by whoever leads; who stands by only asks whether it is his turn."""

        def tick_if_ours() -> float:
            if not self.is_ours():
                return LOOK_EVERY_S
            with leading(self.demand):
                return tick()

        return tick_if_ours

    def demand(self) -> None:
        """Before anything that must not be done twice: StoreError if it is no longer ours."""
        if not self.locks.holds(f"duty-{self.name}"):
            raise StoreError(f"another process may be doing this now ({self.name}); it is tried again")
