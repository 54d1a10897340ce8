"""A look of the watchdog reads what is late, and never all that there is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from agent.adapters.store import Store
from agent.config import parse
from agent.domain.outbox import Channel
from agent.pipeline.stuck import cutoffs

LOOKS: dict[str, Callable[[Store], object]] = {
    "suspects": lambda store: store.suspects(cutoffs(parse({}, path="c"), store.clock.now()), 200),
    "late attempts": lambda store: store.late_attempts(store.clock.now(), 200),
    "late letters": lambda store: store.late_letters(Channel.PAGER, store.clock.now(), 20),
    "late channels": lambda store: store.late_channels(store.clock.now()),
    "late events": lambda store: store.late_events(store.clock.now()),
    "at work": lambda store: store.at_work(),
}

#: Scanned whole: an index over what is open alone.
OPEN_ONLY = ("attempts_unfinished", "outbox_waiting", "deliveries_unhandled")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def plan_of(store: Store, look: Callable[[Store], object]) -> list[str]:
    asked: list[tuple[str, object]] = []

    def keep(*arguments: object) -> None:
        asked.append((str(arguments[2]), arguments[3]))

    sa.event.listen(sa.Engine, "before_cursor_execute", keep)
    try:
        look(store)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", keep)
    ((text, values),) = [each for each in asked if each[0].startswith("SELECT")]
    with store.database.reading() as connection:
        return [str(row[-1]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_scans_no_table(store: Store, name: str) -> None:
    scans = [line for line in plan_of(store, LOOKS[name]) if line.startswith("SCAN")]
    assert [line for line in scans if not line.endswith(OPEN_ONLY)] == []


def test_what_is_remembered_under_a_name_is_found_by_its_beginning(store: Store) -> None:
    store.keep_known("alarm/pages", "then")
    store.keep_known("alarm/chat-late", "now")
    store.keep_known("alarm_x", "other")
    store.keep_known("alarm/pages", "later")
    assert store.known("alarm/") == {"pages": "later", "chat-late": "now"}
    store.forget_known("alarm/pages")
    store.forget_known("alarm/pages")
    assert store.known("alarm/") == {"chat-late": "now"}


def test_counts_add_up(store: Store) -> None:
    store.count({"a/x": 1, "a/y": 0.5})
    store.count({"a/x": 2})
    store.count({})
    assert store.counts("a/") == {"x": 3, "y": 0.5}
    assert store.counts("b/") == {}


def test_nothing_is_late_in_an_empty_store(store: Store) -> None:
    now = store.clock.now() + timedelta(days=1)
    assert store.unheld(now, 10) == []
    assert store.holders(["inc-1"]) == {}
    assert store.late_events(now) is None
