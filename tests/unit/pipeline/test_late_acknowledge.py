"""An acknowledge of ours that arrives after somebody resolved the incident must not leave it open."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.adapters.fake_desk import FakeDesk
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import DeskAcknowledge
from agent.domain.records import Changes
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline.takeover import handle_event
from tests.unit.pipeline.conftest import World


class LateDesk(FakeDesk):
    """Looks before somebody resolves the incident and writes after: that opens it, as with PagerDuty."""

    def acknowledge(self, source_id: str) -> str:
        incident = self.incident(source_id)
        incident.facts = replace(incident.facts, status="acknowledged")
        return "PAGENT0"


@pytest.fixture
def late(world: World) -> World:
    world.desk = LateDesk()
    return world


def resolved(world: World, *, at_s: float) -> SourceEvent:
    """Somebody resolved it; `at_s` counts from now."""
    at = world.clock.now() + timedelta(seconds=at_s)
    return SourceEvent(
        "pagerduty", "d-9", EventType.RESOLVED, "incident.resolved", "P1", ActorKind.HUMAN, "U1", "Responder",
        occurred_at=at,
    )  # fmt: skip


def acknowledged(world: World) -> str:
    """The agent's acknowledge has opened what somebody had resolved a moment before."""
    incident_id = world.receive()
    world.store.record(
        incident_id, [Entry("x", EventKind.ACKNOWLEDGED, "x")], messages=[DeskAcknowledge("P1")]
    )
    world.deliver()
    assert world.desk.incident("P1").facts.status == "acknowledged"
    return incident_id


def test_it_is_resolved_again_in_the_name_of_whoever_resolved_it(late: World) -> None:
    incident_id = acknowledged(late)
    assert handle_event(late.context, incident_id, resolved(late, at_s=-0.1))
    late.deliver()
    kept = late.desk.incident("P1")
    assert kept.facts.status == "resolved"
    assert kept.resolution.startswith("Resolved by Responder")


def test_it_is_resolved_again_although_the_incident_is_over_for_the_agent(late: World) -> None:
    incident_id = acknowledged(late)
    late.store.record(
        incident_id, [Entry("end", EventKind.ESCALATED, "x")], changes=Changes(status=Status.ESCALATED)
    )
    assert not handle_event(late.context, incident_id, resolved(late, at_s=-0.1))
    late.deliver()
    assert late.desk.incident("P1").facts.status == "resolved"


def test_what_was_resolved_long_after_our_acknowledge_needs_nothing(late: World) -> None:
    incident_id = acknowledged(late)
    handle_event(late.context, incident_id, resolved(late, at_s=60))
    late.deliver()
    assert late.desk.incident("P1").facts.status == "acknowledged"  # the fake's: nothing was written


def test_an_acknowledge_that_was_not_sent_yet_is_not_sent_any_more(world: World) -> None:
    incident_id = world.receive()
    message = [DeskAcknowledge("P1")]
    world.store.record(incident_id, [Entry("x", EventKind.ACKNOWLEDGED, "x")], messages=message)
    handle_event(world.context, incident_id, resolved(world, at_s=0))
    world.deliver()
    assert world.desk.incident("P1").acknowledged_by == []
    assert world.desk.incident("P1").facts.status == "triggered"
