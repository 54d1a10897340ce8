from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.adapters.fake_desk import FakeDesk
from agent.adapters.inline_run import InlineRun
from agent.domain.decisions import StandDown
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Status
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline.handle import handle
from agent.pipeline.takeover import Irrelevant, Later, TakenOver, handle_event, read_event
from tests.unit.pipeline.conftest import World, runbook, step

DOWN = ServiceError("pagerduty", Reason.UNREACHABLE, "connection refused", retryable=True)

ACKNOWLEDGED = SourceEvent(
    "pagerduty",
    "d-9",
    EventType.ACKNOWLEDGED,
    "incident.acknowledged",
    "P1",
    ActorKind.HUMAN,
    "U1",
    "Responder",
)
RESOLVED = replace(ACKNOWLEDGED, type=EventType.RESOLVED, name="incident.resolved")
REASSIGNED = replace(ACKNOWLEDGED, type=EventType.REASSIGNED, name="incident.reassigned")


@pytest.mark.parametrize("event", [ACKNOWLEDGED, RESOLVED, REASSIGNED])
def test_a_human_who_acts_at_the_source_takes_over(world: World, event: SourceEvent) -> None:
    world.receive()
    world.store.learn_own_user_id("PAGENT0")
    reading = read_event(world.context, event)
    assert isinstance(reading, TakenOver)
    assert reading.stand_down.by == "Responder"


@pytest.mark.parametrize("event", [ACKNOWLEDGED, RESOLVED])
def test_the_agents_own_write_is_no_takeover(world: World, event: SourceEvent) -> None:
    world.receive()
    world.store.learn_own_user_id("PAGENT0")
    world.store.begin_own_write("P1", "acknowledge")
    world.store.begin_own_write("P1", "resolve")
    own = replace(event, actor_id="PAGENT0", actor_name="On-call Agent")
    assert read_event(world.context, own) == Irrelevant("the agent's own write")


@pytest.mark.parametrize("event", [ACKNOWLEDGED, RESOLVED, REASSIGNED])
def test_the_person_whose_account_the_agent_uses_can_still_take_over(
    world: World, event: SourceEvent
) -> None:
    world.receive()
    world.store.learn_own_user_id("U1")
    assert isinstance(read_event(world.context, event), TakenOver)


def test_a_takeover_is_in_force_although_a_crash_came_between(world: World) -> None:
    incident_id = world.receive()
    world.store.accept(ACKNOWLEDGED, "{}")
    world.store.stand_down(incident_id, StandDown("Responder", "acknowledged the incident"))
    assert handle_event(world.context, incident_id, ACKNOWLEDGED)
    assert "🧍 Responder acknowledged the incident: stopping" in world.told(incident_id)


def test_a_run_is_woken_before_its_event_counts_as_handled(world: World) -> None:
    """A crash in between would leave a run asleep that nobody wakes again before its question expires."""
    incident_id = world.receive()
    world.store.accept(ACKNOWLEDGED, "{}")
    woken: list[tuple[str, bool]] = []

    def wake(each: str) -> None:
        woken.append((each, world.store.unhandled_events(10) != []))

    assert handle_event(world.context, incident_id, ACKNOWLEDGED, wake=wake)
    assert woken == [(incident_id, True)]


def test_a_withdrawn_resolve_is_told_although_a_crash_came_between(world: World) -> None:
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    incident_id = world.receive()
    world.desk.fail_with(*[DOWN] * 50)
    handle(InlineRun(world.clock), world.context, incident_id)
    world.store.accept(ACKNOWLEDGED, "{}")
    later = replace(REASSIGNED, delivery_id="d-10")
    world.store.accept(later, "{}")
    assert world.store.withdraw_resolve(incident_id, why=ACKNOWLEDGED.delivery_id)
    handle_event(world.context, incident_id, ACKNOWLEDGED)
    handle_event(world.context, incident_id, later)
    told = [text for text in world.told(incident_id) if "is withdrawn" in text]
    assert told == [
        "🧍 Responder acknowledged the incident: the agent's resolve had not arrived yet and is withdrawn"
    ]


def test_a_resolve_that_has_not_arrived_is_withdrawn_when_a_human_takes_it(world: World) -> None:
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    incident_id = world.receive()
    world.desk.fail_with(*[DOWN] * 50)
    handle(InlineRun(world.clock), world.context, incident_id)
    assert world.store.incident(incident_id).status is Status.RESOLVED
    world.store.accept(ACKNOWLEDGED, "{}")
    assert not handle_event(world.context, incident_id, ACKNOWLEDGED)
    world.desk = FakeDesk()
    world.desk.add("P1")
    world.clock.sleep(60)
    world.deliver()
    assert world.desk.incident("P1").facts.status != "resolved"
    assert any("is withdrawn" in text for text in world.told(incident_id))


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
    assert "🧍 Responder acknowledged the incident: stopping" in world.told(incident_id)
    assert world.store.unhandled_events(10) == []


def test_an_event_that_must_wait_stays_unhandled(world: World) -> None:
    incident_id = world.receive()
    world.store.accept(ACKNOWLEDGED, "{}")
    world.store.begin_own_write("P1", "acknowledge")
    assert not handle_event(world.context, incident_id, ACKNOWLEDGED)
    assert world.store.unhandled_events(10) != []
