"""What is counted, and open bypasses, hold on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.bypasses import Bypass
from agent.domain.effects import EffectClass
from agent.domain.incident import Entry, EventKind
from agent.domain.limits import Scope, WindowLimit
from agent.domain.source_event import EventType, SourceEvent


def an_incident(store: Store) -> str:
    alert = Alert("pagerduty", "P1", "x")
    event = SourceEvent("pagerduty", "d-1", EventType.TRIGGERED, "incident.triggered", "P1", alert=alert)
    return store.accept(event, "{}").incident_id


def entry(key: str) -> Entry:
    return Entry(key, EventKind.NOTE, key)


def test_of_two_who_count_the_same_entries_one_counts(store: Store) -> None:
    assert store.metered() == 0
    assert store.meter(0, 7, {"m/ended/resolved": 2, "m/step/sum": 0.5})
    assert not store.meter(0, 7, {"m/ended/resolved": 2})
    assert store.meter(7, 9, {"m/ended/resolved": 1})
    assert (store.metered(), store.counts("m/")) == (9, {"ended/resolved": 3, "step/sum": 0.5})


def test_what_stands_is_read_from_an_empty_store_too(store: Store, clock: FakeClock) -> None:
    window = WindowLimit("limits.per_hour.rollouts", EffectClass.ROLLOUT, Scope.ALL, 3_600, 5)
    assert store.budget_used([window], clock.now()) == {"limits.per_hour.rollouts": 0}
    assert (store.queue_depth(), store.approvals_waiting()) == ({}, (0, None))
    incident_id = an_incident(store)
    assert store.begun([incident_id, "inc-0"])[incident_id][1:] == (None, "pagerduty")


def test_a_bypass_is_open_once_due_at_its_time_and_over_once(store: Store, clock: FakeClock) -> None:
    now = clock.now()
    ends_at = now + timedelta(hours=1)
    bypass = Bypass("cfg", an_incident(store), "before", "during", now, ends_at, ends_at)
    assert store.open_bypass(bypass, entry("begun"))
    assert not store.open_bypass(bypass, entry("again"))
    assert store.bypass_of("cfg") == bypass
    assert (store.bypasses_due(now, 5), store.bypasses_due(ends_at, 5)) == ([], [bypass])
    later = replace(bypass, failures=1, next_at=ends_at + timedelta(seconds=10))
    assert store.bypass_failed(bypass, later, entry("failed"))
    assert not store.bypass_failed(bypass, later, entry("failed-too"))
    assert store.bypasses() == [later]
    assert store.bypass_ended(later, entry("ended"))
    assert not store.bypass_ended(later, entry("ended-too"))
    told = [event.key for event in store.timeline(bypass.incident_id)]
    assert told == ["begun", "failed", "ended"]


def test_a_clock_that_was_set_back_behind_its_beginning_leaves_no_bypass_open(
    store: Store, clock: FakeClock
) -> None:
    now = clock.now()
    ends_at = now + timedelta(hours=1)
    bypass = Bypass("cfg", an_incident(store), "before", "during", now, ends_at, ends_at)
    assert store.open_bypass(bypass, entry("begun"))
    clock.step_back(30)  # as clocks are set every day
    assert not store.bypasses_due(clock.now(), 5)
    clock.step_back(86_400)
    assert store.bypasses_due(clock.now(), 5) == [bypass]
