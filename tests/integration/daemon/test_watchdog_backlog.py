"""What was accepted and never started, and attempts that never ended, page a human once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.adapters.store_schema import incidents, runs
from agent.domain.alert import Alert
from agent.domain.incident import Status
from agent.domain.records import Changes
from agent.domain.source_event import EventType, SourceEvent
from agent.domain.stops import Stop, StopScope
from agent.domain.stuck import Why
from tests.integration.daemon.conftest import Control
from tests.integration.daemon.watchdog_words import (
    GRACE_S,
    OWN_S,
    accept,
    begin_attempt,
    change,
    entry_of_a_stop,
    look,
    only_page,
    set_up_anew,
    stuck_counts,
)

pytestmark = pytest.mark.usefixtures("on_watch")


def test_an_incident_that_is_never_started_pages_a_human(control: Control) -> None:
    incident_id = accept(control)
    control.clock.sleep(OWN_S)
    look(control)
    assert control.pages() == []
    look(control)
    page = only_page(control)
    assert "it was accepted 10m 5s ago and never started, although nothing holds it back" in page
    assert "To do: look at the alert yourself; the agent's log says" in page
    control.dispatcher.tick()
    assert control.runs.carried_on == []
    assert control.status(incident_id) is Status.ESCALATED
    assert stuck_counts(control) == {Why.NEVER_STARTED.value: 1}


@pytest.mark.parametrize(
    ("scope", "name", "words"),
    [
        (StopScope.ALL, "", "never started: the agent is stopped by Responder: bad deploy"),
        (StopScope.SERVICE, "shop", "the agent is stopped for service shop by Responder: bad deploy"),
    ],
)
def test_the_kill_switch_is_a_reason_of_its_own(
    control: Control, scope: StopScope, name: str, words: str
) -> None:
    now = control.clock.now()
    stop = Stop("stop-1", scope, name, "bad deploy", "Responder", now)
    control.world.context.store.put_stop(stop, entry_of_a_stop())
    accept(control, service="shop")
    control.clock.sleep(OWN_S + 1)
    look(control)
    page = only_page(control)
    assert words in page
    assert "`oncall-agent resume` lets the agent start incidents again" in page
    assert stuck_counts(control) == {Why.KILL_SWITCH.value: 1}


def test_a_stop_of_another_service_is_no_reason(control: Control) -> None:
    stop = Stop("stop-1", StopScope.SERVICE, "billing", "x", "Responder", control.clock.now())
    control.store.put_stop(stop, entry_of_a_stop())
    accept(control, service="shop")
    control.clock.sleep(OWN_S + 1)
    look(control)
    assert "although nothing holds it back" in only_page(control)


def test_the_incident_of_the_same_service_that_is_in_the_way_is_named(control: Control) -> None:
    before = accept(control, 1, service="shop")
    control.dispatcher.tick()
    control.stands(before, Status.RUNNING)
    accept(control, 2, service="shop")
    control.clock.sleep(OWN_S + 1)
    look(control)
    page = only_page(control)
    assert f"never started: {before} of the same service shop is at work" in page
    assert f"`oncall-agent show {before}`" in page
    assert stuck_counts(control) == {Why.BACKLOG.value: 1}


def test_a_full_house_is_named(control: Control) -> None:
    control.world.configure(limits={"concurrent_incidents": 2})
    set_up_anew(control)
    for number in range(2):
        running = accept(control, number, service=f"service-{number}")
        control.dispatcher.tick()
        control.stands(running, Status.RUNNING)
    accept(control, 9, service="shop")
    control.clock.sleep(OWN_S + 1)
    look(control)
    assert "2 incidents are at work, as many as limits.concurrent_incidents lets" in only_page(control)


def test_an_answered_incident_that_never_gets_its_turn_is_a_backlog(control: Control) -> None:
    before = accept(control, 1, service="shop")
    control.dispatcher.tick()
    incident_id = control.running(2)
    until = control.clock.now() + timedelta(seconds=OWN_S)
    control.store.record(incident_id, (), changes=Changes(status=Status.AWAITING_APPROVAL, waits_until=until))
    this = incidents.update().where(incidents.c.id == incident_id)
    change(control.store, this.values(service="shop"))
    parked = runs.update().where(runs.c.incident_id == incident_id)
    change(control.store, parked.values(topic="decision", wants_turn=True, active=False))
    control.stands(before, Status.RUNNING)
    control.clock.sleep(OWN_S + GRACE_S)
    control.stands(before, Status.VERIFYING)
    look(control, times=2)
    page = only_page(control)
    assert "a human has answered and it has waited" in page
    assert f"{before} of the same service shop is at work" in page


def test_an_alert_without_anything_is_looked_at_too(control: Control) -> None:
    alert = Alert("pagerduty", "P1", "")
    event = SourceEvent("pagerduty", "d-1", EventType.TRIGGERED, "incident.triggered", "P1", alert=alert)
    control.store.accept(event, "{}")
    control.clock.sleep(OWN_S + 1)
    look(control)
    assert len(control.pages()) == 1


def test_an_attempt_that_never_ended_pages_a_human(control: Control) -> None:
    incident_id = control.running()
    begin_attempt(control, incident_id, lasts_s=60)
    control.clock.sleep(60 + 55)
    look(control)
    assert control.pages() == []
    look(control, times=3)
    page = only_page(control)
    assert "steps step 2 (Restart the pod), attempt 1, should have ended 1m 5s ago" in page
    assert "see whether its command still runs: it is not run again" in page
    assert stuck_counts(control) == {Why.ATTEMPT_NEVER_ENDED.value: 1}


def test_an_attempt_of_an_incident_that_has_ended_pages_nobody(control: Control) -> None:
    incident_id = control.running()
    begin_attempt(control, incident_id, lasts_s=60)
    control.stands(incident_id, Status.RESOLVED)
    control.clock.sleep(3_600)
    look(control)
    assert control.pages() == []
