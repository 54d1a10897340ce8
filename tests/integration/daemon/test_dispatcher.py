from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.domain.incident import Status
from agent.domain.records import Decision
from agent.domain.runs import Leg, Places
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from tests.integration.daemon.conftest import Control
from tests.unit.pipeline.conftest import ALERT

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


def accept(control: Control, number: int, *, service: str = "") -> str:
    """A webhook came in and nobody has looked at it yet."""
    alert = replace(ALERT, source_id=f"P{number}", service=service)
    event = SourceEvent(
        "pagerduty", f"d-P{number}", EventType.TRIGGERED, "incident.triggered", f"P{number}", alert=alert
    )
    return control.store.accept(event, "{}").incident_id


def decide(control: Control, incident_id: str) -> None:
    decision = Decision("hash", approved=True, by="Responder", at=control.clock.now())
    assert control.store.decide(incident_id, decision)


def begun(control: Control) -> list[str]:
    """The incidents whose first leg was begun."""
    return [leg.incident_id for leg in control.runs.carried_on if leg.number == 1]


def test_what_was_accepted_is_started_once_and_marked(control: Control) -> None:
    incident_id = accept(control, 1)
    for _ in range(3):
        control.dispatcher.tick()
    assert begun(control) == [incident_id]
    assert control.store.incident(incident_id).started_at == control.clock.now()


def test_with_nothing_to_do_it_waits_to_be_notified(control: Control) -> None:
    assert control.dispatcher.tick() == 0
    assert control.runs.carried_on == []


def test_no_more_incidents_are_started_than_configured(control: Control) -> None:
    control.world.configure(limits={"concurrent_incidents": 2})
    for number in range(5):
        accept(control, number)
    control.dispatcher.tick()
    control.dispatcher.tick()
    assert len(control.runs.carried_on) == 2


def test_incidents_of_one_service_are_started_one_after_the_other(control: Control) -> None:
    first = accept(control, 1, service="api")
    control.clock.sleep(1)
    second = accept(control, 2, service="api")
    control.dispatcher.tick()
    assert begun(control) == [first]
    control.stands(first, Status.RESOLVED)
    control.dispatcher.tick()
    assert begun(control) == [first, second]


def test_services_may_be_configured_to_have_more_than_one_at_a_time(control: Control) -> None:
    control.world.configure(limits={"one_at_a_time_per_service": False})
    both = [accept(control, number, service="api") for number in (1, 2)]
    control.dispatcher.tick()
    assert sorted(begun(control)) == sorted(both)


def test_a_claim_whose_leg_was_never_begun_is_begun_by_the_watchdog(control: Control) -> None:
    """The process was killed between the two."""
    incident_id = accept(control, 1)
    assert control.store.claim(Places(1), "main") == [Leg(incident_id)]
    control.dispatcher.tick()
    assert control.runs.carried_on == []
    control.watchdog.tick()
    control.watchdog.tick()  # seen once it may be about to begin
    assert control.runs.started == [incident_id]


def test_a_run_whose_wait_is_over_goes_on(control: Control) -> None:
    incident_id = accept(control, 1)
    control.dispatcher.tick()
    until = control.clock.now() + timedelta(seconds=60)
    assert control.store.park(Leg(incident_id), "decision", until=until, woken={}) is None
    control.dispatcher.tick()
    assert len(control.runs.carried_on) == 1
    control.clock.sleep(61)
    control.dispatcher.tick()
    control.dispatcher.tick()
    assert control.runs.carried_on == [Leg(incident_id), Leg(incident_id, 2)]


def test_a_run_that_is_woken_goes_on_at_once(control: Control) -> None:
    incident_id = accept(control, 1)
    control.dispatcher.tick()
    until = control.clock.now() + timedelta(seconds=60)
    control.store.park(Leg(incident_id), "decision", until=until, woken={})
    control.store.wake(incident_id, "decision")
    control.dispatcher.tick()
    assert control.runs.carried_on[1:] == [Leg(incident_id, 2)]


def test_a_human_who_takes_over_wakes_the_run(control: Control) -> None:
    incident_id = control.running()
    control.store.learn_own_user_id("PAGENT0")
    control.store.accept(ACKNOWLEDGED, "{}")
    control.dispatcher.tick()
    assert control.runs.woken == [(incident_id, "decision")]
    taken = control.store.stand_down_of(incident_id)
    assert taken is not None
    assert taken.by == "Responder"
    control.dispatcher.tick()
    assert len(control.runs.woken) == 1


def test_our_own_acknowledge_wakes_nobody(control: Control) -> None:
    incident_id = control.running()
    control.store.learn_own_user_id("PAGENT0")
    control.store.begin_own_write("P1", "acknowledge")
    control.store.accept(replace(ACKNOWLEDGED, actor_id="PAGENT0"), "{}")
    control.dispatcher.tick()
    assert control.runs.woken == []
    assert control.store.stand_down_of(incident_id) is None
    assert control.dispatcher.tick() == 0


def test_an_event_that_must_wait_for_our_own_write_is_looked_at_again_soon(control: Control) -> None:
    control.running()
    control.store.begin_own_write("P1", "acknowledge")
    control.store.accept(ACKNOWLEDGED, "{}")
    assert control.dispatcher.tick() == pytest.approx(0.2)
    control.store.end_own_write("P1", "acknowledge", "PAGENT0")
    control.dispatcher.tick()
    assert len(control.runs.woken) == 1


def test_a_decision_wakes_its_run_once(control: Control) -> None:
    incident_id = control.running()
    decide(control, incident_id)
    for _ in range(3):
        control.dispatcher.tick()
    assert control.runs.woken == [(incident_id, "decision")]
