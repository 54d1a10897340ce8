"""One look of a `## Watch` command: its output is one number, or it is told why not."""

from __future__ import annotations

import pytest

from agent.ports import CommandResult
from tests.unit.pipeline.conftest import World
from tests.unit.pipeline.probing_world import DF, DISK, TAIL, watching


@pytest.mark.parametrize(
    ("result", "seen"),
    [
        (CommandResult(0, "  57\n"), 57.0),
        (CommandResult(0, " 83%\n"), 83.0),
        (CommandResult(0, "-1.5e2\n"), -150.0),
        (CommandResult(0, "57 of 100\n"), "the output is not one number: 57 of 100"),
        (CommandResult(0, ""), "the output is not one number: nothing"),
        (CommandResult(0, "nan"), "the output is not one number: nan"),
        (CommandResult(0, "1e999"), "the output is not one number: 1e999"),
        (CommandResult(1, "57", "no such disk"), "the command ended with exit code 1: no such disk"),
        (CommandResult(None, timed_out=True), "no end within 5 s"),
        (CommandResult(None, problem="the sandbox is gone"), "the sandbox is gone"),
    ],
)
def test_the_output_of_a_command_is_one_number_or_told(
    world: World, result: CommandResult, seen: float | str
) -> None:
    watch = watching(world, DISK)
    world.sandbox.prepare(DF, CommandResult(0))
    world.sandbox.prepare(TAIL, result)
    watch.see(0)

    (state,) = world.store.probe_states()
    assert (state.unseen_why or state.readings[-1].value) == seen
    assert [ran.marker for ran in world.sandbox.ran] == ["watch-backlog-free-space"]
    assert world.sandbox.ran[0].timeout_s == 5


@pytest.mark.parametrize(
    ("output", "seen"),
    [
        ('{"meta": {"total": 21}}', 21.0),
        ('{"meta": {"total": "21"}}', 21.0),
        ('{"meta": {"total": null}}', "there is no number at .meta.total: null"),
        ('{"meta": {}}', "the output has nothing at .meta.total"),
        ("down", "the output is not JSON"),
    ],
)
def test_a_number_may_stand_in_json(world: World, output: str, seen: float | str) -> None:
    command = "\n  ```bash\n  curl -s http://localhost:9000/q\n  ```"
    watch = watching(world, f"- command; every 60s; warning > 20; json .meta.total{command}")
    world.answers("curl -s http://localhost:9000/q", output)
    watch.see(0)

    (state,) = world.store.probe_states()
    assert (state.unseen_why or state.readings[-1].value) == seen


def test_a_command_charges_nothing_and_leaves_no_trace_in_the_journal(world: World) -> None:
    watch = watching(world, DISK)
    world.sandbox.prepare(DF, CommandResult(0))
    world.sandbox.prepare(TAIL, CommandResult(0, "50"))
    watch.see(0, 0, 0)

    assert len(world.sandbox.ran) == 3
    assert watch.alerts() == []
