"""Folding holds for several processes at once, whatever they are at, and is all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from agent.adapters import store_folds
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_folds import StoredFolds
from agent.adapters.store_schema import deliveries, incidents, outbox, timeline
from agent.domain.alert import Alert
from agent.domain.folding import Folding
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import Channel, DeskResolve
from agent.domain.records import Changes, FoldedEnd
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent

ENDS = Changes(
    status=Status.RESOLVED,
    result="Resolved",
    folded=FoldedEnd("Resolved with it", DeskResolve("", "with it", {})),
)


@pytest.fixture
def replicas(store: Store, database_url: str, clock: FakeClock) -> Iterator[list[Store]]:
    others = [Store(database_url, clock) for _ in range(3)]
    for each in (store, *others):
        each.folding = Folding()
    yield [store, *others]
    for each in others:
        each.close()


def event(number: int) -> SourceEvent:
    alert = Alert("pagerduty", f"P{number}", "Redis connection timeout", service="shop")
    name = "incident.triggered"
    return SourceEvent("pagerduty", f"d-{number}", EventType.TRIGGERED, name, f"P{number}", alert=alert)


def rows(store: Store, query: sa.Select[tuple[object, ...]]) -> list[tuple[object, ...]]:
    with store.database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_the_same_new_alert_at_several_replicas_at_once_is_one_incident(
    replicas: list[Store],
) -> None:
    for storm in range(5):
        numbers = range(storm * 100, storm * 100 + 16)

        def take(number: int) -> Accepted:
            return replicas[number % len(replicas)].accept(event(number), "{}")

        with ThreadPoolExecutor(8) as pool:
            accepted = list(pool.map(take, numbers))
        (first,) = [each.incident_id for each in accepted if each.acceptance is Acceptance.NEW_INCIDENT]
        assert sum(each.acceptance is Acceptance.FOLDED for each in accepted) == 15
        assert replicas[0].incident(first).alert_count == 16
        replicas[0].record(first, [Entry("end", EventKind.RESOLVED, "done")], changes=ENDS)


def test_what_is_folded_while_the_first_ends_is_settled_with_it_or_stands_for_itself(
    replicas: list[Store],
) -> None:
    first = replicas[0].accept(event(0), "{}").incident_id

    def take(number: int) -> Accepted:
        if number == 20:
            replicas[0].record(first, [Entry("end", EventKind.RESOLVED, "done")], changes=ENDS)
        return replicas[1 + number % 3].accept(event(number), "{}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, range(1, 60)))
    query = sa.select(incidents.c.source_id, incidents.c.folded_into, incidents.c.status, incidents.c.result)
    found = rows(replicas[0], query)
    assert len(found) == 60
    settled = {row[0] for row in found if row[1] == first}
    assert {row[3] for row in found if row[1] == first} <= {"Resolved with it"}
    letters = [letter.message for letter in replicas[0].next_letters(Channel.DESK, 100)]
    assert {each.source_id for each in letters if isinstance(each, DeskResolve)} == settled
    (second,) = {row[1] for row in found} - {first, ""} or {""}
    left = [row for row in found if row[1] != first and row[0] != "P0"]
    assert all(row[1] == second or row[2] == "received" for row in left)
    assert sum(row[2] == "received" for row in left) == (1 if left else 0)


def test_a_crash_in_the_middle_of_folding_leaves_nothing_of_it(
    replicas: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = replicas[0]
    first = store.accept(event(0), "{}").incident_id
    counts = [
        sa.select(sa.func.count()).select_from(each) for each in (deliveries, incidents, timeline, outbox)
    ]
    before = [rows(store, each) for each in counts]
    original = StoredFolds._tell

    def and_dies(folds: StoredFolds, *arguments: object) -> None:
        original(folds, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StoredFolds, "_tell", and_dies)
        with pytest.raises(KeyboardInterrupt):
            store.accept(event(1), "{}")
    assert [rows(store, each) for each in counts] == before
    assert store.incident(first).alert_count == 1
    assert store.accept(event(1), "{}").acceptance is Acceptance.FOLDED
    assert store.incident(first).alert_count == 2


def test_the_look_for_the_same_alert_never_walks_over_what_has_ended(replicas: list[Store]) -> None:
    store = replicas[0]
    if not store.database.is_sqlite:
        pytest.skip("SQLite says how it goes about a query in words")
    lately = {"same": "x", "since": "", "now": ""}
    with store.database.reading() as connection:
        looked = store_folds._LOOK.explained(connection, lately)
        assert "INDEX incidents_fold_open" in looked
        assert "INDEX incidents_fold_paged" in looked
        assert "SCAN incidents" not in looked
        assert "INDEX incidents_fold_open" in store_folds._TAKE_OPEN.explained(connection, {"same": "x"})
        assert "INDEX incidents_fold_paged" in store_folds._TAKE_PAGED.explained(connection, lately)
