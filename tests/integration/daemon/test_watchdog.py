"""Every way in which a run can be stuck pages a human once, with the reason and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from agent.adapters.store_schema import incidents, runs
from agent.domain.executor import Role
from agent.domain.incident import Status
from agent.domain.records import Changes
from agent.domain.runs import Leg, RunState
from agent.domain.stuck import Why
from tests.integration.daemon.conftest import Control
from tests.integration.daemon.watchdog_words import (
    ANSWER_S,
    GRACE_S,
    OWN_S,
    change,
    look,
    only_page,
    set_up_anew,
    stuck_counts,
)
from tests.unit.pipeline.conftest import ALERT, runbook, step

pytestmark = pytest.mark.usefixtures("on_watch")


def test_a_run_that_works_within_its_time_is_left_alone(control: Control) -> None:
    incident_id = control.running()
    control.clock.sleep(OWN_S)
    look(control, times=3)
    assert control.status(incident_id) is Status.RUNNING
    assert control.pages() == []
    assert control.runs.started == []


def test_it_looks_every_few_seconds(control: Control) -> None:
    assert control.watchdog.tick() == 5


def test_a_run_by_hand_is_none_of_its_business(control: Control) -> None:
    control.store.open_manual(ALERT)
    control.clock.sleep(86_400)
    look(control, times=2)
    assert control.pages() == []
    assert control.runs.started == []


@pytest.mark.parametrize(
    ("state", "words", "why"),
    [
        (RunState.DEAD, "nobody works on it any more (dead), and it has not ended", Why.NOBODY_AT_WORK),
        (RunState.DONE, "nobody works on it any more (done), and it has not ended", Why.NOBODY_AT_WORK),
        (RunState.WORN_OUT, "the agent was interrupted in the middle of it", Why.TOO_MANY_RESTARTS),
        (RunState.OTHER_VERSION, "another version of the agent began it", Why.OTHER_VERSION),
    ],
)
def test_a_run_that_is_over_or_lost_pages_a_human(
    control: Control, state: RunState, words: str, why: Why
) -> None:
    incident_id = control.running(state=state)
    look(control, times=5)
    page = only_page(control)
    assert words in page
    assert "To do: look at the alert yourself" in page
    assert control.status(incident_id) is Status.ESCALATED
    assert stuck_counts(control) == {why.value: 1}


def test_a_run_that_changes_hands_in_this_moment_is_left_alone(control: Control) -> None:
    incident_id = control.running(state=RunState.DONE)
    look(control)
    control.runs.found[incident_id] = RunState.ALIVE
    look(control, times=3)
    assert control.pages() == []


def test_a_run_the_engine_does_not_know_is_started_again_and_pages_nobody(control: Control) -> None:
    incident_id = control.running(state=RunState.UNKNOWN)
    look(control, times=5)
    assert control.runs.started == [incident_id]
    assert control.pages() == []


def test_a_run_that_is_lost_again_and_again_is_not_started_for_ever(control: Control) -> None:
    incident_id = control.running(state=RunState.UNKNOWN)
    for _ in range(20):
        look(control)
        control.runs.found[incident_id] = RunState.UNKNOWN
    assert len(control.runs.started) == 3
    assert "nobody works on it any more (started again 3 times)" in only_page(control)


def test_an_incident_without_any_run_is_started_again(control: Control) -> None:
    incident_id = control.running(state=RunState.UNKNOWN)
    control.runs.found.clear()
    change(control.store, runs.delete())
    control.clock.sleep(31)
    look(control)
    assert control.runs.started == [incident_id]


@pytest.mark.parametrize(("seen_ago_s", "pages"), [(10, 0), (61, 1)])
def test_a_run_of_another_version_is_left_to_a_process_that_is_there(
    control: Control, seen_ago_s: int, pages: int
) -> None:
    """A rolling upgrade: the old one ends what it began."""
    control.store.begin_work("old-0", role=Role.ALL, host="h", version="0.1.0")
    incident_id = control.running(state=RunState.OTHER_VERSION)
    change(control.store, runs.update().values(executor_id="old-0"))
    control.clock.sleep(seen_ago_s - 5)
    look(control, times=2)
    assert len(control.pages()) == pages
    assert control.status(incident_id).is_terminal is bool(pages)


def test_an_incident_that_ends_while_it_is_looked_at_pages_nobody(control: Control) -> None:
    control.running(state=RunState.DONE)
    control.runs.on_look = lambda incident_id: control.stands(incident_id, Status.RESOLVED)
    look(control, times=3)
    assert control.pages() == []


@pytest.mark.parametrize(
    ("status", "limit_s"),
    [
        (Status.RECEIVED, OWN_S + GRACE_S),
        (Status.MATCHED, OWN_S + GRACE_S),
        (Status.RUNNING, OWN_S + GRACE_S),
        (Status.AWAITING_APPROVAL, OWN_S + ANSWER_S + GRACE_S),
        (Status.VERIFYING, OWN_S + ANSWER_S + GRACE_S),
    ],
)
def test_in_every_status_it_has_its_time_and_no_more(control: Control, status: Status, limit_s: int) -> None:
    incident_id = control.running()
    change(control.store, incidents.update().values(status=Status.RECEIVED.value, status_at=None))
    control.stands(incident_id, status)
    control.clock.sleep(limit_s)
    look(control)
    assert control.pages() == []
    look(control, times=3)
    page = only_page(control)
    assert f"it has been {status.value} for too long" in page
    assert "does not end by itself. To do: look at the alert yourself" in page
    assert stuck_counts(control) == {Why.OVERDUE.value: 1}


@pytest.mark.parametrize(
    ("status", "beyond_s", "words"),
    [
        (Status.AWAITING_APPROVAL, GRACE_S, "the time to answer it ended 2m 5s ago"),
        (Status.VERIFYING, OWN_S + GRACE_S, "it has been verifying for too long"),
    ],
)
def test_what_has_an_end_of_its_own_has_the_time_until_then(
    control: Control, status: Status, beyond_s: int, words: str
) -> None:
    incident_id = control.running()
    until = control.clock.now() + timedelta(hours=2)
    control.store.record(incident_id, (), changes=Changes(status=status, waits_until=until))
    control.clock.sleep(7_200 + beyond_s)
    look(control)
    assert control.pages() == []
    look(control)
    assert words in only_page(control)


def test_a_wait_for_the_sources_word_that_never_ends_calls_a_human(control: Control) -> None:
    incident_id = control.running()
    until = control.clock.now() + timedelta(minutes=10)
    changes = Changes(status=Status.VERIFYING, waits_until=until)
    control.store.record(incident_id, (), changes=changes)
    assert control.store.park(Leg(incident_id), "decision", until=until, woken={}) is None
    control.clock.sleep(600 + OWN_S + GRACE_S)
    look(control)
    assert control.pages() == []
    look(control)
    assert "it has been verifying for too long" in only_page(control)


def test_a_run_has_its_whole_time_however_long_its_approval_took(control: Control) -> None:
    incident_id = control.running()
    until = control.clock.now() + timedelta(hours=2)
    changes = Changes(status=Status.AWAITING_APPROVAL, waits_until=until)
    control.store.record(incident_id, (), changes=changes)
    control.clock.sleep(7_000)
    control.stands(incident_id, Status.RUNNING)
    control.clock.sleep(OWN_S)
    look(control)
    assert control.pages() == []


def test_steps_of_a_run_do_not_begin_its_time_anew(control: Control) -> None:
    incident_id = control.running()
    for _ in range(13):
        control.clock.sleep(60)
        control.stands(incident_id, Status.RUNNING)
    look(control)
    assert "it has been running for too long" in only_page(control)


def test_what_moved_on_since_it_was_looked_at_is_left_alone(control: Control) -> None:
    incident_id = control.running()
    control.clock.sleep(OWN_S + GRACE_S + 1)
    suspects = control.store.suspects

    def approved_meanwhile(*arguments: object) -> Sequence[object]:
        found = suspects(*arguments)  # type: ignore[arg-type]
        control.stands(incident_id, Status.VERIFYING)
        return found

    control.store.suspects = approved_meanwhile  # type: ignore[method-assign,assignment]
    look(control)
    assert control.pages() == []


def test_nobody_is_paged_twice_for_the_same_incident(control: Control) -> None:
    control.running(state=RunState.DEAD)
    control.clock.sleep(OWN_S + GRACE_S + 1)
    look(control, times=5)
    assert len(control.pages()) == 1


def test_what_was_escalated_stays_escalated_although_its_run_goes_on(control: Control) -> None:
    """A machine that slept: the watchdog looks first, and then the run notices that its time is over."""
    world = control.world
    world.runbook(runbook(steps=step(1, "redis-cli PING") + step(2, "redis-cli INFO")))
    world.answers("redis-cli PING", "PONG")
    set_up_anew(control)
    incident_id = world.receive()
    control.runs.found[incident_id] = RunState.ALIVE

    def sleeps_too_long() -> None:
        control.clock.sleep(3600)
        control.watchdog.tick()

    world.when_run("redis-cli PING", sleeps_too_long)
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert "does not end by itself" in incident.result
    assert len(world.pager.woken) == 1
    assert control.store.unfinished() == []
