"""What the console counts and looks for, as both databases answer it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.search import AuditAsked, IncidentsAsked
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World, runbook, step

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def world(store: Store, clock: FakeClock, tmp_path: Path) -> World:
    (tmp_path / "runbooks").mkdir()
    world = World(store, clock, tmp_path / "runbooks", HookedSandbox())
    world.runbook(runbook(steps=step(1, "redis-cli PING", keys='Expected output: "PONG"')))
    return world


def resolved(world: World, source_id: str, **facts: str) -> None:
    world.answers("redis-cli PING", "PONG")
    world.page(source_id=source_id, **facts)


def unknown(world: World, source_id: str, title: str = "Nobody knows this", service: str = "search") -> Alert:
    alert = replace(ALERT, source_id=source_id, title=title, service=service)
    world.handle(world.receive(alert))
    return alert


def test_ends_are_counted_by_day_runbook_and_service(world: World, clock: FakeClock) -> None:
    resolved(world, "P1")
    unknown(world, "P2")
    clock.sleep(86_400 * 2)
    resolved(world, "P3", title="Redis connection timeout again")
    found = world.store.statistics(SINCE, UNTIL)
    assert [(each.day, each.resolved, each.escalated) for each in found.days] == [
        (date(2026, 1, 5), 1, 1), (date(2026, 1, 7), 1, 0),
    ]  # fmt: skip
    (record,) = found.runbooks
    assert (record.runbook, record.resolved, record.total, record.share) == (
        "redis-connection-timeout",
        2,
        2,
        1.0,
    )
    assert record.mean_s is not None
    assert 0 <= record.mean_s < 60
    assert [(each.name, each.count) for each in found.services] == [("search", 1)]
    assert (found.resolved, found.total) == (2, 3)
    assert world.store.runbook_records(SINCE, UNTIL) == {record.runbook: record}


def test_alerts_are_counted_by_weekday_and_hour(world: World, clock: FakeClock) -> None:
    unknown(world, "P1")  # on a Monday, at 04:17 UTC
    clock.sleep(3_600)
    unknown(world, "P2", "Something else")
    assert world.store.statistics(SINCE, UNTIL).hours == {(0, 4): 1, (0, 5): 1}


def test_what_came_twice_and_no_runbook_answered_is_worth_one(world: World, clock: FakeClock) -> None:
    unknown(world, "P1", "Disk 12 is odd")
    unknown(world, "P2", "Came once")
    clock.sleep(7_200)
    unknown(world, "P3", "Disk 13 is odd")
    (wanted,) = world.store.statistics(SINCE, UNTIL).wanted
    assert (wanted.count, wanted.service) == (2, "search")
    assert "is odd" in wanted.title


def test_what_lies_outside_of_the_period_is_not_counted(world: World) -> None:
    resolved(world, "P1")
    empty = world.store.statistics(SINCE - timedelta(days=60), SINCE)
    assert (empty.total, empty.runbooks, empty.hours, empty.wanted) == (0, (), {}, ())
    assert not world.store.ends(SINCE - timedelta(days=60), SINCE)


def test_incidents_are_found_by_what_they_say(world: World) -> None:
    for number, title in enumerate(("100% of it", "1000 of it", "A_B", "AxB")):
        unknown(world, f"P{number}", title, service=f"service-{number}")

    def titles(asked: IncidentsAsked) -> list[str]:
        return [each.alert.title for each in world.store.incidents_found(asked)]

    assert titles(IncidentsAsked("100%")) == ["100% of it"]
    assert titles(IncidentsAsked("a_b")) == ["A_B"]
    assert titles(IncidentsAsked("SERVICE-3")) == ["AxB"]
    assert titles(IncidentsAsked(status="resolved")) == []
    first = world.store.incidents_found(IncidentsAsked(limit=3))
    rest = world.store.incidents_found(IncidentsAsked(limit=3, after=first[-1].id))
    assert len({each.id for each in (*first, *rest)}) == 4
    assert world.store.incidents_found(IncidentsAsked(after="inc-that-is-gone", limit=9))


def test_entries_are_found_by_what_when_who_and_about_what(world: World, clock: FakeClock) -> None:
    store = world.store
    resolved(world, "P1")
    between = clock.now() + timedelta(seconds=1)
    clock.sleep(3_600)
    unknown(world, "P2")
    incident_id = store.incidents()[0].id
    assert {each.kind.value for each in store.entries_found(AuditAsked(kind="no_match"))} == {"no_match"}
    assert all(
        each.incident_id == incident_id for each in store.entries_found(AuditAsked(incident=incident_id))
    )
    assert all(each.at >= between for each in store.entries_found(AuditAsked(since=between)))
    assert all(each.at < between for each in store.entries_found(AuditAsked(until=between)))
    assert not store.entries_found(AuditAsked(actor="nobody"))
    assert store.entries_found(AuditAsked(text="no RUNBOOK matched"))
    newest = store.entries_found(AuditAsked(limit=2))
    assert [each.seq for each in newest] == [store.last_seq(), store.last_seq() - 1]
    assert store.entries_found(AuditAsked(before=newest[-1].seq, limit=1))[0].seq == newest[-1].seq - 1


def test_an_export_has_every_link_oldest_first(world: World) -> None:
    resolved(world, "P1")
    links = list(world.store.links_found(AuditAsked()))
    assert [each["seq"] for each in links] == list(range(1, world.store.last_seq() + 1))
    assert links[1]["prev"] == links[0]["hash"]
    assert [each["kind"] for each in world.store.links_found(AuditAsked(kind="received"))] == ["received"]
