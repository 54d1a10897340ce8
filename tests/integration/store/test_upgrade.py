"""A database of an earlier version is brought up to date with what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

import agent.adapters
from agent.adapters.database import stamp
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.command import Refusal
from agent.domain.decisions import Section
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.limits import Charge, Scope, WindowLimit
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Escalated, QueueFilter
from agent.domain.records import AttemptKey, Unfinished
from agent.escalations.entering import Queueing
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk
from agent.safety.redaction import Redactor

FLUSH = EffectClass.CACHE_OPERATION
KEY = AttemptKey("inc-1", Section.STEPS, 1, 1)


def migrate_to(store: Store, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(agent.adapters.__path__[0]) / "migrations"))
    with store.database.writing() as connection:
        config.attributes["connection"] = connection
        if revision == "down":
            alembic.command.downgrade(config, "0001")
        elif revision.startswith("-"):
            alembic.command.downgrade(config, revision.removeprefix("-"))
        else:
            alembic.command.upgrade(config, revision)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Without any table yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/oncall.db"
        return
    with request.getfixturevalue("postgres_server").database(migrated=False) as url:
        yield url


@pytest.fixture
def old(database_url: str, clock: FakeClock) -> Iterator[Store]:
    """An incident of the first version in the middle of an attempt that was charged."""
    store = Store(database_url, clock)
    migrate_to(store, "0001")
    at = stamp(clock.now())
    rows = {
        "incidents": {
            "id": "inc-1", "source": "pagerduty", "source_id": "P1", "title": "Redis", "service": "shop",
            "alert": '{"source":"pagerduty","source_id":"P1","title":"Redis"}', "status": "running",
            "received_at": at, "runbook_id": "redis-timeout",
        },
        "attempts": {
            "incident_id": "inc-1", "section": "steps", "step": 1, "number": 1, "title": "Flush",
            "read_only": False, "marker": KEY.marker, "begun_at": at,
        },
        "charges": {
            "incident_id": "inc-1", "marker": KEY.marker, "effect_class": FLUSH.value, "target": "redis",
            "count": 1, "at": at,
        },
    }  # fmt: skip
    with store.database.writing() as connection:
        for table, row in rows.items():
            columns = [sa.column(name) for name in row]
            connection.execute(sa.table(table, *columns).insert().values(**row))
    yield store
    store.close()


def charge(**limits: int) -> Charge:
    window = WindowLimit("limits.per_service.per_hour.cache_operations", FLUSH, Scope.SERVICE, 3_600, 1)
    return Charge(
        (Effect(FLUSH, "redis"),), 1, BlastRadius({FLUSH: 9}, **limits), windows=(window,), service="shop"
    )


def test_what_was_charged_before_an_upgrade_still_counts(old: Store) -> None:
    old.migrate()
    other = AttemptKey(old.open_manual(Alert("manual", "m", "m")), Section.STEPS, 1, 1)
    refusal = old.begin_attempt(other, title="Flush", charge=charge())
    assert isinstance(refusal, Refusal)
    assert "1 used in the last hour for service shop by redis-timeout (inc-1)" in refusal.reason


def test_what_was_under_way_before_an_upgrade_is_still_known(old: Store) -> None:
    old.migrate()
    assert old.begin_attempt(KEY, title="Flush", charge=charge()) == Unfinished()
    assert old.charged("inc-1") == {FLUSH.value: 1}


def test_commands_that_ran_before_an_upgrade_count(old: Store) -> None:
    old.migrate()
    key = AttemptKey("inc-1", Section.STEPS, 1, 2)
    asked = Charge((), 1, BlastRadius({}, max_commands=1))
    assert isinstance(old.begin_attempt(key, title="Look", charge=asked), Refusal)


def test_the_upgrade_can_be_taken_back(old: Store) -> None:
    old.migrate()
    migrate_to(old, "down")
    with old.database.reading() as connection:
        names = {each["name"] for each in sa.inspect(connection).get_columns("charges")}
    assert "namespace" not in names
    old.migrate()


def test_what_waited_for_a_human_before_an_upgrade_has_its_place_and_wakes_nobody(
    old: Store, clock: FakeClock
) -> None:
    row = {
        "incident_id": "inc-1", "trigger": "no_match", "reason": "no runbook", "severity": "critical",
        "dedup_key": "k", "summary": "s", "status": "open", "created_at": stamp(clock.now()),
    }  # fmt: skip
    with old.database.writing() as connection:
        columns = [sa.column(name) for name in row]
        connection.execute(sa.table("escalations", *columns).insert().values(**row))
    old.migrate()
    item = old.queue_item("esc-1")
    assert item is not None
    assert (item.title, item.rank.value, item.target) == ("Redis", "critical", "team:on-call")
    assert (item.deadline - clock.now()).total_seconds() == 900
    assert old.queue_page(QueueFilter()).open == 1
    assert not old.queue_due(clock.now() + timedelta(days=9), 10)


def insert(connection: sa.Connection, table: str, row: dict[str, object]) -> None:
    connection.execute(sa.table(table, *(sa.column(name) for name in row)).insert().values(**row))


@pytest.fixture
def without_people(database_url: str, clock: FakeClock) -> Iterator[Store]:
    """A database of the version before people and the queue; one escalation has no incident any more."""
    store = Store(database_url, clock)
    migrate_to(store, "0004")
    at = stamp(clock.now())
    same = {"trigger": "no_match", "reason": "r", "dedup_key": "k", "summary": "s", "created_at": at}
    severities = (("critical", "open"), ("info", "resolved"), ("odd", "open"))
    with store.database.writing() as connection:
        for number, (severity, status) in enumerate(severities, 1):
            row = {**same, "incident_id": f"inc-{number}", "severity": severity, "status": status}
            insert(connection, "escalations", row)
            incident = {
                "id": f"inc-{number}", "source": "pagerduty", "source_id": f"P{number}", "title": "Redis",
                "service": "shop", "status": "escalated", "received_at": at, "runbook_id": "redis-timeout",
                "alert": '{"source":"pagerduty","source_id":"P1","title":"Redis"}',
            }  # fmt: skip
            if number < 3:
                insert(connection, "incidents", incident)
    yield store
    store.close()


def test_every_escalation_of_the_version_before_people_can_be_read_and_worked_on(
    without_people: Store, clock: FakeClock
) -> None:
    store = without_people
    store.migrate()
    page = store.queue_page(QueueFilter())
    assert (page.open, [each.id for each in page.items]) == (2, ["esc-1", "esc-3"])
    for number in (1, 2, 3):
        item = store.queue_item(f"esc-{number}")
        assert item is not None
        assert store.queue_like(item) is not None
    desk = QueueDesk(store, Redactor([]), Queueing())
    somebody = Actor(Person("alice", Role.RESPONDER), Via.CLI)
    for number in (1, 3):
        taken = queueing.claim(desk, f"esc-{number}", somebody, now=clock.now())
        assert isinstance(taken, Escalated)


def test_what_was_claimed_is_open_again_for_the_version_before(
    without_people: Store, clock: FakeClock
) -> None:
    store = without_people
    store.migrate()
    desk = QueueDesk(store, Redactor([]), Queueing())
    queueing.claim(desk, "esc-1", Actor(Person("alice", Role.RESPONDER), Via.CLI), now=clock.now())
    migrate_to(store, "-0004")
    with store.database.reading() as connection:
        found = connection.execute(sa.text("SELECT incident_id, status FROM escalations ORDER BY 1")).all()
    assert [tuple(row) for row in found] == [("inc-1", "open"), ("inc-2", "resolved"), ("inc-3", "open")]
    store.migrate()
    assert store.queue_page(QueueFilter()).open == 2
