"""Runs that are broken off in the middle and taken up again, and runs that are told to stop."""

from __future__ import annotations

import threading

import pytest

from agent.adapters.inline_run import InlineRun
from agent.domain.decisions import StandDown
from agent.domain.incident import Status
from agent.pipeline.gate import Gate
from agent.pipeline.handle import handle
from agent.ports import CommandResult
from tests.unit.pipeline.conftest import World, runbook, step

FLUSH, CHECK, INFO = "redis-cli FLUSHDB", "redis-cli PING", "redis-cli INFO"
TWO_STEPS = runbook(steps=step(1, FLUSH) + step(2, CHECK))
DEADLINE_S = 10


class PowerCutError(Exception):
    """The process is gone; nothing of it is told."""


def power_cut() -> None:
    raise PowerCutError


def handle_until_power_cut(world: World, incident_id: str, command: str) -> None:
    """The run is broken off while the command runs."""
    world.when_run(command, power_cut)
    with pytest.raises(PowerCutError):
        handle(InlineRun(world.clock), world.context, incident_id)
    world.when_run(command, lambda: None)


def test_a_command_that_changes_things_and_was_cut_off_is_never_run_again(world: World) -> None:
    world.runbook(TWO_STEPS)
    incident_id = world.receive()
    handle_until_power_cut(world, incident_id, FLUSH)
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert "outcome unknown: step 1" in incident.result
    assert "outcome_unknown" in world.kinds(incident_id)
    assert world.sandbox.commands() == []
    assert len(world.pager.open_pages) == 1


def test_a_command_that_only_reads_and_was_cut_off_is_run_again(world: World) -> None:
    world.runbook(TWO_STEPS)
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    handle_until_power_cut(world, incident_id, CHECK)
    assert world.handle(incident_id).status is Status.RESOLVED
    assert world.sandbox.commands() == [FLUSH, CHECK]


def test_what_was_told_before_the_restart_is_not_told_again(world: World) -> None:
    world.runbook(TWO_STEPS)
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    handle_until_power_cut(world, incident_id, CHECK)
    world.handle(incident_id)
    told = world.told(incident_id)
    assert len(told) == len(set(told))
    assert world.store.charged(incident_id) == {"cache_operation": 1}


def test_a_human_who_takes_over_stops_the_running_command(world: World) -> None:
    world.runbook(TWO_STEPS)
    incident_id = world.receive()
    world.sandbox.prepare(("redis-cli", "FLUSHDB"), CommandResult(None, interrupted=True))
    world.when_run(FLUSH, lambda: world.store.stand_down(incident_id, StandDown("Responder", "took over")))
    incident = world.handle(incident_id)
    assert incident.status is Status.STOOD_DOWN
    assert any("attempt 1 stopped: Responder took over" in text for text in world.told(incident_id))


def test_a_human_who_takes_over_during_the_rollback_keeps_it(world: World) -> None:
    failing = step(1, CHECK, keys='Expected output: "PONG"\nFailure action: rollback\nAttempts: 1')
    rollback = "## Rollback\n\n" + step(1, INFO, keys="") + step(2, INFO, keys="")
    world.runbook(runbook(steps=failing, more=rollback))
    incident_id = world.receive()
    world.answers(CHECK, "no")
    world.answers(INFO, "fine")
    world.when_run(INFO, lambda: world.store.stand_down(incident_id, StandDown("Responder", "took over")))
    assert world.handle(incident_id).status is Status.STOOD_DOWN
    assert world.sandbox.commands() == [CHECK, INFO]


VERIFIED = runbook(
    steps=step(1, INFO),
    more='## Verify\n\n### Step 1: Ping\n```bash\nredis-cli PING\n```\nExpected output: "PONG"\n',
)


def test_a_human_who_takes_over_during_the_verification_keeps_it(world: World) -> None:
    world.runbook(VERIFIED)
    incident_id = world.receive()
    world.answers(INFO, "fine")
    world.answers(CHECK, "LOADING")
    world.when_run(CHECK, lambda: world.store.stand_down(incident_id, StandDown("Responder", "took over")))
    assert world.handle(incident_id).status is Status.STOOD_DOWN


def test_a_verification_that_has_no_time_left_pages_a_human(world: World) -> None:
    world.configure(execution={"incident_deadline_s": 60})
    world.runbook(VERIFIED)
    world.answers(INFO, "fine")
    world.when_run(INFO, lambda: world.clock.sleep(61))
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert "verification took too long" in incident.result


def test_a_kept_revision_that_is_no_runbook_is_never_run(world: World) -> None:
    world.runbook(TWO_STEPS)
    (found,) = world.context.library.runbooks.values()
    world.store.keep_revision(found)
    with world.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE revisions SET text = '# Notes'")
    with pytest.raises(TypeError, match="was a runbook when it was matched"):
        world.page()
    assert world.sandbox.commands() == []


def test_an_attempt_that_the_shutdown_cut_off_is_left_for_the_next_start(world: World) -> None:
    world.runbook(TWO_STEPS)
    incident_id = world.receive()
    world.sandbox.prepare(("redis-cli", "FLUSHDB"), CommandResult(None, interrupted=True))
    closed: list[bool] = []
    closing = threading.Thread(target=lambda: closed.append(world.gate.close(grace_s=0)))
    hurried = threading.Event()

    def shut_down() -> None:
        closing.start()
        while not world.gate.must_hurry:
            hurried.wait(0.001)

    world.when_run(FLUSH, shut_down)
    run = threading.Thread(
        target=handle, args=(InlineRun(world.clock), world.context, incident_id), daemon=True
    )
    run.start()
    closing_began = _until(lambda: closing.ident is not None)
    closing.join(DEADLINE_S)
    assert closing_began
    assert closed == [False]
    assert world.store.markers_of([""]) == [f"{incident_id}/steps/1/1"]
    assert not world.store.incident(incident_id).status.is_terminal
    assert run.is_alive()


def _until(condition: object) -> bool:
    waited = threading.Event()
    for _ in range(DEADLINE_S * 1000):
        if condition():  # type: ignore[operator]
            return True
        waited.wait(0.001)
    return False


def test_a_gate_without_attempts_closes_at_once() -> None:
    gate = Gate()
    assert gate.close(grace_s=DEADLINE_S)
    assert not gate.must_hurry


def test_a_closing_gate_waits_for_the_running_attempt_and_lets_no_new_one_in() -> None:
    gate = Gate()
    inside, may_end, second = threading.Event(), threading.Event(), threading.Event()

    def attempt() -> None:
        with gate.attempt():
            inside.set()
            may_end.wait(DEADLINE_S)

    def another() -> None:
        with gate.attempt():
            second.set()

    running = threading.Thread(target=attempt)
    running.start()
    assert inside.wait(DEADLINE_S)
    closed: list[bool] = []
    closing = threading.Thread(target=lambda: closed.append(gate.close(grace_s=DEADLINE_S)))
    closing.start()
    assert closing.is_alive()
    may_end.set()
    closing.join(DEADLINE_S)
    threading.Thread(target=another, daemon=True).start()
    assert closed == [True]
    assert not gate.must_hurry
    assert not second.is_set()
