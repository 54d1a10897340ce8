"""Whose yes it takes: several people's, certain people's, and never that of who asked for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.domain.approvals import ASKED_BY, Needs, names_in, needs_of
from agent.domain.incident import Entry, EventKind, Incident, Status
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.records import CHOICE, Decision
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.telling import Teller
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

FLUSH = "redis-cli FLUSHDB"
PEOPLE = [
    {"name": "alice", "role": "approver", "teams": ["governance"]},
    {"name": "bob", "role": "approver", "teams": ["governance"]},
    {"name": "carol", "role": "admin"},
    {"name": "dave", "role": "responder", "teams": ["governance"]},
]
TWO = "- max_cache_operations: 1\n- approvals: 2"
ROLES = {str(each["name"]): Role(str(each["role"])) for each in PEOPLE}


def configured(world: World, limits: str = TWO, **sections: object) -> World:
    world.configure(**sections)  # type: ignore[arg-type]
    world.config = type(world.config).model_validate(world.config.model_dump() | {"people": PEOPLE})
    world.runbook(runbook(limits=limits, steps=step(1, FLUSH, keys='Expected output: "OK"')))
    world.answers(FLUSH, "OK")
    return world


@pytest.fixture
def two(world: World) -> World:
    """A runbook that two people must approve."""
    return configured(world)


def somebody(name: str, via: Via = Via.SLACK, *, is_shown: bool = True) -> Actor:
    found = next((each for each in PEOPLE if each["name"] == name), {})
    teams = frozenset(map(str, found.get("teams", ())))  # type: ignore[call-overload]
    return Actor(Person(name, ROLES.get(name, Role.APPROVER), teams=teams), via, is_shown)


def says(world: World, incident_id: str, actor: Actor, *, approved: bool = True) -> Taken | NotTaken:
    return answers.decide(
        world.store,
        world.store.incident(incident_id),
        approved=approved,
        by=str(actor),
        now=world.clock.now(),
        actor=actor,
        teller=Teller(world.store, world.context.redactor, world.context.channels),
    )


def asked(world: World, incident_id: str) -> Needs:
    events = [e for e in world.store.timeline(incident_id) if e.kind is EventKind.APPROVAL_REQUESTED]
    return needs_of(events[-1].data)


def played(world: World, *moves: Callable[[str], object]) -> tuple[Incident, list[object]]:
    """An incident in whose wait these things happen, one a look."""
    incident_id = world.receive(replace(ALERT, source_id="P9"))
    left, results = list(moves), list[object]()

    def wait(_: str) -> bool:
        if not left:
            return False
        results.append(left.pop(0)(incident_id))
        return True

    world.on_wait = wait
    return world.handle(incident_id), results


def test_two_people_approve_and_it_runs(two: World) -> None:
    incident, (first, second) = played(
        two,
        lambda each: says(two, each, somebody("alice")),
        lambda each: says(two, each, somebody("bob", Via.CONSOLE)),
    )
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert (first.waits_for, second.waits_for) == (1, 0)
    assert incident.status is Status.RESOLVED
    told = two.told(incident.id)
    assert "👍 1 of 2: alice (by Slack) says yes; 1 more needed" in told
    assert "👍 Approved by alice (by Slack) and bob (by console)" in told
    assert "👍 1 of 2: alice (by Slack) says yes; 1 more needed" in two.chat.threads[0].lines


def test_one_person_is_one_person_whatever_face_they_use(two: World) -> None:
    incident, results = played(
        two,
        lambda each: says(two, each, somebody("alice", Via.SLACK)),
        lambda each: says(two, each, somebody("alice", Via.CONSOLE)),
    )
    again = results[1]
    assert isinstance(again, Taken)
    assert (again.waits_for, again.again) == (1, True)
    assert incident.status is Status.ESCALATED
    assert two.sandbox.commands() == []
    assert "⌛ Not enough people approved the plan in time, only alice (by Slack)" in two.told(incident.id)


def test_one_no_is_enough(two: World) -> None:
    incident, _ = played(
        two,
        lambda each: says(two, each, somebody("alice")),
        lambda each: says(two, each, somebody("dave"), approved=False),
    )
    assert incident.status is Status.ESCALATED
    assert "was rejected" in incident.result
    assert two.sandbox.commands() == []


def test_whoever_said_yes_may_still_say_no(two: World) -> None:
    incident, _ = played(
        two,
        lambda each: says(two, each, somebody("alice")),
        lambda each: says(two, each, somebody("alice"), approved=False),
    )
    assert "was rejected" in incident.result


def test_a_name_that_was_only_said_is_nobody_here(two: World) -> None:
    def shared_token(incident_id: str) -> object:
        return says(two, incident_id, somebody("alice", Via.API, is_shown=False))

    _, (answer,) = played(two, shared_token)
    assert isinstance(answer, NotTaken)
    assert "2 people must say yes" in answer.why
    assert "personal token" in answer.why


def test_a_responder_approves_nothing(two: World) -> None:
    _, (answer,) = played(two, lambda each: says(two, each, somebody("dave")))
    assert isinstance(answer, NotTaken)
    assert "takes the role approver" in answer.why


def test_only_its_approvers_count(world: World) -> None:
    configured(world, "- max_cache_operations: 1\n- approvers: team:governance")
    incident, (no, yes) = played(
        world,
        lambda each: says(world, each, somebody("carol")),
        lambda each: says(world, each, somebody("bob")),
    )
    assert isinstance(no, NotTaken)
    assert no.why == "carol is not among its approvers: team:governance"
    assert isinstance(yes, Taken)
    assert incident.status is Status.RESOLVED


def test_who_started_it_does_not_approve_it(world: World) -> None:
    configured(world, "- max_cache_operations: 1\n- four_eyes: true")
    entry = Entry("started", EventKind.NOTE, "started by hand", {ASKED_BY: "alice (root, command line)"})

    def start(incident_id: str) -> None:
        assert asked(world, incident_id).asked_by == ("alice", "root")

    incident_id = world.receive(replace(ALERT, source_id="P9"))
    world.store.record(incident_id, [entry])
    results: list[object] = []
    moves = [
        start,
        lambda each: results.append(says(world, each, somebody("Alice"))),
        lambda each: results.append(says(world, each, somebody("bob"))),
    ]

    def wait(_: str) -> bool:
        moves.pop(0)(incident_id)
        return True

    world.on_wait = wait
    incident = world.handle(incident_id)
    assert isinstance(results[0], NotTaken)
    assert results[0].why == "four eyes: Alice asked for it, so somebody else must approve it"
    assert incident.status is Status.RESOLVED


def test_who_chose_the_runbook_does_not_approve_it(world: World) -> None:
    configured(world, "- max_cache_operations: 1\n- four_eyes: true")
    alone = world.runbooks / "redis-connection-timeout.md"
    for name in ("one", "two"):
        world.runbook(alone.read_text(), name)
    alone.unlink()
    incident_id = world.receive(replace(ALERT, source_id="P9"))
    results: list[object] = []

    def wait(_: str) -> bool:
        if world.store.decision(incident_id, CHOICE) is None:
            chosen = Decision(CHOICE, True, "bob (by Slack)", world.clock.now(), "one")
            return world.store.decide(incident_id, chosen)
        name = "carol" if results else "bob"
        results.append(says(world, incident_id, somebody(name)))
        return True

    world.on_wait = wait
    incident = world.handle(incident_id)
    assert isinstance(results[0], NotTaken)
    assert "four eyes: bob" in results[0].why
    assert incident.status is Status.RESOLVED


def test_an_effect_class_of_the_configuration_takes_two_although_the_runbook_is_silent(world: World) -> None:
    demand = {"by_effect": {"cache_operations": {"approvals": 2, "four_eyes": True}}}
    configured(world, "- max_cache_operations: 1", approval=demand)
    incident, _ = played(
        world,
        lambda each: says(world, each, somebody("alice")),
        lambda each: says(world, each, somebody("bob")),
    )
    assert incident.status is Status.RESOLVED
    assert asked(world, incident.id) == Needs(2, four_eyes=True)


def test_the_stricter_of_runbook_and_configuration_counts(world: World) -> None:
    demand = {"by_effect": {"cache_operations": {"approvals": 1, "four_eyes": True}}}
    configured(world, TWO + "\n- approvers: alice, bob, carol", approval=demand)
    incident, _ = played(world)
    assert asked(world, incident.id) == Needs(2, ("alice", "bob", "carol"), four_eyes=True)


def test_other_effects_are_not_asked_for(world: World) -> None:
    configured(world, "- max_cache_operations: 1", approval={"by_effect": {"rollouts": {"approvals": 2}}})
    incident, _ = played(world)
    assert incident.status is Status.RESOLVED


def test_where_nobody_is_known_it_is_refused_at_once_with_words(world: World) -> None:
    world.runbook(runbook(limits=TWO, steps=step(1, FLUSH)))
    incident, _ = played(world)
    assert incident.status is Status.ESCALATED
    assert "cannot be approved" in incident.result
    assert "the configuration names no `people`" in incident.result


def test_where_too_few_may_it_is_refused_at_once_with_words(world: World) -> None:
    configured(world, "- max_cache_operations: 1\n- approvals: 2\n- approvers: alice, dave")
    incident, _ = played(world)
    assert "only alice may give it" in incident.result


def test_without_people_anybodys_one_yes_is_enough_as_before(world: World) -> None:
    world.runbook(runbook(limits="- requires_human_approval: true", steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")

    def yes(incident_id: str) -> object:
        incident = world.store.incident(incident_id)
        return answers.decide(world.store, incident, approved=True, by="somebody", now=world.clock.now())

    incident, (answer,) = played(world, yes)
    assert isinstance(answer, Taken)
    assert incident.status is Status.RESOLVED


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("alice (by Slack)", ("alice",)),
        ("root (command line)", ("root",)),
        ("alice (root, command line)", ("alice", "root")),
        ("", ()),
    ],
)
def test_names_are_known_however_they_were_said(said: str, names: tuple[str, ...]) -> None:
    assert names_in(said) == names
