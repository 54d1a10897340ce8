"""The processes of the agent, as they know of each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, AttemptEnd, Section
from agent.domain.effects import BlastRadius
from agent.domain.errors import TakenOverError
from agent.domain.executor import Role
from agent.domain.limits import Charge
from agent.domain.records import AttemptKey, Begun
from agent.domain.source_event import EventType, SourceEvent

READS = Charge((), 1, BlastRadius({}))


def opened(store: Store, source_id: str = "P1") -> str:
    alert = Alert("pagerduty", source_id, "Redis")
    delivery, name = f"w-{source_id}", "incident.triggered"
    event = SourceEvent("pagerduty", delivery, EventType.TRIGGERED, name, source_id, alert=alert)
    return store.accept(event, "{}").incident_id


def works(store: Store, executor_id: str = "a", role: Role = Role.ALL) -> None:
    store.begin_work(executor_id, role=role, host="host-1", version="1.0")


def test_a_process_tells_what_it_is_and_when_it_was_seen(store: Store, clock: FakeClock) -> None:
    works(store)
    clock.sleep(5)
    store.seen_at_work("a")
    (seen,) = store.executors()
    assert (seen.executor_id, seen.role, seen.host, seen.version) == ("a", Role.ALL, "host-1", "1.0")
    assert seen.seen_at - seen.started_at == timedelta(seconds=5)
    assert (seen.left_at, seen.taken_by) == (None, "")


def test_a_process_that_comes_back_has_not_left(store: Store) -> None:
    works(store)
    store.end_work("a")
    assert store.executors()[0].left_at is not None
    works(store)
    assert store.executors()[0].left_at is None


def test_what_is_taken_over_begins_no_attempt_any_more(store: Store, clock: FakeClock) -> None:
    incident = opened(store)
    works(store)
    first = AttemptKey(incident, Section.STEPS, 1, 1)
    assert store.begin_attempt(first, title="Look", charge=READS) == Begun()
    store.take_from("a", by="b")
    with pytest.raises(TakenOverError, match="taken over by another process"):
        store.begin_attempt(AttemptKey(incident, Section.STEPS, 2, 1), title="Look", charge=READS)
    with pytest.raises(TakenOverError):
        store.seen_at_work("a")


def test_an_older_process_of_the_same_name_begins_nothing_either(store: Store, clock: FakeClock) -> None:
    incident = opened(store)
    works(store)
    since = store.working_since
    clock.sleep(1)
    works(store)
    store.working_since = since  # as a process still believes that slept through it
    with pytest.raises(TakenOverError):
        store.begin_attempt(AttemptKey(incident, Section.STEPS, 1, 1), title="Look", charge=READS)


def test_a_web_process_takes_nobodys_place(store: Store) -> None:
    works(store, "web:1", Role.WEB)
    assert store.executor_id == ""


def test_the_markers_of_an_executor_are_those_of_its_unfinished_attempts(store: Store) -> None:
    incident = opened(store)
    works(store)
    first, second = (AttemptKey(incident, Section.STEPS, number, 1) for number in (1, 2))
    for key in (first, second):
        assert not isinstance(store.begin_attempt(key, title="Look", charge=READS), Refusal)
    store.end_attempt(first, Attempt(Section.STEPS, 1, 1, AttemptEnd.SUCCEEDED))
    assert store.markers_of(["a"]) == [second.marker]
    assert store.markers_of(["b"]) == []


def test_an_attempt_that_is_begun_again_belongs_to_who_begins_it(store: Store) -> None:
    incident = opened(store)
    key = AttemptKey(incident, Section.STEPS, 1, 1)
    works(store, "a")
    store.begin_attempt(key, title="Look", charge=READS)
    works(store, "b")
    assert store.begin_attempt(key, title="Look", charge=READS) == Begun()
    assert (store.markers_of(["a"]), store.markers_of(["b"])) == ([], [key.marker])


def test_a_run_by_hand_is_nobodys(store: Store) -> None:
    key = AttemptKey(store.open_manual(Alert("manual", "m", "m")), Section.STEPS, 1, 1)
    works(store, "a")
    store.begin_attempt(key, title="Look", charge=READS)
    assert store.markers_of(["a"]) == []


def test_who_has_not_been_seen_for_long_is_forgotten(store: Store, clock: FakeClock) -> None:
    works(store, "a")
    clock.sleep(timedelta(days=8).total_seconds())
    works(store, "b")
    store.forget_executors(older_than=timedelta(days=7))
    assert [each.executor_id for each in store.executors()] == ["b"]
