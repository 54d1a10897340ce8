"""Beside yes and no: other values for the plan, step by step, and what follows where no yes comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from agent.domain.incident import EventKind, Incident, Status
from agent.domain.records import Decision
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken, Taken
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

DELETE = "redis-cli DEL"
PARAMETERS = """## Parameters
- key: one of carts, sessions; default sessions
- number: pattern /[0-9]{1,3}/; default 1
"""
ASKS = "- max_cache_operations: 2\n- requires_human_approval: true"


@pytest.fixture
def edited(world: World) -> World:
    """A runbook with two parameters that waits for a yes."""
    world.runbook(
        runbook(limits=ASKS, steps=step(1, f"{DELETE} {{{{ key }}}}-{{{{ number }}}}"), more=PARAMETERS)
    )
    world.answers(f"{DELETE} carts-1", "1")
    world.answers(f"{DELETE} sessions-1", "1")
    return world


Move = Callable[[str], object]


def played(world: World, *moves: Move) -> tuple[Incident, list[object]]:
    incident_id = world.receive(replace(ALERT, source_id="P9"))
    left, results = list(moves), list[object]()

    def wait(_: str) -> bool:
        if not left:
            return False
        results.append(left.pop(0)(incident_id))
        return True

    world.on_wait = wait
    return world.handle(incident_id), results


def edits(world: World, by: str = "alice", **values: str) -> Move:
    def move(incident_id: str) -> object:
        found = world.store.incident(incident_id)
        return answers.edit(world.store, found, values, by=by, now=world.clock.now())

    return move


def yes(world: World, *, approved: bool = True, step_by_step: bool = False, plan_hash: str = "") -> Move:
    def move(incident_id: str) -> object:
        return answers.decide(
            world.store, world.store.incident(incident_id),
            approved=approved, by="bob", now=world.clock.now(), plan_hash=plan_hash,
            step_by_step=step_by_step,
        )  # fmt: skip

    return move


def questions(world: World, incident_id: str) -> list[Mapping[str, object]]:
    asked = EventKind.APPROVAL_REQUESTED
    return [event.data for event in world.store.timeline(incident_id) if event.kind is asked]


def test_an_edited_plan_is_another_plan_with_its_own_question(edited: World) -> None:
    incident, (first, second) = played(edited, edits(edited, key="carts"), yes(edited))
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert edited.sandbox.commands() == ["redis-cli DEL carts-1"]
    assert incident.status is Status.RESOLVED
    old, new = (each["plan_hash"] for each in questions(edited, incident.id))
    assert old != new
    told = edited.told(incident.id)
    assert "✏️ alice wants key = carts: that is another plan, which needs its own approval" in told
    assert any("key = carts (edited by alice)" in line for line in told)


def test_a_yes_to_the_old_plan_is_none_to_the_new_one(edited: World) -> None:
    hashes: list[str] = []

    def old(incident_id: str) -> object:
        hashes.append(str(questions(edited, incident_id)[0]["plan_hash"]))
        return yes(edited, plan_hash=hashes[0])(incident_id)

    incident, (_, answer) = played(edited, edits(edited, key="carts"), old)
    assert isinstance(answer, NotTaken)
    assert "alice has edited the parameters" in answer.why
    assert edited.sandbox.commands() == []
    assert incident.status is Status.ESCALATED


def test_values_that_were_asked_about_before_are_asked_about_anew(edited: World) -> None:
    moves = (edits(edited, key="carts"), edits(edited, key="sessions"), yes(edited))
    incident, results = played(edited, *moves)
    assert all(isinstance(each, Taken) for each in results)
    assert len({str(each["plan_hash"]) for each in questions(edited, incident.id)}) == 3
    assert edited.sandbox.commands() == ["redis-cli DEL sessions-1"]


def test_it_may_be_looked_for_an_answer_before_there_is_one(edited: World) -> None:
    incident, _ = played(edited, lambda _: None, edits(edited, key="carts"), lambda _: None, yes(edited))
    assert incident.status is Status.RESOLVED


def test_an_edit_keeps_the_edits_before_it(edited: World) -> None:
    edited.answers(f"{DELETE} carts-7", "1")
    played(edited, edits(edited, key="carts"), edits(edited, number="7"), yes(edited))
    assert edited.sandbox.commands() == ["redis-cli DEL carts-7"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"key": "users"}, "is not one of carts, sessions"),
        ({"number": "1; rm"}, "does not match"),
        ({"number": "-1"}, "begins with a hyphen"),
        ({"pod": "x"}, "has no parameter pod that can be edited; it has: key, number"),
        ({"key": "sessions"}, "the plan has these values already"),
        ({}, "say which parameter"),
    ],
)
def test_values_beyond_what_is_declared_are_refused(edited: World, values: dict[str, str], why: str) -> None:
    incident, (answer, _) = played(edited, edits(edited, **values), yes(edited))
    assert isinstance(answer, NotTaken)
    assert why in answer.why
    assert len(questions(edited, incident.id)) == 1
    assert edited.sandbox.commands() == ["redis-cli DEL sessions-1"]


def test_the_same_edit_twice_is_one(edited: World) -> None:
    def twice(incident_id: str) -> object:
        edits(edited, key="carts")(incident_id)
        return edits(edited, key="carts")(incident_id)

    _, (answer, _) = played(edited, twice, yes(edited))
    assert isinstance(answer, Taken)
    assert answer.again


def test_an_edit_after_the_yes_comes_too_late(edited: World) -> None:
    def both(incident_id: str) -> object:
        yes(edited)(incident_id)
        return edits(edited, key="carts")(incident_id)

    _, (answer,) = played(edited, both)
    assert isinstance(answer, NotTaken)
    assert "already decided" in answer.why
    assert edited.sandbox.commands() == ["redis-cli DEL sessions-1"]


def test_a_step_that_asks_is_not_edited(world: World) -> None:
    keys = "Approval: required"
    world.runbook(
        runbook(steps=step(1, f"{DELETE} {{{{ key }}}}", keys=keys), more=PARAMETERS.split("- number")[0])
    )
    _, (answer,) = played(world, edits(world, key="carts"))
    assert isinstance(answer, NotTaken)
    assert "asks about one step" in answer.why


def test_step_by_step_asks_again_before_each_step_that_changes_something(world: World) -> None:
    commands = ("redis-cli PING", "redis-cli FLUSHDB", "redis-cli DEL sessions")
    steps = "".join(step(number, each) for number, each in enumerate(commands, start=1))
    world.runbook(runbook(limits=ASKS, steps=steps))
    for command in commands:
        world.answers(command, "OK")
    seen: list[list[str]] = []

    def look(incident_id: str) -> object:
        seen.append(world.sandbox.commands())
        return yes(world)(incident_id)

    incident, _ = played(world, yes(world, step_by_step=True), look, look)
    assert seen == [["redis-cli PING"], ["redis-cli PING", "redis-cli FLUSHDB"]]
    assert incident.status is Status.RESOLVED
    assert "👍 Approved by bob, step by step" in world.told(incident.id)


def test_a_no_to_one_of_the_steps_ends_it_there(world: World) -> None:
    steps = step(1, "redis-cli FLUSHDB") + step(2, "redis-cli DEL sessions")
    world.runbook(runbook(limits=ASKS, steps=steps))
    world.answers("redis-cli FLUSHDB", "OK")
    incident, _ = played(world, yes(world, step_by_step=True), yes(world), yes(world, approved=False))
    assert world.sandbox.commands() == ["redis-cli FLUSHDB"]
    assert "step 2 was rejected" in incident.result


def asking(world: World, more: str = "", **approval: str) -> None:
    world.configure(approval=approval)
    world.runbook(runbook(limits=ASKS, steps=step(1, "redis-cli FLUSHDB"), more=f"## Escalation\n{more}\n"))


def test_expired_pages_a_human_by_default(world: World) -> None:
    asking(world)
    incident, _ = played(world)
    assert (incident.status, len(world.pager.woken)) == (Status.ESCALATED, 1)
    assert EventKind.APPROVAL_EXPIRED.value in world.kinds(incident.id)


def test_rejected_pages_a_human_by_default_and_is_told_apart_from_expired(world: World) -> None:
    asking(world)
    incident, _ = played(world, yes(world, approved=False))
    assert (incident.status, len(world.pager.woken)) == (Status.ESCALATED, 1)
    assert EventKind.APPROVAL_REJECTED.value in world.kinds(incident.id)
    assert EventKind.APPROVAL_EXPIRED.value not in world.kinds(incident.id)


def test_a_runbook_may_end_without_a_page_where_nobody_approves_in_time(world: World) -> None:
    asking(world, "- If expired: stand down")
    incident, _ = played(world)
    assert (incident.status, world.pager.woken) == (Status.STOOD_DOWN, [])
    assert incident.result == "Ended: nobody approved the plan in time, and nobody is paged then"


def test_a_runbook_may_end_without_a_page_where_somebody_says_no(world: World) -> None:
    asking(world, "- If rejected: stand down")
    incident, _ = played(world, yes(world, approved=False))
    assert (incident.status, world.pager.woken) == (Status.STOOD_DOWN, [])
    assert incident.result.startswith("Handed over to bob (rejected the plan")


def test_the_runbooks_word_stands_before_the_configurations(world: World) -> None:
    asking(world, "- If expired: escalate", on_expiry="stand_down")
    incident, _ = played(world)
    assert incident.status is Status.ESCALATED


def test_the_configuration_says_it_for_runbooks_that_do_not(world: World) -> None:
    asking(world, on_expiry="stand_down")
    incident, _ = played(world)
    assert incident.status is Status.STOOD_DOWN


def test_once_steps_have_run_a_human_is_paged_whatever_the_runbook_says(world: World) -> None:
    steps = step(1, "redis-cli FLUSHDB") + step(2, "redis-cli DEL sessions", keys="Approval: required")
    more = "## Escalation\n- If expired: stand down\n"
    world.runbook(runbook(limits="- max_cache_operations: 2", steps=steps, more=more))
    world.answers("redis-cli FLUSHDB", "OK")
    incident, _ = played(world)
    assert incident.status is Status.ESCALATED


def test_a_late_edit_is_none(edited: World) -> None:
    def late(incident_id: str) -> object:
        edited.clock.sleep(901)
        question = str(questions(edited, incident_id)[0]["plan_hash"])
        values = '{"key": "carts"}'
        return edited.store.decide(
            incident_id, Decision(question, False, "alice", edited.clock.now(), values)
        )

    incident, _ = played(edited, late)
    assert "nobody approved the plan in time" in incident.result
