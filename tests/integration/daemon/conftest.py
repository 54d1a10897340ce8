"""The dispatcher and the watchdog over a real store, with a record in the place of the durable engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.dispatcher import Dispatcher
from agent.domain.incident import Status
from agent.domain.outbox import Channel, PageHuman
from agent.domain.records import Changes
from agent.durable import RunState
from agent.watchdog import Watchdog
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World


class RecordedRuns:
    """Stands where `Durable` stands: starts nothing, remembers what it was asked for."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.woken: list[tuple[str, str]] = []
        self.states: dict[str, RunState] = {}
        self.on_look: Callable[[str], object] = lambda _: None

    def start(self, incident_id: str) -> None:
        self.started.append(incident_id)
        self.states[incident_id] = RunState.ALIVE

    def wake(self, incident_id: str, topic: str) -> None:
        self.woken.append((incident_id, topic))

    def state(self, incident_id: str) -> RunState:
        self.on_look(incident_id)
        return self.states.get(incident_id, RunState.UNKNOWN)


class Control:
    """Dispatcher and watchdog of one agent."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = world.store
        self.clock = world.clock
        self.runs = RecordedRuns()

    @cached_property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.world.context, self.store, self.runs)  # type: ignore[arg-type]

    @cached_property
    def watchdog(self) -> Watchdog:
        return Watchdog(self.world.context, self.store, self.runs)  # type: ignore[arg-type]

    def running(self, number: int = 1, state: RunState = RunState.ALIVE) -> str:
        """An incident whose run was started."""
        incident_id = self.world.receive(replace(ALERT, source_id=f"P{number}", service=""))
        self.runs.states[incident_id] = state
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
