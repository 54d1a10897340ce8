"""A process that dies anywhere on the way of an edited, twice approved plan loses and repeats nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.domain.incident import EventKind, Status
from agent.domain.people import Actor, Person, Role, Via
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken
from tests.unit.pipeline.conftest import World, runbook, step
from tests.unit.pipeline.mortal import MortalRun, Words, carried_on

PARAMETERS = "## Parameters\n- key: one of carts, sessions; default sessions\n"
LIMITS = "- max_cache_operations: 2\n- approvals: 2\n- four_eyes: true"
PEOPLE = [{"name": name, "role": "approver"} for name in ("alice", "bob", "carol")]


#: The run has so many steps in all; after the last one it is over.
STEPS = 20


def said() -> list[Words]:
    return [edited, approved_by("alice"), approved_by("bob"), approved_by("carol")]


def actor(name: str) -> Actor:
    return Actor(Person(name, Role.APPROVER), Via.SLACK)


def edited(world: World, incident_id: str) -> None:
    found = world.store.incident(incident_id)
    alice = actor("alice")
    answer = answers.edit(
        world.store, found, {"key": "carts"}, by=str(alice), now=world.clock.now(), actor=alice
    )
    assert not isinstance(answer, NotTaken)


def approved_by(name: str) -> Callable[[World, str], None]:
    def say(world: World, incident_id: str) -> None:
        found = world.store.incident(incident_id)
        who = actor(name)
        answers.decide(world.store, found, approved=True, by=str(who), now=world.clock.now(), actor=who)

    return say


@pytest.fixture
def world(world: World) -> World:
    world.config = type(world.config).model_validate(world.config.model_dump() | {"people": PEOPLE})
    world.runbook(runbook(limits=LIMITS, steps=step(1, "redis-cli DEL {{ key }}"), more=PARAMETERS))
    world.answers("redis-cli DEL carts", "1")
    return world


@pytest.mark.parametrize("nth", range(STEPS + 1))
def test_it_dies_anywhere_and_goes_on(world: World, nth: int) -> None:
    incident_id = world.receive()
    MortalRun.dies_after = nth
    died = carried_on(world, incident_id, said())
    assert len(died) == (1 if nth else 0)
    incident = world.store.incident(incident_id)
    assert incident.status is Status.RESOLVED
    assert world.sandbox.commands() == ["redis-cli DEL carts"]
    kinds = [event.kind for event in world.store.timeline(incident_id)]
    assert kinds.count(EventKind.APPROVAL_REQUESTED) == 2
    assert kinds.count(EventKind.PARAMETERS_EDITED) == 1
    assert kinds.count(EventKind.VOTED) == 2
    told = [event.text for event in world.store.timeline(incident_id)]
    assert "👍 Approved by bob (by Slack) and carol (by Slack)" in told
    standing = world.store.autonomy_of(incident.runbook_id)
    assert standing is not None
    assert [each.incident_id for each in standing.evidence] == [incident_id]
