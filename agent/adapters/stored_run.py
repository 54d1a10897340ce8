"""A run that remembers its steps in our own store, by name, and parks while it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import sqlalchemy as sa
import structlog

from agent.adapters import codec
from agent.adapters.database import moment, stamp
from agent.adapters.floor import step_aside, take_the_floor
from agent.adapters.riding import Deed, Of, riding
from agent.adapters.store_starts import StoredStarts
from agent.domain.errors import StoreAwayError, StoreError
from agent.domain.runs import Closing, Leg, Memory, Parked, Places

T = TypeVar("T")

log = structlog.get_logger()

#: A database that is busy for a moment is no reason to page: every step may safely be done again.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)

#: Nor is one that is away for minutes: it is waited for, as nobody could be paged without it either.
_PATIENT_PAUSES_S = (*_PAUSES_S, *(5.0,) * 120)


class StoredRun:
    """Implements ports.Run for one leg.

    What a step returned, and what it told, rides along with the next transaction of the run: whatever it does
    later is durable only together with all steps before it, so a crash in between makes it go on from an
    earlier step, never from one that does not know what was done since. While the run waits for anything
    nothing is left unwritten.
    """

    def __init__(
        self,
        store: StoredStarts,
        leg: Leg,
        memory: Memory,
        *,
        executor_id: str,
        places: Places,
        closing: threading.Event,
        give_way: Callable[[], object] = lambda: None,
    ) -> None:
        self._store = store
        self._leg = leg
        self._memory = memory
        self._executor_id = executor_id
        self._places = places
        self._closing = closing
        self._give_way = give_way
        self._names: set[str] = set()
        self._last = "start"
        self._unwritten: dict[str, str] = {}
        self._untold: list[Deed] = []
        self._changed: set[Of] = set()

    @contextmanager
    def riding(self) -> Iterator[None]:
        """Within it, this thread's transactions write down what the run's steps returned and told."""
        with riding(self):
            try:
                yield
            except Exception:
                with suppress(StoreError):  # what broke the run is told, with what came before it if possible
                    self.settle()
                raise
            self.settle()

    @property
    def tells(self) -> bool:
        """Implements Rider."""
        return bool(self._untold)

    def take(self, deed: Deed, *of: Of) -> None:
        """Written with what the steps returned; implements Rider."""
        self._untold.append(deed)
        self._changed.update(of)

    def board(self, connection: sa.Connection) -> None:
        """Write down what is not yet; implements Rider."""
        if self._unwritten or self._untold:
            self._store.remember(connection, self._leg, self._executor_id, self._unwritten)
        for deed in self._untold:
            deed(connection)

    def arrived(self) -> None:
        """It is durable; implements Rider."""
        self._unwritten.clear()
        self._untold.clear()
        self._changed.clear()

    def settle(self, *of: Of) -> None:
        """Have it durable now; implements Rider."""
        if self._untold and not (of and self._changed.isdisjoint(of)):
            self._write()

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        """Do it and remember the value, or give back what is remembered."""
        self._go_on()
        self._call(name)
        self._last = name
        known = self._memory.steps.get(name)
        if known is not None:
            result: T = codec.load(known, returns)
            return result
        self._give_way()
        take_the_floor()
        value = self._done(do)
        self._unwritten[name] = codec.dump(value, returns)
        return value

    def sleep(self, seconds: float) -> None:
        """Wait here; its end is remembered, so that a restart does not start it anew."""
        self._go_on()
        until = moment(self._once(self._called("sleep"), lambda: self._in(seconds)))
        self._done(self._write)
        left_s = (until - self._store.clock.now()).total_seconds()
        self._pause(max(0.0, min(left_s, seconds)))

    def wait(self, topic: str, timeout_s: float) -> bool:
        """Park until woken on the topic, or the time is over."""
        self._go_on()
        name = self._called(f"wait-{topic}")
        until = moment(self._once(f"{name}-until", lambda: self._in(timeout_s)))
        return self._settled(
            name, lambda woken: self._store.park(self._leg, topic, until=until, woken=woken), woken=True
        )

    def turn(self, topic: str, *, waiting: Callable[[], object]) -> bool:
        """Park until it is the incident's turn; False if it was woken on the topic before."""
        self._go_on()
        return self._settled(
            self._called("turn"),
            lambda woken: self._store.take_turn(self._leg, topic, self._places, woken=woken),
            woken=False,
            parked=waiting,
        )

    def _settled(
        self,
        name: str,
        ask: Callable[[dict[str, str]], bool | None],
        *,
        woken: bool,
        parked: Callable[[], object] = lambda: None,
    ) -> bool:
        """What became of a wait: remembered when it is over; while it is not, the leg ends here."""
        known = self._memory.steps.get(name)
        if known is not None:
            return bool(codec.load(known, bool))
        outcome = self._done(lambda: ask({name: codec.dump(woken, bool)}))
        if outcome is None:
            parked()
            raise Parked
        self._unwritten[name] = codec.dump(outcome, bool)
        return outcome

    def _once(self, name: str, make: Callable[[], str]) -> str:
        known = self._memory.steps.get(name)
        if known is not None:
            return str(codec.load(known, str))
        made = make()
        self._unwritten[name] = codec.dump(made, str)
        return made

    def _in(self, seconds: float) -> str:
        return stamp(self._store.clock.now() + timedelta(seconds=seconds))

    def _called(self, kind: str) -> str:
        """Named after the step before it: what an upgrade adds elsewhere does not rename it."""
        name, number = f"{self._last}/{kind}", 1
        while name in self._names:
            number += 1
            name = f"{self._last}/{kind}-{number}"
        self._names.add(name)
        return name

    def _call(self, name: str) -> None:
        if name in self._names:
            raise ValueError(f"two steps of one run are called {name!r}")
        self._names.add(name)

    def _done(self, do: Callable[[], T]) -> T:
        """Done, again if need be: every step may be done twice."""
        for tries, pause_s in enumerate(_PATIENT_PAUSES_S):
            try:
                return do()
            except StoreError as error:
                if not isinstance(error, StoreAwayError) and tries >= len(_PAUSES_S):
                    raise
                log.warning("step_tried_again", incident_id=self._leg.incident_id, error=str(error))
            self._pause(pause_s)
        return do()

    def _pause(self, seconds: float) -> None:
        """Whatever was told before is durable: whoever called it has seen to that."""
        step_aside()
        if self._closing.wait(seconds):
            raise Closing

    def _write(self) -> None:
        """Have everything durable now."""
        if self._unwritten or self._untold:
            with self._store.database.writing():
                pass

    def _go_on(self) -> None:
        if self._closing.is_set():
            raise Closing
