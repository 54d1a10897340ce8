"""What holds for any runbook and any outcome of its commands."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.decisions import StandDown
from agent.domain.incident import Status
from agent.ports import CommandResult
from tests.unit.pipeline.conftest import HookedSandbox, World, runbook, step

COMMANDS = ["redis-cli FLUSHDB", "redis-cli PING", "redis-cli DEL a b", "redis-cli INFO"]
COST = {"redis-cli FLUSHDB": 1, "redis-cli DEL a b": 2}

RESULTS = st.sampled_from(
    [
        CommandResult(0, stdout="OK\n"),
        CommandResult(0, stdout="no\n"),
        CommandResult(1, stderr="refused"),
        CommandResult(None, timed_out=True),
        CommandResult(127, problem="redis-cli is not installed"),
    ]
)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(COMMANDS),
        st.sampled_from(["continue", "escalate", "stop", "rollback"]),
        st.integers(1, 3),
        st.lists(RESULTS, min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, limit=st.integers(0, 4), taken_at=st.none() | st.integers(0, 6))
def test_every_page_ends_resolved_or_with_a_human_and_never_over_its_limit(
    migrated: Path,
    steps: list[tuple[str, str, int, list[CommandResult]]],
    limit: int,
    taken_at: int | None,
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = _world(Path(directory), migrated)
        world.runbook(_runbook(steps, limit))
        incident_id = world.receive()
        _prepare(world, steps, incident_id, taken_at)

        incident = world.handle(incident_id)

        assert incident.status in (Status.RESOLVED, Status.ESCALATED, Status.STOOD_DOWN)
        assert len(world.pager.woken) == (1 if incident.status is Status.ESCALATED else 0)
        resolved_there = world.desk.incident("P1").facts.status == "resolved"
        assert resolved_there == (incident.status is Status.RESOLVED)
        assert (incident.status is Status.STOOD_DOWN) <= (taken_at is not None)
        spent = sum(COST.get(command, 0) for command in world.sandbox.commands())
        assert spent <= limit
        assert spent == world.store.charged(incident_id).get("cache_operation", 0)
        assert world.kinds(incident_id)[-1] in ("summary", "note")
        world.store.close()


def _world(directory: Path, migrated: Path) -> World:
    clock = FakeClock()
    store = Store(f"sqlite:///{shutil.copy(migrated, directory)}", clock)
    (directory / "runbooks").mkdir()
    return World(store, clock, directory / "runbooks", HookedSandbox())


def _runbook(steps: list[tuple[str, str, int, list[CommandResult]]], limit: int) -> str:
    text = "".join(
        step(number, command, keys=f'Expected output: "OK"\nFailure action: {action}\nAttempts: {attempts}\n')
        for number, (command, action, attempts, _) in enumerate(steps, start=1)
    )
    return runbook(steps=text, limits=f"- max_cache_operations: {limit}")


def _prepare(
    world: World,
    steps: list[tuple[str, str, int, list[CommandResult]]],
    incident_id: str,
    taken_at: int | None,
) -> None:
    runs = 0

    def count() -> None:
        nonlocal runs
        if runs == taken_at:
            world.store.stand_down(incident_id, StandDown("Responder", "acknowledged the incident"))
        runs += 1

    for command, _, _, results in steps:
        world.sandbox.prepare(tuple(command.split()), *results)
        world.when_run(command, count)
