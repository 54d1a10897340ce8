"""A page whose question is answered is cleared: nobody is woken by it again, and nobody looks for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.domain.decisions import StandDown
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Status
from agent.domain.records import CHOICE, Decision
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline.takeover import handle_event
from tests.unit.pipeline.conftest import World, runbook, step

PING = "redis-cli PING"
PINGS = step(1, PING, keys='Expected output: "PONG"\nAttempts: 1')
AUTH = ServiceError("desk", Reason.AUTH, "invalid token", retryable=False)
RESOLVED = SourceEvent(
    "pagerduty", "d-9", EventType.RESOLVED, "incident.resolved", "P1", ActorKind.HUMAN, "U1", "Responder"
)


@pytest.fixture
def torn(world: World) -> World:
    for name in ("one", "two"):
        world.runbook(runbook(steps=PINGS), name)
    world.answers(PING, "PONG")
    return world


def open_keys(world: World) -> list[str]:
    return [page.dedup_key for page in world.pager.open_pages]


def choosing(world: World, name: str = "one") -> str:
    incident_id = world.receive()

    def choose(_: str) -> bool:
        world.deliver()
        assert open_keys(world) == [f"oncall-agent-{incident_id}"]
        return world.store.decide(incident_id, Decision(CHOICE, True, "Responder", world.clock.now(), name))

    world.on_wait = choose
    return incident_id


def test_a_choice_clears_the_page_that_asked_for_it(torn: World) -> None:
    incident = torn.handle(choosing(torn))
    assert incident.status is Status.RESOLVED
    assert len(torn.pager.woken) == 1
    assert open_keys(torn) == []
    assert torn.told(incident.id).count("📟 The page is cleared: Responder chose one") == 1


def test_what_goes_wrong_after_the_choice_stays_open_for_a_human(torn: World) -> None:
    for name in ("one", "two"):
        torn.runbook(runbook(steps=PINGS.replace("PONG", "NEVER")), name)
    incident = torn.handle(choosing(torn))
    assert open_keys(torn) == [f"oncall-agent-{incident.id}-chosen"]


def test_a_choice_that_nobody_made_leaves_its_page_open(torn: World) -> None:
    incident = torn.page()
    assert incident.status is Status.ESCALATED
    assert open_keys(torn) == [f"oncall-agent-{incident.id}"]


def test_who_takes_over_instead_of_choosing_need_not_close_the_page(torn: World) -> None:
    incident_id = torn.receive()

    def take(_: str) -> bool:
        torn.deliver()
        return torn.store.stand_down(incident_id, StandDown("Responder", "acknowledged the incident"))

    torn.on_wait = take
    assert torn.handle(incident_id).status is Status.STOOD_DOWN
    assert len(torn.pager.woken) == 1
    assert open_keys(torn) == []


def test_an_incident_without_a_choice_clears_nothing(world: World) -> None:
    world.runbook(runbook(steps=PINGS))
    world.answers(PING, "PONG")
    incident = world.page()
    assert incident.status is Status.RESOLVED
    assert not any("cleared" in text for text in world.told(incident.id))


def unresolved(world: World) -> str:
    """An incident that was fixed while its source refuses our token."""
    world.runbook(runbook(steps=PINGS))
    world.answers(PING, "PONG")
    incident_id = world.receive()
    world.when_run(PING, lambda: world.desk.fail_with(*[AUTH] * 3))
    world.on_wait = lambda _: False
    world.handle(incident_id)
    return incident_id


def test_the_warning_that_it_could_not_be_resolved_is_cleared_once_it_is(world: World) -> None:
    incident_id = unresolved(world)
    assert [page.dedup_key for page in world.pager.woken] == [f"oncall-agent-{incident_id}-unresolved"]
    world.clock.sleep(60)
    world.deliver()
    assert world.desk.incident("P1").facts.status == "resolved"
    assert open_keys(world) == []
    after_all = "✅ Closed at its source after all: the agent's resolve was taken"
    assert world.told(incident_id).count(after_all) == 1


def test_a_human_who_closes_it_at_the_source_clears_the_warning_too(world: World) -> None:
    world.runbook(runbook(steps=PINGS))
    world.answers(PING, "PONG")
    incident_id = world.receive()
    world.when_run(PING, lambda: world.desk.fail_with(*[AUTH] * 500))
    world.handle(incident_id)
    assert open_keys(world) == [f"oncall-agent-{incident_id}-unresolved"]
    for delivery in ("d-9", "d-10"):
        handle_event(world.context, incident_id, replace(RESOLVED, delivery_id=delivery))
    world.deliver()
    assert open_keys(world) == []
    assert sum("after all: Responder resolved it" in text for text in world.told(incident_id)) == 1
