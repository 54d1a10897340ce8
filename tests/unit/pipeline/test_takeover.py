from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline.takeover import Irrelevant, Later, TakenOver, handle_event, read_event
from tests.unit.pipeline.conftest import World

ACKNOWLEDGED = SourceEvent(
    "pagerduty", "d-9", EventType.ACKNOWLEDGED, "incident.acknowledged", "P1", ActorKind.HUMAN, "U1", "Ann"
)
RESOLVED = replace(ACKNOWLEDGED, type=EventType.RESOLVED, name="incident.resolved")
REASSIGNED = replace(ACKNOWLEDGED, type=EventType.REASSIGNED, name="incident.reassigned")


@pytest.mark.parametrize("event", [ACKNOWLEDGED, RESOLVED, REASSIGNED])
def test_a_human_who_acts_at_the_source_takes_over(world: World, event: SourceEvent) -> None:
    world.receive()
    world.store.learn_own_user_id("PAGENT0")
    reading = read_event(world.context, event)
    assert isinstance(reading, TakenOver)
    assert reading.stand_down.by == "Ann"


@pytest.mark.parametrize("event", [ACKNOWLEDGED, RESOLVED])
def test_the_agents_own_write_is_no_takeover(world: World, event: SourceEvent) -> None:
    world.receive()
    world.store.learn_own_user_id("PAGENT0")
    own = replace(event, actor_id="PAGENT0", actor_name="On-call Agent")
    assert read_event(world.context, own) == Irrelevant("the agent's own write")


def test_who_we_are_is_learned_from_the_answer_to_our_own_write(world: World) -> None:
    world.receive()
    world.store.begin_own_write("P1", "acknowledge")
    world.store.end_own_write("P1", "acknowledge", "PAGENT7")
    assert isinstance(read_event(world.context, replace(ACKNOWLEDGED, actor_id="PAGENT7")), Irrelevant)
    assert isinstance(read_event(world.context, ACKNOWLEDGED), TakenOver)


def test_while_our_write_is_under_way_the_event_waits(world: World) -> None:
    world.receive()
    world.store.begin_own_write("P1", "acknowledge")
    assert read_event(world.context, ACKNOWLEDGED) == Later()


def test_a_write_whose_answer_never_came_holds_nothing_back_for_ever(world: World) -> None:
    world.receive()
    world.store.begin_own_write("P1", "acknowledge")
    world.clock.sleep(timedelta(minutes=1).total_seconds())
    assert isinstance(read_event(world.context, ACKNOWLEDGED), TakenOver)


def test_a_source_that_does_not_tell_who_we_are_echoes_at_once(world: World) -> None:
    world.receive()
    world.store.begin_own_write("P1", "acknowledge")
    world.store.end_own_write("P1", "acknowledge", "")
    assert isinstance(read_event(world.context, ACKNOWLEDGED), Irrelevant)
    world.clock.sleep(5)
    assert isinstance(read_event(world.context, ACKNOWLEDGED), TakenOver)


def test_an_escalation_rule_that_reassigns_is_no_takeover(world: World) -> None:
    world.receive()
    by_rule = replace(REASSIGNED, actor_kind=ActorKind.UNKNOWN, actor_id="", actor_name="")
    assert isinstance(read_event(world.context, by_rule), Irrelevant)


def test_monitoring_that_resolves_ends_the_work(world: World) -> None:
    world.receive()
    cleared = replace(RESOLVED, actor_kind=ActorKind.MACHINE, actor_id="S1", actor_name="Prometheus")
    reading = read_event(world.context, cleared)
    assert isinstance(reading, TakenOver)
    assert reading.stand_down.by == "Prometheus"


def test_a_note_or_a_new_priority_needs_nothing(world: World) -> None:
    world.receive()
    note = replace(ACKNOWLEDGED, type=EventType.OTHER, name="incident.annotated")
    assert isinstance(read_event(world.context, note), Irrelevant)


def test_the_thread_says_who_took_over(world: World) -> None:
    incident_id = world.receive()
    world.store.accept(ACKNOWLEDGED, "{}")
    assert handle_event(world.context, incident_id, ACKNOWLEDGED)
    assert "🧍 Ann acknowledged the incident: stopping" in world.told(incident_id)
    assert world.store.unhandled_events(10) == []


def test_an_event_that_must_wait_stays_unhandled(world: World) -> None:
    incident_id = world.receive()
    world.store.accept(ACKNOWLEDGED, "{}")
    world.store.begin_own_write("P1", "acknowledge")
    assert not handle_event(world.context, incident_id, ACKNOWLEDGED)
    assert world.store.unhandled_events(10) != []
