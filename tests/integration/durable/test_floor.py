"""So many runs think at once; who waits for something outside holds nobody up, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from agent.adapters.database import Database
from agent.adapters.floor import Floor, outside, step_aside, take_the_floor

LONG_S = 30.0


class Thinker:
    """A thread that takes the floor, and says when it has it."""

    def __init__(self, floor: Floor) -> None:
        self.has_it = threading.Event()
        self._thread = threading.Thread(target=self._think, args=(floor,), daemon=True)
        self._thread.start()

    def _think(self, floor: Floor) -> None:
        with floor.held():
            self.has_it.set()

    def ended(self) -> bool:
        self._thread.join(LONG_S)
        return not self._thread.is_alive()


class Holding:
    """Another thread that has the floor as long as the block lasts."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._has_it, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)

    def _hold(self) -> None:
        with self._floor.held():
            self._has_it.set()
            self._over.wait(LONG_S)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._has_it.wait(LONG_S)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(LONG_S)


def test_the_next_run_thinks_when_the_one_before_it_has_ended() -> None:
    floor = Floor(at_once=1, at_most_s=LONG_S)
    with floor.held():
        thinker = Thinker(floor)
        assert not thinker.has_it.wait(0.02)
    assert thinker.ended()


def test_whoever_waits_for_something_outside_lets_others_think_until_its_next_step() -> None:
    floor = Floor(at_once=1, at_most_s=LONG_S)
    with floor.held():
        step_aside()
        assert Thinker(floor).ended()
        take_the_floor()
        thinker = Thinker(floor)
        assert not thinker.has_it.wait(0.02)
    assert thinker.ended()


def test_what_came_of_waiting_is_told_at_once_though_others_have_the_floor() -> None:
    floor = Floor(at_once=1, at_most_s=LONG_S)
    with floor.held():
        step_aside()
        with Holding(floor):
            pass  # it came so far without waiting: what it learned can be written down
    assert Thinker(floor).ended()


def test_a_port_is_called_without_the_floor() -> None:
    class Vendor:
        name = "a vendor"

        def ask(self, question: str) -> str:
            assert Thinker(floor).ended()
            return f"{self.name}: {question}"

    floor = Floor(at_once=1, at_most_s=LONG_S)
    vendor = outside(Vendor())
    with floor.held():
        assert vendor.ask("who?") == "a vendor: who?"
    assert outside(None) is None


def test_others_think_while_what_a_run_wrote_is_synced(tmp_path: Path) -> None:
    floor = Floor(at_once=1, at_most_s=LONG_S)
    database = Database(f"sqlite:///{tmp_path}/oncall.db")
    with floor.held():
        with database.writing():
            assert not Thinker(floor).has_it.wait(0.02)
        assert Thinker(floor).ended()
    database.close()


def test_stepping_aside_twice_is_once() -> None:
    floor = Floor(at_once=1, at_most_s=LONG_S)
    with floor.held():
        step_aside()
        step_aside()
        with Holding(floor):
            thinker = Thinker(floor)
            assert not thinker.has_it.wait(0.02)
    assert thinker.ended()


def test_a_run_that_hangs_on_the_floor_holds_up_nobody_for_long() -> None:
    floor = Floor(at_once=1, at_most_s=0.01)
    with floor.held():
        assert Thinker(floor).ended()
    assert Thinker(floor).ended()


def test_who_waited_in_vain_once_does_not_wait_again_at_each_step() -> None:
    floor = Floor(at_once=1, at_most_s=0.5)
    with Holding(floor):
        begin = time.monotonic()
        with floor.held():
            for _ in range(100):
                take_the_floor()
        assert time.monotonic() - begin < 25  # and not the 50 of a hundred waits
    assert Thinker(floor).ended()


def test_a_run_that_breaks_gives_the_floor_back() -> None:
    floor = Floor(at_once=1, at_most_s=LONG_S)
    try:
        with floor.held():
            raise LookupError
    except LookupError:
        assert Thinker(floor).ended()


def test_threads_that_are_no_runs_never_wait() -> None:
    floor = Floor(at_once=1, at_most_s=LONG_S)
    with Holding(floor):
        step_aside()
        take_the_floor()
