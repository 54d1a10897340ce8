"""Runs on the real engine; one at a time in a process, so every test closes what it launched."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from agent.durable import Durable, RunState
from agent.ports import Run

DEADLINE_S = 15.0

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
    eventually(lambda: durable.state(incident_id) is not RunState.ALIVE, f"{incident_id} has ended")
    return durable.state(incident_id)


def no_crash(incident_id: str, error: Exception) -> None:
    raise AssertionError(f"{incident_id} crashed") from error


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/oncall.db"


@pytest.fixture
def launch(database_url: str) -> Iterator[Launch]:
    launched: list[Durable] = []

    def start(handle: Handle, on_crash: Callable[[str, Exception], None] = no_crash) -> Durable:
        durable = Durable(database_url=database_url, executor_id="main", handle=handle, on_crash=on_crash)
        launched.append(durable)
        durable.launch()
        return durable

    yield start
    for durable in reversed(launched):
        durable.close()


@pytest.fixture
def told() -> queue.Queue[Any]:
    """What a run tells the test, from its own thread."""
    return queue.Queue()
