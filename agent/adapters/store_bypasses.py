"""Open emergency bypasses as rows: written before the change is sent, deleted when it is told as over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import moment, stamp
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_schema_bypasses import keeptrusts_bypasses as rows
from agent.domain.bypasses import Bypass
from agent.domain.incident import Entry
from agent.domain.outbox import Message

#: Less is how clocks are set every day.
_CLOCK_STEP = timedelta(minutes=1)


class StoredBypasses(StoredIncidents):
    """Implements ports.bypasses.BypassBook."""

    def open_bypass(self, bypass: Bypass, entry: Entry) -> bool:
        """Write it down before it is sent; False if the configuration has one already."""
        with self.database.chaining() as connection:
            there = sa.select(rows.c.configuration).where(rows.c.configuration == bypass.configuration)
            if connection.execute(there).first() is not None:
                return False
            connection.execute(rows.insert().values(**_row(bypass)))
            self.append(connection, bypass.incident_id, entry)
            return True

    def bypass_of(self, configuration: str) -> Bypass | None:
        """The one that is open."""
        return next(iter(self._read(sa.select(rows).where(rows.c.configuration == configuration))), None)

    def bypasses(self) -> Sequence[Bypass]:
        """All that are open, the next to end first."""
        return self._read(sa.select(rows).order_by(rows.c.ends_at, rows.c.configuration))

    def bypasses_due(self, now: datetime, most: int) -> Sequence[Bypass]:
        """Those whose end, or whose next try of it, is due; or the clock was set back to before they began.

        When they should end nobody can tell then: now is better than far too late.
        """
        is_due = sa.or_(rows.c.next_at <= stamp(now), rows.c.begun_at > stamp(now + _CLOCK_STEP))
        return self._read(sa.select(rows).where(is_due).order_by(rows.c.next_at).limit(most))

    def bypass_failed(
        self, before: Bypass, after: Bypass, entry: Entry, messages: Sequence[Message] = ()
    ) -> bool:
        """It could not be ended and is tried again; False if it is not as it was read any more."""
        with self.database.chaining() as connection:
            changed = connection.execute(
                rows.update()
                .where(*_as_read(before))
                .values(next_at=stamp(after.next_at), failures=after.failures)
                .returning(rows.c.configuration)
            ).first()
            return changed is not None and self._told(connection, before, entry, messages)

    def bypass_ended(self, bypass: Bypass, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """It is over, told in the same transaction; False if somebody told so before."""
        with self.database.chaining() as connection:
            gone = connection.execute(
                rows.delete()
                .where(
                    rows.c.configuration == bypass.configuration, rows.c.begun_at == stamp(bypass.begun_at)
                )
                .returning(rows.c.configuration)
            ).first()
            return gone is not None and self._told(connection, bypass, entry, messages)

    def _told(
        self, connection: sa.Connection, bypass: Bypass, entry: Entry, messages: Sequence[Message]
    ) -> bool:
        self.append(connection, bypass.incident_id, entry)
        self.post(connection, bypass.incident_id, messages)
        return True

    def _read(self, query: sa.Select[Any]) -> Sequence[Bypass]:
        with self.database.reading() as connection:
            return [_bypass(row) for row in connection.execute(query)]


def _as_read(bypass: Bypass) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        rows.c.configuration == bypass.configuration,
        rows.c.begun_at == stamp(bypass.begun_at),
        rows.c.failures == bypass.failures,
    )


def _row(bypass: Bypass) -> dict[str, Any]:
    return {
        "configuration": bypass.configuration,
        "incident": bypass.incident_id,
        "before": bypass.before,
        "during": bypass.during,
        "begun_at": stamp(bypass.begun_at),
        "ends_at": stamp(bypass.ends_at),
        "next_at": stamp(bypass.next_at),
        "failures": bypass.failures,
    }


def _bypass(row: Any) -> Bypass:
    return Bypass(
        configuration=row.configuration,
        incident_id=row.incident,
        before=row.before,
        during=row.during,
        begun_at=moment(row.begun_at),
        ends_at=moment(row.ends_at),
        next_at=moment(row.next_at),
        failures=row.failures,
    )
