from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from agent.adapters.clock import SystemClock
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert, Urgency
from agent.domain.decisions import StandDown
from agent.domain.folding import Folding
from agent.domain.incident import Status
from agent.domain.records import Changes
from agent.domain.source_event import Acceptance, Accepted, ActorKind, EventType, SourceEvent

ALERT = Alert("pagerduty", "P1", "Redis connection timeout", service="api-gateway", urgency=Urgency.HIGH)
TRIGGERED = SourceEvent("pagerduty", "d-1", EventType.TRIGGERED, "incident.triggered", "P1", alert=ALERT)
ACKNOWLEDGED = SourceEvent(
    "pagerduty",
    "d-2",
    EventType.ACKNOWLEDGED,
    "incident.acknowledged",
    "P1",
    ActorKind.HUMAN,
    "U1",
    "Responder",
)


def trigger(number: int, *, service: str = "api-gateway") -> SourceEvent:
    alert = replace(ALERT, source_id=f"P{number}", service=service)
    return replace(TRIGGERED, delivery_id=f"d-{number}", source_id=f"P{number}", alert=alert)


def test_a_new_trigger_opens_one_incident(store: Store) -> None:
    accepted = store.accept(TRIGGERED, "{}")
    assert accepted.acceptance is Acceptance.NEW_INCIDENT
    incident = store.incident(accepted.incident_id)
    assert (incident.status, incident.alert) == (Status.RECEIVED, ALERT)


def test_the_same_delivery_again_is_a_duplicate_of_the_same_incident(store: Store) -> None:
    first = store.accept(TRIGGERED, "{}")
    again = store.accept(TRIGGERED, "{}")
    assert (again.acceptance, again.incident_id) == (Acceptance.DUPLICATE, first.incident_id)


def test_another_delivery_of_the_same_trigger_is_a_known_incident(store: Store) -> None:
    first = store.accept(TRIGGERED, "{}")
    again = store.accept(replace(TRIGGERED, delivery_id="d-9"), "{}")
    assert (again.acceptance, again.incident_id) == (Acceptance.KNOWN_INCIDENT, first.incident_id)


def test_five_concurrent_deliveries_open_one_incident(store: Store) -> None:
    with ThreadPoolExecutor(5) as pool:
        accepted = list(pool.map(lambda _: store.accept(TRIGGERED, "{}"), range(5)))
    assert sorted(each.acceptance for each in accepted) == ["duplicate"] * 4 + ["new_incident"]
    assert len(store.incidents()) == 1


def test_an_event_about_an_unknown_incident_waits_for_nobody(store: Store) -> None:
    assert store.accept(ACKNOWLEDGED, "{}").acceptance is Acceptance.STORED
    assert store.unhandled_events(10) == []


def test_an_event_about_a_known_incident_waits_until_it_is_handled(store: Store) -> None:
    incident_id = store.accept(TRIGGERED, "{}").incident_id
    store.accept(ACKNOWLEDGED, "{}")
    assert store.unhandled_events(10) == [(incident_id, ACKNOWLEDGED)]
    store.event_handled("d-2", "stand-down")
    assert store.unhandled_events(10) == []


def test_only_the_first_human_to_take_over_counts(store: Store) -> None:
    incident_id = store.accept(TRIGGERED, "{}").incident_id
    assert store.stand_down(incident_id, StandDown("Responder", "acknowledged the incident"))
    assert not store.stand_down(incident_id, StandDown("Second Responder", "resolved the incident"))
    assert store.stand_down_of(incident_id) == StandDown("Responder", "acknowledged the incident")


def test_nobody_takes_over_what_has_ended(store: Store) -> None:
    incident_id = store.accept(TRIGGERED, "{}").incident_id
    store.record(incident_id, (), changes=Changes(status=Status.RESOLVED))
    assert not store.stand_down(incident_id, StandDown("Responder", "resolved the incident"))
    assert store.stand_down_of(incident_id) is None


def test_a_run_by_hand_is_left_alone_by_the_daemon(store: Store) -> None:
    store.open_manual(ALERT)
    assert store.unfinished() == []


def test_what_was_stored_is_there_after_a_restart(store: Store, clock: FakeClock) -> None:
    incident_id = store.accept(TRIGGERED, "{}").incident_id
    store.close()
    again = Store(store.database.url, clock)
    assert again.incident(incident_id).alert == ALERT
    again.close()


