"""Two replicas do the same at the same moment: it is done once, and both know of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.decisions import StandDown
from agent.domain.incident import Entry, EventKind
from agent.domain.records import Decision
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent

T = TypeVar("T")

ROUNDS = 25


@pytest.fixture
def replicas(database_url: str) -> Iterator[tuple[Store, Store]]:
    pair = Store(database_url, SystemClock()), Store(database_url, SystemClock())
    yield pair
    for each in pair:
        each.close()


def at_once(replicas: tuple[Store, Store], do: Callable[[Store, int], T]) -> list[T]:
    """What both were told, from threads that begin together."""
    start = threading.Barrier(2)

    def begin(number: int) -> T:
        start.wait(10)
        return do(replicas[number], number)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(begin, range(2)))


def trigger(source_id: str, delivery: str) -> SourceEvent:
    alert = Alert("pagerduty", source_id, "Redis")
    return SourceEvent(
        "pagerduty", delivery, EventType.TRIGGERED, "incident.triggered", source_id, alert=alert
    )


def opened(store: Store, source_id: str) -> str:
    return store.accept(trigger(source_id, f"w-{source_id}"), "{}").incident_id


def test_one_trigger_delivered_twice_opens_one_incident(replicas: tuple[Store, Store]) -> None:
    for number in range(ROUNDS):
        told = at_once(
            replicas, lambda store, who, n=number: store.accept(trigger(f"P{n}", f"w-{n}-{who}"), "{}")
        )
        _one_is_new(told)
        ids = {each.incident_id for each in told}
        assert len(ids) == 1, "both deliveries know the incident"
        assert len(replicas[0].delivery_outcomes(ids.pop())) == 2


def test_one_delivery_sent_to_both_is_stored_once(replicas: tuple[Store, Store]) -> None:
    for number in range(ROUNDS):
        told = at_once(replicas, lambda store, _, n=number: store.accept(trigger(f"P{n}", f"w-{n}"), "{}"))
        _one_is_new(told)
        (incident,) = {each.incident_id for each in told} - {""}
        assert len(replicas[0].delivery_outcomes(incident)) == 1


def _one_is_new(told: list[Accepted]) -> None:
    kinds = [each.acceptance for each in told]
    assert kinds.count(Acceptance.NEW_INCIDENT) == 1
    assert set(kinds) <= {Acceptance.NEW_INCIDENT, Acceptance.KNOWN_INCIDENT, Acceptance.DUPLICATE}


def test_what_both_tell_is_told_once_and_the_chain_holds(replicas: tuple[Store, Store]) -> None:
    incident = opened(replicas[0], "P1")
    for number in range(ROUNDS):
        same, own = f"same-{number}", f"own-{number}"

        def tell(store: Store, who: int, same: str = same, own: str = own) -> bool:
            told = store.record(incident, [Entry(same, EventKind.NOTE, "once")])
            store.record(incident, [Entry(f"{own}-{who}", EventKind.NOTE, "each")])
            return told

        assert sorted(at_once(replicas, tell)) == [False, True]
    assert len(replicas[0].timeline(incident)) == 3 * ROUNDS
    assert isinstance(verify_chain(replicas[1].audit_entries()), Intact)


def test_of_two_answers_the_first_counts(replicas: tuple[Store, Store]) -> None:
    incident, now = opened(replicas[0], "P1"), datetime.now(UTC)
    for number in range(ROUNDS):

        def decide(store: Store, who: int, plan: str = f"plan-{number}") -> bool:
            return store.decide(incident, Decision(plan, who == 0, f"human-{who}", now))

        counted = at_once(replicas, decide)
        assert sorted(counted) == [False, True]
        kept = replicas[0].decision(incident, f"plan-{number}")
        assert kept is not None
        assert kept.by == f"human-{counted.index(True)}"


def test_of_two_humans_who_take_over_one_is_who_did(replicas: tuple[Store, Store]) -> None:
    for number in range(ROUNDS):
        incident = opened(replicas[0], f"P{number}")
        took = at_once(
            replicas,
            lambda store, who, i=incident: store.stand_down(i, StandDown(f"human-{who}", "acknowledged")),
        )
        assert sorted(took) == [False, True]
        stood_down = replicas[1].stand_down_of(incident)
        assert stood_down is not None
        assert stood_down.by == f"human-{took.index(True)}"
