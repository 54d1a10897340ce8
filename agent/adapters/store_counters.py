"""Totals that outlive the process: what Prometheus is shown of them goes on after a restart."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from agent.adapters.database import Database
from agent.adapters.store_schema import counters


class StoredCounters:
    """Implements ports.CounterStore."""

    database: Database

    def count(self, amounts: Mapping[str, float]) -> None:
        """Add to totals, each by its name."""
        rows = [{"name": name, "value": amount} for name, amount in sorted(amounts.items())]
        if not rows:
            return
        dialect = sqlite if self.database.is_sqlite else postgresql
        insert = dialect.insert(counters)
        more = {"value": counters.c.value + insert.excluded.value}
        with self.database.writing() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=more), rows)

    def counts(self, prefix: str) -> Mapping[str, float]:
        """The totals whose names begin so, without that beginning."""
        query = sa.select(counters).where(counters.c.name.startswith(prefix, autoescape=True))
        with self.database.reading() as connection:
            return {row.name.removeprefix(prefix): row.value for row in connection.execute(query)}
