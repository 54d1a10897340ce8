"""The dispatcher and the watchdog over a real store, with a record in the place of the durable engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.delivery.alarms import Alarms
from agent.dispatcher import Dispatcher
from agent.domain.incident import Status
from agent.domain.outbox import Channel, PageHuman
from agent.domain.records import Changes
from agent.domain.runs import Leg, RunState
from agent.pulse import Pulse
from agent.watchdog import Watchdog
from tests.postgres import on_both_databases
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return on_both_databases(request)


class RecordedRuns:
    """Stands where `Durable` stands: starts nothing, remembers what it was asked for."""

    executor_id = "main"

    def __init__(self, store: Store) -> None:
        self._store = store
        self.started: list[str] = []
        self.carried_on: list[Leg] = []
        self.woken: list[tuple[str, str]] = []
        self.found: dict[str, RunState] = {}
        self.on_look: Callable[[str], object] = lambda _: None

    def start(self, incident_id: str) -> None:
        self.started.append(incident_id)
        self.found[incident_id] = RunState.ALIVE

    def carry_on(self, leg: Leg) -> None:
        self.carried_on.append(leg)
        self.found[leg.incident_id] = RunState.ALIVE

    def wake(self, incident_id: str, topic: str) -> None:
        self.woken.append((incident_id, topic))

    def state(self, incident_id: str) -> RunState:
        self.on_look(incident_id)
        return self.found.get(incident_id, RunState.UNKNOWN)

    def states(self) -> dict[str, RunState]:
        legs = self._store.legs_under_way()
        return {leg.incident_id: self.found.get(leg.incident_id, RunState.UNKNOWN) for leg in legs}


class Control:
    """Dispatcher and watchdog of one agent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.store
        self.clock = world.clock
        self.runs = RecordedRuns(world.store)
        self.pulse = Pulse(self.clock)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.world.context, self.store, self.runs)  # type: ignore[arg-type]

    @cached_property
    def watchdog(self) -> Watchdog:
        return Watchdog(
            self.world.context,
            self.store,
            self.runs,  # type: ignore[arg-type]
            alarms=Alarms(self.world.pager, self.store, self.clock, source="agent-1"),
            pulse=self.pulse,
        )

    def running(self, number: int = 1, state: RunState = RunState.ALIVE) -> str:
        """An incident whose run was started."""
        incident_id = self.world.receive(replace(ALERT, source_id=f"P{number}", service=""))
        self.runs.found[incident_id] = state
        self.stands(incident_id, Status.RUNNING)
        return incident_id

    def stands(self, incident_id: str, status: Status, *, autonomy: str = "auto") -> None:
        self.store.record(incident_id, (), changes=Changes(status=status, autonomy=autonomy))

    def status(self, incident_id: str) -> Status:
        return self.store.incident(incident_id).status

    def pages(self) -> list[str]:
        """The summaries of all pages that wait for the pager."""
        letters = self.store.next_letters(Channel.PAGER, 100)
        return [letter.message.summary for letter in letters if isinstance(letter.message, PageHuman)]


@pytest.fixture
def control(store: Store, clock: FakeClock, tmp_path: Path) -> Control:
    runbooks = tmp_path / "runbooks"
    runbooks.mkdir()
    return Control(World(store, clock, runbooks, HookedSandbox()))


@pytest.fixture
def on_watch(control: Control) -> None:
    """The watchdog has been there for a while: nothing is new to it."""
    assert control.watchdog is not None
    control.clock.sleep(30)
