"""Another runbook while a plan is asked about: only one whose rules hold, its own plan, its own question."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from agent.domain.incident import EventKind, Incident, Status
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.stops import StopAsked, StopScope
from agent.pipeline import answers, stops
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.telling import Teller
from tests.unit.pipeline.conftest import World, runbook, step

MATCHED, OTHER = "redis-connection-timeout", "redis-memory"
ASKS = "- max_cache_operations: 2\n- requires_human_approval: true"
PEOPLE = [{"name": name, "role": "approver"} for name in ("alice", "bob")]

Move = Callable[[str], object]


@pytest.fixture
def two(world: World) -> World:
    """The likelier one asks for a yes; the other one may run alone."""
    titles = {MATCHED: "Redis Connection Timeout", OTHER: "Redis Memory", "disk": "Disk"}
    world.runbook(runbook(title=titles[MATCHED], limits=ASKS, steps=step(1, "redis-cli FLUSHDB")), MATCHED)
    world.runbook(runbook(title=titles[OTHER], steps=step(1, "redis-cli DEL sessions")), OTHER)
    disk = runbook(title="Disk", triggers='- Alert contains: "disk"', steps=step(1, "redis-cli PING"))
    world.runbook(disk, "disk")
    world.answers("redis-cli FLUSHDB", "OK")
    world.answers("redis-cli DEL sessions", "1")
    return world


def played(world: World, *moves: Move) -> tuple[Incident, list[object]]:
    incident_id = world.receive()
    left, results = list(moves), list[object]()

    def wait(_: str) -> bool:
        if not left:
            return False
        results.append(left.pop(0)(incident_id))
        return True

    world.on_wait = wait
    return world.handle(incident_id), results


def somebody(name: str, role: Role = Role.APPROVER) -> Actor:
    return Actor(Person(name, role), Via.SLACK)


def chooses(world: World, name: str, who: Actor | None = None, plan_hash: str = "") -> Move:
    who = who or somebody("alice")

    def move(incident_id: str) -> object:
        found = world.store.incident(incident_id)
        return answers.choose(
            world.store, found, name, by=str(who), now=world.clock.now(), plan_hash=plan_hash, actor=who
        )

    return move


def yes(world: World, name: str = "bob", plan_hash: str = "") -> Move:
    who = somebody(name)

    def move(incident_id: str) -> object:
        return answers.decide(
            world.store, world.store.incident(incident_id), approved=True, by=str(who),
            now=world.clock.now(), plan_hash=plan_hash, actor=who,
        )  # fmt: skip

    return move


def questions(world: World, incident_id: str) -> list[Mapping[str, object]]:
    asked = EventKind.APPROVAL_REQUESTED
    return [event.data for event in world.store.timeline(incident_id) if event.kind is asked]


def why(answer: object) -> str:
    assert isinstance(answer, NotTaken)
    return answer.why


def test_the_other_runbook_is_planned_asked_about_and_run(two: World) -> None:
    incident, (chosen, approved) = played(two, chooses(two, OTHER), yes(two))
    assert isinstance(chosen, Taken)
    assert isinstance(approved, Taken)
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, OTHER)
    assert two.sandbox.commands() == ["redis-cli DEL sessions"]
    assert incident.match_reasons[0] == "chosen by alice (by Slack)"
    said = f"👉 alice (by Slack) chose {OTHER} in the place of {MATCHED}: that is another plan"
    assert any(line.startswith(said) for line in two.told(incident.id))
    assert incident.runbook_title == "Redis Memory"


def test_the_question_says_what_may_be_chosen_and_never_what_no_rule_holds_for(two: World) -> None:
    incident, (answer,) = played(two, chooses(two, "disk"))
    assert why(answer) == f"disk is not offered; choose one of {OTHER}"
    (question,) = questions(two, incident.id)
    assert [each[0] for each in question["others"]] == [OTHER]  # type: ignore[attr-defined]
    asked = next(line for line in two.told(incident.id) if line.startswith("✋"))
    assert (
        f"`oncall-agent choose {incident.id} RUNBOOK` plans with another one that matches: {OTHER}" in asked
    )
    assert two.sandbox.commands() == []


def test_chosen_back_it_is_asked_about_anew(two: World) -> None:
    incident, _ = played(two, chooses(two, OTHER), chooses(two, MATCHED), yes(two))
    hashes = [str(each["plan_hash"]) for each in questions(two, incident.id)]
    assert len(set(hashes)) == 3
    assert two.sandbox.commands() == ["redis-cli FLUSHDB"]
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, MATCHED)


def test_a_yes_to_the_plan_before_is_none_to_the_new_one(two: World) -> None:
    def old(incident_id: str) -> object:
        return yes(two, plan_hash=str(questions(two, incident_id)[0]["plan_hash"]))(incident_id)

    incident, (_, answer) = played(two, chooses(two, OTHER), old)
    assert f"alice (by Slack) has chosen {OTHER}" in why(answer)
    assert incident.status is Status.ESCALATED
    assert two.sandbox.commands() == []


def test_who_chose_it_does_not_approve_it_under_four_eyes(two: World) -> None:
    two.configure(approval={"four_eyes": True})
    two.config = type(two.config).model_validate(two.config.model_dump() | {"people": PEOPLE})
    moves = (chooses(two, OTHER), yes(two, "alice"), yes(two, "bob"))
    incident, (_, own, others) = played(two, *moves)
    assert "four eyes: alice asked for it" in why(own)
    assert isinstance(others, Taken)
    assert incident.status is Status.RESOLVED


def test_choosing_another_one_takes_the_right_to_approve(two: World) -> None:
    _, (answer,) = played(two, chooses(two, OTHER, somebody("rita", Role.RESPONDER)))
    assert "takes the role approver" in why(answer)


def test_chosen_twice_by_the_same_human_it_is_one_choice(two: World) -> None:
    def twice(incident_id: str) -> object:
        chooses(two, OTHER)(incident_id)
        return chooses(two, OTHER)(incident_id)

    incident, (again, later, _) = played(two, twice, chooses(two, OTHER), yes(two))
    assert isinstance(again, Taken)
    assert again.again
    assert isinstance(later, Taken)
    assert later.again
    assert len(questions(two, incident.id)) == 2


def test_the_one_that_is_asked_about_is_no_other_one(two: World) -> None:
    _, (answer,) = played(two, chooses(two, MATCHED))
    assert "asks about a plan of redis-connection-timeout already" in why(answer)


def test_after_the_yes_it_comes_too_late(two: World) -> None:
    def both(incident_id: str) -> object:
        yes(two)(incident_id)
        return chooses(two, OTHER)(incident_id)

    incident, (answer,) = played(two, both)
    assert "somebody already decided" in why(answer)
    assert incident.runbook_id == MATCHED
    assert "does not wait for" in why(chooses(two, OTHER)(incident.id))


def test_a_runbook_that_is_stopped_is_not_chosen(two: World) -> None:
    def stopped(incident_id: str) -> object:
        teller = Teller(two.store, two.context.redactor, two.context.channels)
        stops.put(teller, StopAsked(StopScope.RUNBOOK, OTHER, "broken", "bob"), now=two.clock.now())
        return chooses(two, OTHER)(incident_id)

    _, (answer,) = played(two, stopped)
    assert "is stopped" in why(answer)


def test_stopped_after_it_was_chosen_it_is_not_planned(two: World) -> None:
    def stopped(incident_id: str) -> object:
        answer = chooses(two, OTHER)(incident_id)
        teller = Teller(two.store, two.context.redactor, two.context.channels)
        stops.put(teller, StopAsked(StopScope.RUNBOOK, OTHER, "broken", "bob"), now=two.clock.now())
        return answer

    incident, _ = played(two, stopped)
    assert incident.status is Status.ESCALATED
    assert "broken" in incident.result
    assert two.sandbox.commands() == []


def test_what_the_guards_refuse_of_it_is_refused(two: World) -> None:
    two.runbook(runbook(title="Redis Memory", limits="", steps=step(1, "redis-cli DEL sessions")), OTHER)
    incident, _ = played(two, chooses(two, OTHER))
    assert incident.status is Status.ESCALATED
    assert "Refused" in incident.result
    assert two.sandbox.commands() == []


def test_the_revision_that_was_offered_runs_whatever_the_file_says_by_now(two: World) -> None:
    def changed(incident_id: str) -> object:
        two.runbook(runbook(title="Redis Memory", steps=step(1, "redis-cli FLUSHALL")), OTHER)
        two.context.library.reload()
        return chooses(two, OTHER)(incident_id)

    played(two, changed, yes(two))
    assert two.sandbox.commands() == ["redis-cli DEL sessions"]


def test_one_that_a_human_chose_may_still_give_way_to_another(world: World) -> None:
    for name in ("one", "two"):
        world.runbook(runbook(limits=ASKS, steps=step(1, f"redis-cli DEL {name}")), name)
    world.answers("redis-cli DEL one", "1")
    moves = (chooses(world, "two"), chooses(world, "one"), yes(world))
    incident, (first, second, _) = played(world, *moves)
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "one")
    assert world.sandbox.commands() == ["redis-cli DEL one"]


def test_a_step_that_asks_is_about_no_other_runbook(two: World) -> None:
    keys = "Approval: required"
    steps = step(1, "redis-cli FLUSHDB", keys=keys)
    two.runbook(runbook(title="Redis Connection Timeout", steps=steps), MATCHED)
    _, (answer,) = played(two, chooses(two, OTHER))
    assert "asks about one step" in why(answer)


def test_where_only_one_matches_nothing_else_is_offered(world: World) -> None:
    world.runbook(runbook(limits=ASKS, steps=step(1, "redis-cli FLUSHDB")))
    incident, (answer,) = played(world, chooses(world, "disk"))
    assert why(answer) == "disk is not offered; the conditions of no other runbook hold for it"
    assert questions(world, incident.id)[0]["others"] == []
