from __future__ import annotations

from dataclasses import replace

import pytest

from agent.domain.decisions import Matched
from agent.domain.errors import StoreError
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes
from agent.domain.source_event import EventType, SourceEvent
from agent.durable import RunState
from tests.integration.daemon.conftest import Control
from tests.unit.pipeline.conftest import ALERT, runbook, step


def accept(control: Control) -> str:
    event = SourceEvent(
        "pagerduty", "d-1", EventType.TRIGGERED, "incident.triggered", "P1", alert=replace(ALERT, service="")
    )
    return control.store.accept(event, "{}").incident_id


def test_a_run_that_works_within_its_time_is_left_alone(control: Control) -> None:
    incident_id = control.running()
    control.clock.sleep(600)
    control.watchdog.tick()
    assert control.status(incident_id) is Status.RUNNING
    assert control.pages() == []
    assert control.runs.started == []


@pytest.mark.parametrize("state", [RunState.DEAD, RunState.DONE])
def test_an_incident_nobody_works_on_any_more_pages_a_human(control: Control, state: RunState) -> None:
    incident_id = control.running(state=state)
    control.watchdog.tick()
    (page,) = control.pages()
    assert f"nobody works on it any more ({state.value}), and it has not ended" in page
    assert control.status(incident_id) is Status.ESCALATED


def test_nobody_is_paged_twice_for_the_same_incident(control: Control) -> None:
    control.running(state=RunState.DEAD)
    for _ in range(5):
        control.watchdog.tick()
    assert len(control.pages()) == 1


def test_a_run_the_engine_does_not_know_is_started_again_and_pages_nobody(control: Control) -> None:
    incident_id = control.running(state=RunState.UNKNOWN)
    control.watchdog.tick()
    control.watchdog.tick()
    assert control.runs.started == [incident_id]
    assert control.pages() == []


def test_a_run_past_its_time_pages_a_human(control: Control) -> None:
    control.running()
    control.clock.sleep(600 + 120 + 1)
    control.watchdog.tick()
    (page,) = control.pages()
    assert "it has been running for too long and does not end by itself" in page


def test_a_run_that_waits_for_approval_has_the_time_of_the_approval_too(control: Control) -> None:
    incident_id = control.running()
    control.stands(incident_id, Status.AWAITING_APPROVAL, autonomy="approve")
    control.clock.sleep(600 + 900 + 119)
    control.watchdog.tick()
    assert control.pages() == []
    control.clock.sleep(2)
    control.watchdog.tick()
    assert len(control.pages()) == 1


def test_a_run_that_waits_for_a_choice_and_then_for_approval_has_the_time_of_both(control: Control) -> None:
    incident_id = control.running()
    control.store.record(incident_id, [Entry("ambiguous", EventKind.AMBIGUOUS, "which one?")])
    control.stands(incident_id, Status.AWAITING_APPROVAL, autonomy="approve")
    control.clock.sleep(600 + 900 + 900 + 119)
    control.watchdog.tick()
    assert control.pages() == []
    control.clock.sleep(2)
    control.watchdog.tick()
    assert len(control.pages()) == 1


def verifying(control: Control, *, more: str) -> str:
    """An incident in the middle of its runbook's verification."""
    control.world.runbook(runbook(steps=step(1, "redis-cli PING"), more=more))
    (found,) = control.world.context.library.runbooks.values()
    control.store.keep_revision(found)
    incident_id = control.running()
    match = Matched(found.id, found.revision, 1.0)
    control.store.record(incident_id, (), changes=Changes(status=Status.VERIFYING, match=match))
    return incident_id


HOLDS = "## Verify\nHold for: 30m\n\n### Step 1: Ping\n```bash\nredis-cli PING\n```\n"


@pytest.mark.parametrize(
    ("more", "hold_s"), [(HOLDS, 1800), (HOLDS.replace("Hold for: 30m\n", ""), 0), ("", 0)]
)
def test_a_verification_has_the_time_for_which_it_must_hold_and_no_more(
    control: Control, more: str, hold_s: float
) -> None:
    verifying(control, more=more)
    control.clock.sleep(600 + hold_s + 119)
    control.watchdog.tick()
    assert control.pages() == []
    control.clock.sleep(2)
    control.watchdog.tick()
    (page,) = control.pages()
    assert "it has been verifying for too long" in page


def test_an_incident_that_cannot_be_looked_at_hides_none_of_the_others(control: Control) -> None:
    broken, dead = control.running(1), control.running(2, state=RunState.DEAD)

    def look(incident_id: str) -> None:
        if incident_id == broken:
            raise StoreError("the runs cannot be read")

    control.runs.on_look = look
    control.watchdog.tick()
    assert control.status(broken) is Status.RUNNING
    assert control.status(dead) is Status.ESCALATED
    assert len(control.pages()) == 1


def test_an_incident_that_waits_too_long_for_its_turn_pages_a_human(control: Control) -> None:
    incident_id = accept(control)
    control.clock.sleep(600)
    control.watchdog.tick()
    assert control.pages() == []
    control.clock.sleep(1)
    control.watchdog.tick()
    (page,) = control.pages()
    assert "it has waited for its turn for more than 600 s" in page
    control.dispatcher.tick()
    assert control.runs.started == []
    assert control.status(incident_id) is Status.ESCALATED


def test_an_incident_that_ends_while_it_is_looked_at_pages_nobody(control: Control) -> None:
    control.running(state=RunState.DONE)
    control.runs.on_look = lambda incident_id: control.stands(incident_id, Status.RESOLVED)
    control.watchdog.tick()
    assert control.pages() == []


def test_a_run_by_hand_is_none_of_its_business(control: Control) -> None:
    control.store.open_manual(ALERT)
    control.clock.sleep(86_400)
    control.watchdog.tick()
    assert control.pages() == []
    assert control.runs.started == []


def test_it_looks_every_few_seconds(control: Control) -> None:
    assert control.watchdog.tick() == 5


def test_what_was_escalated_stays_escalated_although_its_run_goes_on(control: Control) -> None:
    """A machine that slept: the watchdog looks first, and only then the run notices that its time is over."""
    world = control.world
    world.runbook(runbook(steps=step(1, "redis-cli PING") + step(2, "redis-cli INFO")))
    world.answers("redis-cli PING", "PONG")
    incident_id = world.receive()
    control.runs.states[incident_id] = RunState.ALIVE

    def sleeps_too_long() -> None:
        control.clock.sleep(3600)
        control.watchdog.tick()

    world.when_run("redis-cli PING", sleeps_too_long)
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert "does not end by itself" in incident.result
    assert len(world.pager.woken) == 1
    assert control.store.unfinished() == []
