"""The clock is set forward or back by an hour in the middle: nothing is forgotten, held up or doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.delivery.desk import DeskSender
from agent.domain.decisions import Plan
from agent.domain.effects import EffectClass
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Incident, Status
from agent.domain.limits import Busy
from agent.domain.outbox import DeskNote
from agent.domain.records import Decision
from agent.domain.source_event import EventType, SourceEvent
from agent.pipeline.takeover import TakenOver, read_event
from tests.acceptance.outage_rows import matches, proves, row
from tests.integration.store.test_limits_store import ROLLOUT, Journal
from tests.unit.delivery.conftest import Post
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World, runbook, step
from tests.unit.pipeline.test_takeover import ACKNOWLEDGED

HOUR = 3_600.0
FLUSH, CHECK = "redis-cli FLUSHDB", "redis-cli PING"
DOWN = ServiceError("pagerduty", Reason.UNREACHABLE, "down", retryable=True)


@pytest.fixture
def world(store: Store, clock: FakeClock, tmp_path: Path) -> World:
    (tmp_path / "runbooks").mkdir()
    return World(store, clock, tmp_path / "runbooks", HookedSandbox())


def forward(clock: FakeClock) -> None:
    clock.leap(HOUR)


def back(clock: FakeClock) -> None:
    clock.step_back(HOUR)


both_ways = pytest.mark.parametrize("step_the_clock", [forward, back])
StepTheClock = Callable[[FakeClock], None]


def told(world: World, incident: Incident, row_id: str) -> bool:
    return any(matches(row(row_id).told, text) for text in world.told(incident.id))


# letters


@proves("clock-letters")
@both_ways
def test_a_letter_that_was_postponed_waits_no_longer_than_it_was_told_to(
    world: World, step_the_clock: StepTheClock
) -> None:
    post = Post(world)
    post.put(post.incident(), DeskNote("P1", "note"))
    world.desk.fail_with(DOWN)
    assert post.desk.deliver() == 1
    step_the_clock(world.clock)
    world.clock.sleep(1)
    DeskSender(world.context, world.store, world.desk).deliver()
    assert world.desk.incident("P1").notes == ["note"]


# approvals


@pytest.fixture
def asking(world: World) -> World:
    world.runbook(
        runbook(steps=step(1, FLUSH), limits="- max_cache_operations: 1\n- requires_human_approval: true")
    )
    world.answers(FLUSH, "OK")
    return world


def plan_of(world: World, incident_id: str) -> Plan:
    plan = world.store.plan(incident_id)
    assert plan is not None
    return plan


def test_a_question_whose_time_the_clock_jumped_over_expires_and_pages(asking: World) -> None:
    def jump(_: str) -> bool:
        forward(asking.clock)
        return True

    asking.on_wait = jump
    incident = asking.page()
    assert incident.status is Status.ESCALATED
    assert told(asking, incident, "clock-forward-approval")
    assert len(asking.pager.woken) == 1
    assert asking.sandbox.commands() == []


def test_a_question_stands_when_the_clock_goes_back_and_a_yes_counts_at_once(asking: World) -> None:
    incident_id = asking.receive()

    def jump(_: str) -> bool:
        back(asking.clock)
        asking.store.decide(
            incident_id, Decision(plan_of(asking, incident_id).plan_hash, True, "alex", asking.clock.now())
        )
        return True

    asking.on_wait = jump
    incident = asking.handle(incident_id)
    assert incident.status is Status.RESOLVED
    assert told(asking, incident, "clock-back-approval")
    assert asking.sandbox.commands() == [FLUSH]


# the incident's time


@pytest.fixture
def two_steps(world: World) -> World:
    world.runbook(runbook(steps=step(1, FLUSH) + step(2, CHECK, keys='Expected output: "PONG"')))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "PONG")
    return world


def test_an_incident_whose_time_the_clock_jumped_over_stops_before_its_next_step_and_pages(
    two_steps: World,
) -> None:
    two_steps.when_run(FLUSH, lambda: forward(two_steps.clock))
    incident = two_steps.page()
    assert incident.status is Status.ESCALATED
    assert told(two_steps, incident, "clock-forward-deadline")
    assert two_steps.sandbox.commands() == [FLUSH]
    assert len(two_steps.pager.woken) == 1


def test_a_clock_that_goes_back_in_the_middle_of_a_step_runs_nothing_twice(two_steps: World) -> None:
    two_steps.when_run(FLUSH, lambda: back(two_steps.clock))
    incident = two_steps.page()
    assert incident.status is Status.RESOLVED
    assert told(two_steps, incident, "clock-back-deadline")
    assert two_steps.sandbox.commands() == [FLUSH, CHECK]
    chain = verify_chain(two_steps.store.audit_entries())
    assert isinstance(chain, Intact)


# limits


@both_ways
def test_what_was_charged_counts_for_its_whole_hour(world: World, step_the_clock: StepTheClock) -> None:
    world.configure(limits={"per_hour": {"cache_operations": 1}})
    world.runbook(runbook(steps=step(1, FLUSH)))
    world.answers(FLUSH, "OK", "OK")
    assert world.page().status is Status.RESOLVED
    step_the_clock(world.clock)
    world.clock.sleep(60)
    second = world.page(source_id="P2", title="redis is slow")
    assert second.status is Status.ESCALATED
    assert told(world, second, "clock-limits")
    assert world.sandbox.commands() == [FLUSH]


@proves("clock-limits")
@both_ways
def test_what_runs_one_at_a_time_still_does(
    store: Store, clock: FakeClock, step_the_clock: StepTheClock
) -> None:
    journal, only = Journal(store), frozenset({EffectClass.ROLLOUT})
    journal.begin("a", ROLLOUT, exclusive=only)
    step_the_clock(clock)
    assert isinstance(journal.begin("b", ROLLOUT, exclusive=only), Busy)


# flapping, recurrence


def test_an_alert_that_keeps_coming_is_known_although_the_clock_was_set_forward(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"\nAttempts: 1')))
    world.answers(CHECK, *["LOADING"] * 9)
    for number in (1, 2):
        world.page(source_id=f"P{number}")
        world.clock.sleep(60)
    forward(world.clock)
    third = world.page(source_id="P3")
    assert told(world, third, "clock-forward-flapping")
    assert world.sandbox.commands() == [CHECK, CHECK]


def test_a_fix_that_did_not_last_is_known_although_the_clock_was_set_forward(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"')))
    world.answers(CHECK, "PONG", "PONG")
    assert world.page().status is Status.RESOLVED
    forward(world.clock)
    world.clock.sleep(60)
    again = world.page(source_id="P2")
    assert told(world, again, "clock-forward-recurrence")
    assert world.sandbox.commands() == [CHECK]


# a human's hand


@proves("clock-takeover")
def test_a_human_who_takes_over_is_no_echo_of_ours_because_the_clock_went_back(world: World) -> None:
    world.receive()
    world.store.begin_own_write("P1", "acknowledge")
    world.store.end_own_write("P1", "acknowledge", "")
    back(world.clock)
    world.clock.sleep(60)
    assert isinstance(read_event(world.context, ACKNOWLEDGED), TakenOver)


# what is received


@proves("clock-webhooks")
@both_ways
def test_a_webhook_that_is_sent_again_is_known(world: World, step_the_clock: StepTheClock) -> None:
    first = world.receive()
    step_the_clock(world.clock)
    event = SourceEvent("pagerduty", "d-P1", EventType.TRIGGERED, "incident.triggered", "P1", alert=ALERT)
    assert world.store.accept(event, "{}").incident_id == first
    other = replace(event, delivery_id="d-other")
    assert world.store.accept(other, "{}").incident_id == first
