"""A statement that was written once does on each database what SQLAlchemy would do with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.adapters.fake_clock import FakeClock
from agent.adapters.prepared import Prepared, insert_once
from agent.adapters.store import Store
from agent.adapters.store_schema import counters, known, stops
from agent.domain.errors import StatementRefusedError, StoreError

_KEEP = Prepared(known.insert())
_KEEP_ONCE = insert_once(known)
_KNOWN = Prepared(sa.select(known).where(known.c.name == sa.bindparam("wanted")))
_ALL = Prepared(sa.select(known.c.value.label("said"), sa.func.length(known.c.value)).order_by(known.c.name))
_CHANGE = Prepared(known.update().where(known.c.name == sa.bindparam("of")).returning(known.c.value))


def keep(store: Store, **values: str) -> None:
    with store.database.writing() as connection:
        _KEEP.run_many(connection, [{"name": name, "value": value} for name, value in values.items()])


def test_rows_are_read_by_name_and_by_place(store: Store) -> None:
    keep(store, a="one", b="three")
    with store.database.reading() as connection:
        row = _KNOWN.first(connection, {"wanted": "a"})
        assert (row.name, row.value, row[1]) == ("a", "one", "one")
        assert _KNOWN.first(connection, {"wanted": "c"}) is None
        assert [(each.said, each[1]) for each in _ALL.all(connection, {})] == [("one", 3), ("three", 5)]
        assert _KNOWN.scalar(connection, {"wanted": "b"}) == "b"
        assert _KNOWN.scalar(connection, {"wanted": "c"}) is None


def test_what_is_there_already_is_told_and_left_alone(store: Store) -> None:
    with store.database.writing() as connection:
        assert _KEEP_ONCE.first(connection, {"name": "a", "value": "one"}) is not None
        assert _KEEP_ONCE.first(connection, {"name": "a", "value": "two"}) is None
        assert _CHANGE.first(connection, {"of": "a", "value": "three"}).value == "three"
        assert _CHANGE.first(connection, {"of": "b", "value": "three"}) is None


def test_what_the_database_does_not_take_is_a_refusal(store: Store) -> None:
    keep(store, a="one")
    with pytest.raises(StatementRefusedError, match="refused a statement"):
        keep(store, a="two")
    with pytest.raises(StatementRefusedError, match="refused a statement"):
        keep(store, b="two", a="two")
    with store.database.reading() as connection:
        assert len(_ALL.all(connection, {})) == 1


def test_a_table_that_is_gone_may_come_back(store: Store) -> None:
    with store.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE known")
    with pytest.raises(StoreError):
        keep(store, a="one")


@pytest.mark.parametrize(
    ("statement", "values"),
    [(known.insert(), {"name": "a", "value": "b", "valeu": "c"}), (sa.select(known), {"nmae": "a"})],
)
def test_a_value_that_the_statement_does_not_know_is_a_mistake_of_ours(
    statement: sa.Executable, values: dict[str, str], tmp_path: Path, clock: FakeClock
) -> None:
    """On SQLite alone: there it would be lost without a word."""
    sqlite = Store(f"sqlite:///{tmp_path}/mistaken.db", clock)
    with sqlite.database.reading() as connection, pytest.raises(TypeError, match=r"knows no (valeu|nmae)"):
        Prepared(statement).all(connection, values)
    sqlite.close()


def test_numbers_truths_and_nothing_go_in_and_come_out(store: Store) -> None:
    row = {
        "id": "s1",
        "scope": "all",
        "reason": "x",
        "by": "x",
        "at": "x",
        "ends_running": True,
        "lifted_at": None,
    }
    with store.database.writing() as connection:
        Prepared(stops.insert()).run(connection, row)
        Prepared(counters.insert()).run(connection, {"name": "half", "value": 0.5})
    with store.database.reading() as connection:
        stop = Prepared(sa.select(stops)).first(connection, {})
        assert (bool(stop.ends_running), stop.lifted_at) == (True, None)
        assert Prepared(sa.select(counters.c.value)).scalar(connection, {}) == 0.5
