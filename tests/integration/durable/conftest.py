"""Runs on the real engine; one at a time in a process, so every test closes what it launched."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.domain.errors import StoreError
from agent.domain.runs import Places, RunState
from agent.durable import Durable
from agent.ports import Run
from tests.postgres import on_both_databases

DEADLINE_S = 15.0

PLACES = Places(at_once=32)

Handle = Callable[[Run, str], None]


class Launch(Protocol):
    def __call__(self, handle: Handle, on_crash: Callable[[str, Exception], None] = ...) -> Durable: ...


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Poll until the condition gives something true."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {DEADLINE_S:g} s: {what}")


def ended(durable: Durable, incident_id: str) -> RunState:
    under_way = (RunState.ALIVE, RunState.UNKNOWN)  # for a moment a leg is ours and not begun
    eventually(lambda: durable.state(incident_id) not in under_way, f"{incident_id} has ended")
    return durable.state(incident_id)


def no_crash(incident_id: str, error: Exception) -> None:
    raise AssertionError(f"{incident_id} crashed") from error


class Waits:
    """Goes on with waits that are over, as the dispatcher does."""

    def __init__(self, store: Store, durable: Durable) -> None:
        self._store = store
        self._durable = durable
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def _go_on(self) -> None:
        while not self._over.wait(0.01):
            try:
                for leg in self._store.begin_due(self._durable.executor_id):
                    self._durable.carry_on(leg)
            except StoreError:
                continue

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    return on_both_databases(request)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """By the machine's clock: a run that sleeps does so in its own thread."""
    store = Store(database_url, SystemClock())
    yield store
    store.close()


@pytest.fixture
def launch(store: Store, database_url: str) -> Iterator[Launch]:
    launched: list[tuple[Durable, Waits]] = []

    def start(handle: Handle, on_crash: Callable[[str, Exception], None] = no_crash) -> Durable:
        durable = Durable(
            database_url=database_url,
            executor_id="main",
            store=store,
            places=PLACES,
            handle=handle,
            on_crash=on_crash,
        )
        for _, waits in launched:
            waits.end()
        durable.launch()
        launched.append((durable, Waits(store, durable)))
        return durable

    yield start
    for durable, waits in reversed(launched):
        waits.end()
        durable.close()


@pytest.fixture
def told() -> queue.Queue[Any]:
    """What a run tells the test, from its own thread."""
    return queue.Queue()
