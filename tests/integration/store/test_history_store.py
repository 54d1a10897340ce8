"""What earlier incidents teach, as the store tells it."""

from __future__ import annotations

from datetime import timedelta

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.decisions import Attempt, AttemptEnd, Matched, Section
from agent.domain.effects import BlastRadius
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.limits import Charge
from agent.domain.records import CHOICE, AttemptKey, Changes, Decision
from agent.domain.source_event import EventType, SourceEvent

HOUR = timedelta(hours=1)


def opened(store: Store, number: int, title: str = "Redis is down", key: str = "") -> str:
    alert = Alert("pagerduty", f"P{number}", title, service="shop", dedup_key=key)
    event = SourceEvent(
        "pagerduty", f"d-{number}", EventType.TRIGGERED, "incident.triggered", f"P{number}", alert=alert
    )
    return store.accept(event, "{}").incident_id


def ended(
    store: Store, incident_id: str, status: Status, *, runs: str = "", revision: str = "a" * 64
) -> None:
    if runs:
        found = Matched(runs, revision, 1.0)
        store.record(incident_id, [Entry("m", EventKind.MATCHED, "m")], changes=Changes(match=found))
        key = AttemptKey(incident_id, Section.STEPS, 1, 1)
        store.begin_attempt(key, title="t", charge=Charge((), 1, BlastRadius({})))
        store.end_attempt(key, Attempt(Section.STEPS, 1, 1, AttemptEnd.SUCCEEDED))
    store.record(incident_id, [Entry("end", EventKind.NOTE, "x")], changes=Changes(status=status))


def same(store: Store, clock: FakeClock, incident_id: str) -> list[str]:
    return [each.id for each in store.same_before(incident_id, since=clock.now() - HOUR)]


def test_earlier_incidents_of_the_same_alert_are_found_oldest_first(store: Store, clock: FakeClock) -> None:
    first = opened(store, 1)
    clock.sleep(60)
    second = opened(store, 2)
    opened(store, 3, title="Disk is full")
    clock.sleep(60)
    third = opened(store, 4)
    assert same(store, clock, third) == [first, second]
    assert same(store, clock, second) == [first]
    assert same(store, clock, first) == []


def test_what_came_before_the_window_counts_only_if_it_ended_in_it(store: Store, clock: FakeClock) -> None:
    old, resolved = opened(store, 1), opened(store, 2)
    clock.sleep(3_500)
    ended(store, resolved, Status.RESOLVED)
    clock.sleep(200)
    assert same(store, clock, opened(store, 3)) == [resolved]
    assert old != resolved


def test_ignored_incidents_are_no_history(store: Store, clock: FakeClock) -> None:
    ended(store, opened(store, 1), Status.IGNORED)
    assert same(store, clock, opened(store, 2)) == []


def test_the_key_that_the_source_tells_later_counts(store: Store, clock: FakeClock) -> None:
    first, second = opened(store, 1, "a"), opened(store, 2, "b")
    for number, incident_id in ((1, first), (2, second)):
        learned = Alert("pagerduty", f"P{number}", f"title {number}", dedup_key="redis-down")
        entry = Entry("learned", EventKind.LEARNED, "x")
        store.record(incident_id, [entry], changes=Changes(alert=learned))
    assert same(store, clock, second) == [first]


def test_an_incident_that_is_not_known_has_no_history(store: Store, clock: FakeClock) -> None:
    assert same(store, clock, "inc-unknown") == []


def test_what_a_runbook_resolved_is_told_newest_first_and_bounded(store: Store, clock: FakeClock) -> None:
    for number in range(4):
        clock.sleep(10)
        ended(store, opened(store, number), Status.RESOLVED, runs="redis" if number else "")
    assert [each.alert.source_id for each in store.lately_resolved(2)] == ["P3", "P2"]
    assert len(store.lately_resolved(10)) == 3


def test_runs_are_those_of_the_revision_in_which_a_step_ran(store: Store, clock: FakeClock) -> None:
    ends = (Status.ESCALATED, Status.RESOLVED, Status.STOOD_DOWN, Status.ESCALATED)
    for number, status in enumerate(ends):
        clock.sleep(10)
        ended(store, opened(store, number), status, runs="redis")
    ended(store, opened(store, 8), Status.ESCALATED, runs="redis", revision="b" * 64)
    ended(store, opened(store, 9), Status.ESCALATED)
    assert store.run_ends("redis", "a" * 64, limit=10) == [
        Status.ESCALATED,
        Status.RESOLVED,
        Status.ESCALATED,
    ]
    assert store.run_ends("redis", "a" * 64, limit=1) == [Status.ESCALATED]
    assert store.run_ends("other", "a" * 64, limit=10) == []


def test_a_choice_is_kept_with_who_chose_and_waits_to_be_told(store: Store, clock: FakeClock) -> None:
    incident_id = opened(store, 1)
    decision = Decision(CHOICE, True, "Responder", clock.now(), "redis")
    assert store.decide(incident_id, decision)
    assert not store.decide(incident_id, Decision(CHOICE, True, "Another", clock.now(), "disk"))
    assert store.decision(incident_id, CHOICE) == decision
    assert store.untold_decisions() == [(incident_id, CHOICE)]


def test_a_decision_that_comes_while_another_is_told_is_told_too(store: Store, clock: FakeClock) -> None:
    incident_id = opened(store, 1)
    store.decide(incident_id, Decision("the plan", True, "Responder", clock.now()))
    (seen,) = store.untold_decisions()
    store.decide(incident_id, Decision("a step", True, "Responder", clock.now()))
    store.decision_told(*seen)
    assert store.untold_decisions() == [(incident_id, "a step")]
