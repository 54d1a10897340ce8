"""A process that dies anywhere on the way of an edited, twice approved plan loses and repeats nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from agent.adapters.stored_run import StoredRun
from agent.domain.incident import EventKind, Status
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.runs import Leg, Parked, Places
from agent.pipeline import answers
from agent.pipeline.answers import NotTaken
from agent.pipeline.handle import handle
from tests.unit.pipeline.conftest import World, runbook, step

T = TypeVar("T")

PARAMETERS = "## Parameters\n- key: one of carts, sessions; default sessions\n"
LIMITS = "- max_cache_operations: 2\n- approvals: 2\n- four_eyes: true"
PEOPLE = [{"name": name, "role": "approver"} for name in ("alice", "bob", "carol")]


class Killed(BaseException):
    """The process is gone."""


class MortalRun(StoredRun):
    """Dies right after it did its nth step, before anybody remembers that."""

    dies_after = 0

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        def mortal() -> T:
            value = do()
            MortalRun.dies_after -= 1
            if MortalRun.dies_after == 0:
                raise Killed(name)
            return value

        return super().step(name, mortal, returns)


#: The run has so many steps in all; after the last one it is over.
STEPS = 20


def carried_on(world: World, incident_id: str) -> list[str]:
    """Legs until the incident ends; in each wait the next words are said. Gives where it died."""
    words = [edited, approved_by("alice"), approved_by("bob"), approved_by("carol")]
    died: list[str] = []
    leg: Leg | None = Leg(incident_id)
    while leg is not None:
        memory = world.store.memory_of(leg, "main")
        if memory is None:
            break
        run = MortalRun(
            world.store, leg, memory, executor_id="main", places=Places(32), closing=threading.Event()
        )
        try:
            with run.riding():
                handle(run, world.context, incident_id)
            leg = None
        except Killed as death:
            died.append(str(death))
        except Parked:
            leg = woken(world, incident_id, words)
    return died


def woken(world: World, incident_id: str, words: list[Callable[[World, str], None]]) -> Leg | None:
    """Say words until one of them wakes the run."""
    while words:
        words.pop(0)(world, incident_id)
        for about, asked in world.store.untold_decisions():
            world.store.wake(about, "decision")
            world.store.decision_told(about, asked)
        if begun := world.store.begin_due("main"):
            return begun[0]
    return None


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
    died = carried_on(world, incident_id)
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
