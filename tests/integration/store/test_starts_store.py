"""Whose turn it is: decided in one transaction, for all processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.incident import Status
from agent.domain.records import Changes
from agent.domain.runs import Agenda, Leg, Places
from agent.domain.source_event import EventType, SourceEvent
from tests.unit.pipeline.conftest import ALERT

MANY = Places(at_once=10)


def accept(store: Store, number: int, *, service: str = "shop") -> str:
    alert = replace(ALERT, source_id=f"P{number}", service=service)
    event = SourceEvent(
        "pagerduty", f"d-{number}", EventType.TRIGGERED, "incident.triggered", f"P{number}", alert=alert
    )
    return store.accept(event, "{}").incident_id


def claimed(store: Store, places: Places = MANY, executor_id: str = "main") -> Sequence[str]:
    return [leg.incident_id for leg in store.claim(places, executor_id)]


def park(store: Store, clock: FakeClock, leg: Leg, *, for_s: float = 900) -> None:
    until = clock.now() + timedelta(seconds=for_s)
    assert store.park(leg, "decision", until=until, woken={}) is None


def test_one_incident_of_a_service_is_started_at_a_time(store: Store, clock: FakeClock) -> None:
    first = accept(store, 1)
    clock.sleep(1)
    second = accept(store, 2)
    clock.sleep(1)
    other = accept(store, 3, service="billing")
    assert claimed(store) == [first, other]
    assert claimed(store) == []
    store.record(first, (), changes=Changes(status=Status.RESOLVED))
    assert claimed(store) == [second]


def test_incidents_without_a_service_do_not_wait_for_each_other(store: Store) -> None:
    ids = {accept(store, number, service="") for number in (1, 2)}
    assert set(claimed(store)) == ids


def test_no_more_incidents_are_started_than_there_are_places(store: Store) -> None:
    for number in range(4):
        accept(store, number, service=f"s{number}")
    assert len(claimed(store, Places(2))) == 2
    assert claimed(store, Places(2)) == []


def test_a_start_is_marked_with_its_time_and_who_carries_it_out(store: Store, clock: FakeClock) -> None:
    incident_id = accept(store, 1)
    assert store.claim(MANY, "worker-1") == [Leg(incident_id)]
    assert store.incident(incident_id).started_at == clock.now()
    assert store.legs_under_way("worker-1") == [Leg(incident_id)]
    assert store.legs_under_way("worker-2") == []


def test_services_take_turns_although_one_has_a_long_line(store: Store, clock: FakeClock) -> None:
    storm = [accept(store, number) for number in range(3)]
    clock.sleep(1)
    late = accept(store, 9, service="billing")
    one = Places(1)
    order = []
    for _ in range(4):
        (begun,) = claimed(store, one)
        order.append(begun)
        clock.sleep(1)
        store.record(begun, (), changes=Changes(status=Status.RESOLVED))
    assert order[1] == late
    assert set(order) == {*storm, late}


def test_where_a_service_may_have_several_places_the_fewer_it_has_the_earlier_it_is(
    store: Store, clock: FakeClock
) -> None:
    storm = [accept(store, number) for number in range(3)]
    clock.sleep(1)
    late = accept(store, 9, service="billing")
    begun = claimed(store, Places(2, one_per_service=False))
    assert len(begun) == 2
    assert late in begun
    assert set(begun) & set(storm)


def test_an_incident_that_waits_for_a_human_holds_up_nobody(store: Store, clock: FakeClock) -> None:
    first, second = accept(store, 1), accept(store, 2)
    (leg,) = store.claim(Places(1), "main")
    park(store, clock, leg)
    assert claimed(store, Places(1)) == [({first, second} - {leg.incident_id}).pop()]


def test_what_was_approved_waits_for_its_services_turn(store: Store, clock: FakeClock) -> None:
    accept(store, 1)
    clock.sleep(1)
    accept(store, 2)
    (approved,) = store.claim(MANY, "main")
    park(store, clock, approved)
    (running,) = store.claim(MANY, "main")
    store.wake(approved.incident_id, "decision")
    (woken,) = store.begin_due("main")
    assert woken == approved.next
    assert (
        store.take_turn(woken, "decision", MANY, woken={"turn": "false"}) is False
    )  # the wake-up is still there
    assert store.take_turn(woken, "decision", MANY, woken={}) is None
    assert store.claim(MANY, "main") == []
    store.record(running.incident_id, (), changes=Changes(status=Status.RESOLVED))
    assert store.claim(MANY, "main") == [woken.next]


def test_what_is_woken_in_line_looks_again_although_it_is_not_its_turn(
    store: Store, clock: FakeClock
) -> None:
    accept(store, 1)
    clock.sleep(1)
    accept(store, 2)
    (first,) = store.claim(MANY, "main")
    park(store, clock, first, for_s=1)
    store.claim(MANY, "main")
    clock.sleep(2)
    (over,) = store.begin_due("main")
    assert store.take_turn(over, "decision", MANY, woken={}) is None
    assert store.begin_due("main") == []
    store.wake(first.incident_id, "decision")
    assert store.begin_due("main") == [over.next]


def test_whose_place_is_free_gets_its_turn_at_once(store: Store, clock: FakeClock) -> None:
    accept(store, 1)
    (leg,) = store.claim(MANY, "main")
    park(store, clock, leg, for_s=1)
    clock.sleep(2)
    (over,) = store.begin_due("main")
    assert store.take_turn(over, "decision", MANY, woken={}) is True
    accept(store, 2)
    assert claimed(store) == []


def test_a_run_by_hand_is_left_alone_and_takes_nobodys_place(store: Store) -> None:
    store.open_manual(ALERT)
    assert claimed(store, Places(1)) == []
    incident_id = accept(store, 1)
    assert claimed(store, Places(1)) == [incident_id]


def test_what_there_is_to_do_is_one_cheap_look(store: Store, clock: FakeClock) -> None:
    assert store.agenda() == Agenda()
    incident_id = accept(store, 1)
    assert store.agenda() == Agenda(starts=True)
    (leg,) = store.claim(MANY, "main")
    assert store.agenda() == Agenda()
    park(store, clock, leg, for_s=60)
    assert store.agenda() == Agenda()
    store.wake(incident_id, "decision")
    assert store.agenda() == Agenda(waits=True)


def test_processes_that_claim_at_once_share_the_places(store: Store, database_url: str) -> None:
    """Each with connections of its own, as replicas have."""
    for number in range(40):
        accept(store, number, service=f"s{number % 8}")
    begun: list[str] = []
    together = threading.Barrier(4)

    def claim(executor_id: str) -> None:
        replica = Store(database_url, store.clock)
        together.wait()
        for _ in range(5):
            begun.extend(claimed(replica, Places(6), executor_id))
        replica.close()

    threads = [threading.Thread(target=claim, args=(f"worker-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == len(set(begun)) == 6
    assert len({store.incident(each).alert.service for each in begun}) == 6
