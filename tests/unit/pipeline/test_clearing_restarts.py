"""A process that dies anywhere on the way to the source's word loses and repeats nothing."""

from __future__ import annotations

import pytest

from agent.domain.incident import Status
from agent.pipeline.takeover import handle_event
from tests.unit.pipeline.conftest import World, runbook, step
from tests.unit.pipeline.mortal import MortalRun, carried_on
from tests.unit.pipeline.test_clearing import OVER, fires

#: The run has so many steps in all; after the last one it is over.
STEPS = 15


@pytest.fixture
def world(world: World) -> World:
    world.configure(sources={"alertmanager": {"clear_within": "5m"}})
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB")))
    world.answers("redis-cli FLUSHDB", "OK")
    return world


def says_that_it_is_over(world: World, incident_id: str) -> None:
    world.store.accept(OVER, "{}")
    for about, event in world.store.unhandled_events(10):
        handle_event(world.context, about, event, wake=lambda each: world.store.wake(each, "decision"))


@pytest.mark.parametrize("nth", range(STEPS + 1))
def test_it_dies_anywhere_and_is_resolved_by_the_sources_word(world: World, nth: int) -> None:
    incident_id = fires(world)
    MortalRun.dies_after = nth
    died = carried_on(world, incident_id, [says_that_it_is_over])
    assert len(died) == (1 if nth else 0)
    assert world.store.incident(incident_id).status is Status.RESOLVED
    assert world.sandbox.commands() == ["redis-cli FLUSHDB"]
    told = world.told(incident_id)
    assert [text[0] for text in told].count("⏳") == 1
    assert told.count("📣 alertmanager says that it is over") == 1


def test_a_wait_that_is_over_while_the_process_is_gone_calls_a_human(world: World) -> None:
    incident_id = fires(world)
    MortalRun.dies_after = 0

    def nothing_comes(world: World, _: str) -> None:
        world.clock.sleep(301)

    carried_on(world, incident_id, [nothing_comes])
    assert world.store.incident(incident_id).status is Status.ESCALATED