def test_a_title_of_a_megabyte_is_no_summary_of_ours(store: Store) -> None:
    assert not store.is_own_summary("redis " * 200_000)


def test_two_replicas_with_the_same_webhooks_in_another_order_open_each_once(
    database_url: str, clock: FakeClock, store: Store
) -> None:
    webhooks = [(trigger(number, service=f"s{number}"), "{}") for number in range(20)]
    other = Store(database_url, clock)
    with ThreadPoolExecutor(2) as pool:
        taken = [
            pool.submit(one.accept_all, order)
            for one, order in ((store, webhooks), (other, webhooks[::-1]))
            for _ in range(5)
        ]
        outcomes = [each.acceptance for future in taken for each in future.result()]
    other.close()
    assert outcomes.count(Acceptance.NEW_INCIDENT) == 20
    assert len(store.incidents(limit=100)) == 20


def test_webhooks_stored_together_are_judged_in_the_order_in_which_they_came(store: Store) -> None:
    later = replace(ACKNOWLEDGED, source_id="P9")
    first, other = trigger(9, service="shop"), trigger(1, service="billing")
    accepted = store.accept_all([(each, "{}") for each in (first, other, later, first)])
    words = [each.acceptance.value for each in accepted]
    assert words == ["new_incident", "new_incident", "stored", "duplicate"]
    assert accepted[2].incident_id == accepted[0].incident_id


def test_new_alerts_stored_together_are_what_each_would_be_by_itself(store: Store, clock: FakeClock) -> None:
    accepted = store.accept_all([(trigger(number, service=f"s{number}"), "{}") for number in range(5)])
    alone = store.accept(trigger(9, service="s9"), "{}")
    assert {each.acceptance for each in accepted} == {Acceptance.NEW_INCIDENT}
    incidents = [store.incident(each.incident_id) for each in (*accepted, alone)]
    assert [each.alert.source_id for each in incidents] == ["P0", "P1", "P2", "P3", "P4", "P9"]
    assert {(each.status, each.received_at) for each in incidents} == {(Status.RECEIVED, clock.now())}
    assert store.accept(trigger(3, service="s3"), "{}").acceptance is Acceptance.DUPLICATE
    assert store.accept(replace(trigger(3), delivery_id="x"), "{}").incident_id == accepted[3].incident_id


def test_no_more_are_opened_together_than_there_is_room_for(store: Store) -> None:
    webhooks = [(trigger(number), "{}") for number in range(5)]
    words = [each.acceptance for each in store.accept_all(webhooks, backlog=3)]
    assert words == [Acceptance.NEW_INCIDENT] * 3 + [Acceptance.BACKLOG_FULL] * 2


def test_whatever_is_stored_together_comes_to_the_same_as_one_by_one(tmp_path: Path) -> None:
    """Triggers, duplicates, the same alerts again and events, in any order and any company."""
    both = [Store(f"sqlite:///{tmp_path}/{name}.db", SystemClock()) for name in ("company", "alone")]
    for each in both:
        each.migrate()
        each.folding = Folding()
    company, alone = both
    by_chance, together, singly = random.Random(7), _Names(), _Names()
    for _ in range(40):
        batch = [(_any_event(by_chance), "{}") for _ in range(by_chance.randint(1, 6))]
        expected = [alone.accept(event, raw) for event, raw in batch]
        assert together.of(company.accept_all(batch)) == singly.of(expected)
    assert len(company.incidents(limit=1_000)) == len(alone.incidents(limit=1_000))
    for each in both:
        each.close()


class _Names:
    """Incidents by the order in which they were first heard of: their ids are chosen by chance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"": -1}

    def of(self, accepted: Sequence[Accepted]) -> list[tuple[Acceptance, int]]:
        return [
            (each.acceptance, self._numbers.setdefault(each.incident_id, len(self._numbers)))
            for each in accepted
        ]


def _any_event(by_chance: random.Random) -> SourceEvent:
    number, delivery = by_chance.randint(1, 60), by_chance.randint(1, 400)
    if by_chance.random() < 0.2:
        return replace(ACKNOWLEDGED, delivery_id=f"d-{delivery}", source_id=f"P{number}")
    alert = replace(ALERT, source_id=f"P{number}", title=f"Slow {by_chance.randint(1, 80)}")
    event = replace(TRIGGERED, delivery_id=f"d-{delivery}", source_id=f"P{number}", alert=alert)
    return replace(event, known_by_key=by_chance.random() < 0.1)
