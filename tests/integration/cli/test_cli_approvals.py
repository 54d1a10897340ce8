"""Approving on the command line: several people, other values, step by step; who it is the system knows."""

from __future__ import annotations

import threading

import pytest

from agent.cli import approvals, run
from agent.cli.incidents import operator
from agent.domain.incident import Status
from agent.domain.people import Actor, Person, Role, Via
from agent.pipeline import answers
from tests.integration.cli.conftest import HELLO, Result, Shell
from tests.unit.pipeline.conftest import World, runbook, step

DELETE = step(1, "redis-cli DEL {{ key }}")
PARAMETERS = "## Parameters\n- key: one of carts, sessions; default sessions\n"


def called(name: str, patch: pytest.MonkeyPatch) -> None:
    for module in (approvals, run):
        patch.setattr(module, "operator", lambda: name)


def known(shell: Shell, world: World, *names: str) -> None:
    people = [{"name": name, "role": "approver"} for name in names]
    shell.configure(people=people)
    world.config = type(world.config).model_validate(world.config.model_dump() | {"people": people})


def waiting(shell: Shell, world: World, *commands: list[str]) -> tuple[str, list[Result]]:
    incident_id = world.receive()
    results: list[Result] = []
    left = list(commands)

    def wait(_: str) -> bool:
        if not left:
            return False
        command = left.pop(0)
        results.append(shell(command[0], incident_id, *command[1:]))
        return True

    world.on_wait = wait
    world.handle(incident_id)
    return incident_id, results


def test_two_users_of_the_system_approve(shell: Shell, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    known(shell, world, "alice", "bob")
    world.runbook(runbook(limits="- approvals: 2", steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    incident_id = world.receive()
    results: list[Result] = []

    def wait(_: str) -> bool:
        called(("alice", "bob")[len(results)], monkeypatch)
        results.append(shell("approve", incident_id))
        waits.append(world.store.waiting())
        return True

    waits: list[object] = []
    world.on_wait = wait
    world.handle(incident_id)
    assert [each.code for each in results] == [0, 0]
    assert "one more person must say yes too" in results[0].out
    assert "1 of 2 approvals (2 people must say yes)" in str(waits[0])
    assert world.store.incident(incident_id).status is Status.RESOLVED


def test_a_user_who_is_nobody_here_decides_nothing(
    shell: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(shell, world, "alice", "bob")
    called("mallory", monkeypatch)
    world.runbook(runbook(limits="- requires_human_approval: true", steps=step(1, "redis-cli PING")))
    _, (approved, rejected) = waiting(shell, world, ["approve"], ["reject"])
    assert (approved.code, rejected.code) == (2, 2)
    assert "mallory is not in `people`" in approved.err
    assert "add {name: mallory, role: approver} there" in approved.err


def test_a_yes_that_was_typed_for_the_plan_before_an_edit_is_none_to_the_one_after(
    shell: Shell, world: World
) -> None:
    limits = "- max_cache_operations: 1\n- requires_human_approval: true"
    world.runbook(runbook(limits=limits, steps=DELETE, more=PARAMETERS))
    world.answers("redis-cli DEL carts", "1")
    incident_id, results = world.receive(), list[Result]()

    def edited() -> None:
        found = world.store.incident(incident_id)
        answers.edit(world.store, found, {"key": "carts"}, by="bob (by Slack)", now=world.clock.now())

    def typed() -> None:
        results.append(shell("approve", incident_id))
        plan = world.store.plan(incident_id)
        assert plan is not None
        assert plan.plan_hash[:12] in results[0].err
        results.append(shell("approve", incident_id, "--plan", plan.plan_hash[:12]))

    moves = [edited, typed]

    def wait(_: str) -> bool:
        if moves:
            moves.pop(0)()
            return True
        return False

    world.on_wait = wait
    world.handle(incident_id)
    assert [each.code for each in results] == [1, 0]
    assert "has asked about 2 plans by now" in results[0].err
    assert world.sandbox.commands() == ["redis-cli DEL carts"]


def test_other_values_make_another_plan_that_is_approved_by_itself(shell: Shell, world: World) -> None:
    limits = "- max_cache_operations: 1\n- requires_human_approval: true"
    world.runbook(runbook(limits=limits, steps=DELETE, more=PARAMETERS))
    world.answers("redis-cli DEL carts", "1")
    commands = [["approve", "--set", "key=users"], ["approve", "--set", "key=carts"], ["approve", "--json"]]
    incident_id, (wrong, edited, approved) = waiting(shell, world, *commands)
    assert wrong.code == 1
    assert "is not one of carts, sessions" in wrong.err
    assert "key = carts; the plan is made anew and asks for its own approval" in edited.out
    assert (approved.json["decision"], approved.json["waits_for"]) == ("approved", 0)
    assert world.sandbox.commands() == ["redis-cli DEL carts"]
    assert world.store.incident(incident_id).status is Status.RESOLVED


def test_set_is_read_strictly(shell: Shell) -> None:
    assert "write NAME=VALUE" in shell("approve", "inc-1", "--set", "carts").err
    both = shell("approve", "inc-1", "--set", "a=b", "--step-by-step")
    assert (both.code, "--step-by-step belongs to that" in both.err) == (2, True)


def test_step_by_step_asks_for_each_change(shell: Shell, world: World) -> None:
    limits = "- max_cache_operations: 1\n- requires_human_approval: true"
    world.runbook(runbook(limits=limits, steps=step(1, "redis-cli FLUSHDB")))
    world.answers("redis-cli FLUSHDB", "OK")
    incident_id, results = waiting(shell, world, ["approve", "--step-by-step"], ["approve"])
    assert [each.code for each in results] == [0, 0]
    assert "👍 Approved by " + operator() + " (command line) (step 1)" in world.told(incident_id)


def test_a_run_by_hand_waits_for_somebody_else_under_four_eyes(
    shell: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(shell, world, "alice", "bob")
    called("alice", monkeypatch)
    shell.runbook("hello", HELLO.replace("- max_cache_operations: 1", "- four_eyes: true"))
    monkeypatch.setattr(run, "_LOOK_S", 0.01)
    tried: list[object] = []
    done = threading.Event()

    def others() -> None:
        while not done.wait(0.02):
            for found in world.store.incidents():
                if found.status is Status.AWAITING_APPROVAL:
                    for name in ("alice", "bob"):
                        actor = Actor(Person(name, Role.APPROVER), Via.CONSOLE)
                        now = found.received_at
                        tried.append(
                            answers.decide(
                                world.store, found, approved=True, by=str(actor), now=now, actor=actor
                            )
                        )
                    return

    thread = threading.Thread(target=others)
    thread.start()
    result = shell("run", "hello", "--alert", "hello.json", "--yes")
    done.set()
    thread.join()
    assert result.code == 0, result.err
    assert "waiting for others" in result.out
    assert "👍 Approved by bob (by console)" in result.out
    assert "four eyes: alice asked for it" in str(tried[0])


def test_a_run_by_hand_that_nobody_could_approve_is_refused_before_it_begins(shell: Shell) -> None:
    shell.runbook("hello", HELLO.replace("- max_cache_operations: 1", "- approvals: 2"))
    result = shell("run", "hello", "--alert", "hello.json", "--yes")
    assert result.code == 1
    assert "the configuration names no `people`" in result.err
    assert shell("incidents").out == "no incidents\n"
