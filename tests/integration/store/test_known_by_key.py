"""An event whose id at the source is new, and which is about an incident that is open all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes
from agent.domain.source_event import Acceptance, ActorKind, EventType, SourceEvent


@pytest.fixture
def fires(clock: FakeClock) -> SourceEvent:
    alert = Alert("alertmanager", "f1/1", "RedisDown", dedup_key="f1", fired_at=clock.now())
    return SourceEvent(
        "alertmanager", "d-1", EventType.TRIGGERED, "alert.triggered", "f1/1", ActorKind.MACHINE, alert=alert
    )


def again(
    fires: SourceEvent, *, type: EventType, at: datetime | None = None, known_by_key: bool = True
) -> SourceEvent:
    """About the same alert, under another id."""
    assert fires.alert is not None
    return replace(
        fires,
        delivery_id=f"d-{type}-2",
        type=type,
        source_id="f1/2",
        alert=replace(fires.alert, source_id="f1/2"),
        occurred_at=at,
        known_by_key=known_by_key,
    )


def test_what_is_over_is_the_open_incident_of_the_same_alert(
    store: Store, clock: FakeClock, fires: SourceEvent
) -> None:
    opened = store.accept(fires, "{}").incident_id
    over = again(fires, type=EventType.RESOLVED, at=clock.now() + timedelta(minutes=1))
    assert store.accept(over, "{}").incident_id == opened
    assert [incident_id for incident_id, _ in store.unhandled_events(10)] == [opened]


def test_what_was_over_before_it_fired_is_another_firing(
    store: Store, clock: FakeClock, fires: SourceEvent
) -> None:
    store.accept(fires, "{}")
    over = again(fires, type=EventType.RESOLVED, at=clock.now() - timedelta(minutes=1))
    assert store.accept(over, "{}").incident_id == ""
    assert store.unhandled_events(10) == []


def test_what_has_ended_is_not_what_it_is_about(store: Store, fires: SourceEvent) -> None:
    opened = store.accept(fires, "{}").incident_id
    store.record(opened, [Entry("end", EventKind.RESOLVED, "over")], changes=Changes(status=Status.RESOLVED))
    anew = store.accept(again(fires, type=EventType.TRIGGERED), "{}")
    assert (anew.acceptance, anew.incident_id == opened) == (Acceptance.NEW_INCIDENT, False)


def test_a_group_that_goes_on_under_another_id_is_known(store: Store, fires: SourceEvent) -> None:
    opened = store.accept(fires, "{}").incident_id
    known = store.accept(again(fires, type=EventType.TRIGGERED), "{}")
    assert (known.acceptance, known.incident_id) == (Acceptance.KNOWN_INCIDENT, opened)


def test_by_default_an_id_that_is_new_is_a_new_incident(store: Store, fires: SourceEvent) -> None:
    store.accept(fires, "{}")
    other = again(fires, type=EventType.TRIGGERED, known_by_key=False)
    assert store.accept(other, "{}").acceptance is Acceptance.NEW_INCIDENT
