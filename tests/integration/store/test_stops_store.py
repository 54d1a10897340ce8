"""The kill switch as rows: in force at once and everywhere, once however often it is put."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatCard
from agent.domain.stops import Stop, StopScope

ENTRY = Entry("stopped", EventKind.STOPPED, "⛔ Stopped", actor="alice")
RESUMED = Entry("resumed", EventKind.RESUMED, "▶️ Resumed", actor="bob")


def a_stop(store: Store, number: int = 1, **more: object) -> Stop:
    stop = Stop(f"stop-{number}", StopScope.SERVICE, "payments", "bad deploy", "alice", store.clock.now())
    return replace(stop, **more)  # type: ignore[arg-type]


def test_a_stop_is_in_force_for_every_process_as_soon_as_it_is_put(
    store: Store, database_url: str, clock: FakeClock
) -> None:
    other = Store(database_url, clock)
    put = store.put_stop(a_stop(store), ENTRY)
    assert list(other.stops()) == [put] == [other.stop_of("stop-1")]
    assert store.lift_stop("stop-1", "bob", RESUMED)
    assert list(other.stops()) == []
    (lifted,) = other.all_stops()
    assert (lifted.is_in_force, lifted.lifted_by, lifted.lifted_at) == (False, "bob", clock.now())
    other.close()


def test_the_same_stop_is_put_once_and_told_once(store: Store) -> None:
    first = store.put_stop(a_stop(store, 1), ENTRY, [ChatCard()])
    again = store.put_stop(a_stop(store, 2), ENTRY, [ChatCard()])
    assert again == first
    assert len(store.next_letters(Channel.CHAT, 10)) == 1
    assert [each.key for each in store.timeline("stop-1")] == ["stopped"]


def test_another_human_another_reason_or_another_service_is_another_stop(store: Store) -> None:
    different = ({}, {"by": "bob"}, {"reason": "audit"}, {"name": "billing"}, {"scope": StopScope.RUNBOOK})
    for number, more in enumerate(different):
        store.put_stop(a_stop(store, number, **more), ENTRY)
    assert len(store.stops()) == len(different)


def test_what_was_lifted_is_put_anew(store: Store) -> None:
    store.put_stop(a_stop(store, 1), ENTRY)
    store.lift_stop("stop-1", "bob", RESUMED)
    assert store.put_stop(a_stop(store, 2), ENTRY).id == "stop-2"


def test_asked_to_end_what_runs_it_does_from_then_on_and_says_so(store: Store) -> None:
    store.put_stop(a_stop(store, 1), ENTRY)
    assert store.put_stop(a_stop(store, 2, ends_running=True), ENTRY).ends_running
    assert [each.ends_running for each in store.stops()] == [True]
    assert store.put_stop(a_stop(store, 3), ENTRY).ends_running
    assert len(store.timeline("stop-1")) == 2


def test_only_the_first_resume_counts(store: Store) -> None:
    store.put_stop(a_stop(store), ENTRY)
    assert store.lift_stop("stop-1", "bob", RESUMED)
    assert not store.lift_stop("stop-1", "carol", RESUMED)
    assert not store.lift_stop("stop-0", "carol", RESUMED)
    found = store.stop_of("stop-1")
    assert found is not None
    assert found.lifted_by == "bob"


def test_stops_that_race_are_one(store: Store, database_url: str, clock: FakeClock) -> None:
    stores = [Store(database_url, clock) for _ in range(6)]
    barrier = Barrier(len(stores))

    def put(number: int) -> str:
        barrier.wait()
        return stores[number].put_stop(a_stop(store, number), ENTRY).id

    with ThreadPoolExecutor(len(stores)) as pool:
        ids = set(pool.map(put, range(len(stores))))
    assert len(ids) == 1
    assert len(store.stops()) == 1
    for each in stores:
        each.close()


def test_resumes_that_race_are_one(store: Store, database_url: str, clock: FakeClock) -> None:
    store.put_stop(a_stop(store), ENTRY)
    stores = [Store(database_url, clock) for _ in range(6)]
    barrier = Barrier(len(stores))

    def lift(number: int) -> bool:
        barrier.wait()
        return stores[number].lift_stop("stop-1", f"human {number}", RESUMED)

    with ThreadPoolExecutor(len(stores)) as pool:
        assert sum(pool.map(lift, range(len(stores)))) == 1
    for each in stores:
        each.close()


def test_what_nobody_was_told_yet_is_asked_for_until_it_is_told(store: Store) -> None:
    stop = store.put_stop(a_stop(store), ENTRY)
    assert [each.id for each in store.untold_stops()] == ["stop-1"]
    store.stop_told(stop)
    assert list(store.untold_stops()) == []
    store.lift_stop("stop-1", "bob", RESUMED)
    (lifted,) = store.untold_stops()
    store.stop_told(lifted)
    assert list(store.untold_stops()) == []


def test_a_lift_between_looking_and_telling_is_still_told(store: Store) -> None:
    seen = store.put_stop(a_stop(store), ENTRY)
    store.lift_stop("stop-1", "bob", RESUMED)
    store.stop_told(seen)
    assert [each.is_in_force for each in store.untold_stops()] == [False]


def test_stops_are_links_of_the_audit_chain(store: Store) -> None:
    store.put_stop(a_stop(store), ENTRY)
    store.lift_stop("stop-1", "bob", RESUMED)
    entries = list(store.audit_entries())
    assert [(each["incident"], each["actor"]) for each in entries] == [("stop-1", "alice"), ("stop-1", "bob")]
    assert isinstance(verify_chain(entries), Intact)


def test_what_is_put_aside_is_in_force_at_once_and_taken_over_once(store: Store) -> None:
    stop = a_stop(store)
    store.put_stop_aside(stop)
    assert list(store.stops()) == [stop] == [store.stop_of(stop.id)]
    assert stop in [*store.set_aside(), *store.untold_stops()]  # a file on SQLite, a row on PostgreSQL
    assert store.put_stop(stop, ENTRY) == stop
    store.taken_over(stop)
    assert (list(store.stops()), list(store.set_aside())) == ([stop], [])
    assert store.lift_stop(stop.id, "bob", RESUMED)
    assert list(store.stops()) == []
