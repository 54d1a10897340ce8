"""Escalations of Keeptrusts in the order in which they should have come, whatever order they came in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import stamp
from agent.adapters.json_view import clean
from agent.adapters.store_queue import StoredQueue
from agent.adapters.store_queue_rows import row_of, settled
from agent.adapters.store_schema_keeptrusts import keeptrusts_early
from agent.adapters.store_schema_queue import escalations
from agent.domain.incident import Entry
from agent.domain.keeptrusts import KeeptrustsResolution, item_id
from agent.domain.outbox import Message
from agent.domain.queue import Escalated

#: How long it is believed that what is over may still be told to be there.
_KEPT = timedelta(days=30)


class StoredKeeptrusts(StoredQueue):
    """Implements ports.KeeptrustsStore."""

    def keeptrusts_early(self, escalation_id: str) -> KeeptrustsResolution | None:
        """How one ended that was never told to be there; None if none is known to be over."""
        query = sa.select(keeptrusts_early).where(keeptrusts_early.c.escalation_id == clean(escalation_id))
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else KeeptrustsResolution(escalation_id, row.resolution, row.notes, row.by)

    def keeptrusts_over_early(self, over: KeeptrustsResolution, entry: Entry) -> bool:
        """Remember that it is over; False, and nothing is done, if it is in the queue or remembered."""
        now = self.clock.now()
        story = item_id(over.escalation_id)
        row = {
            "escalation_id": clean(over.escalation_id),
            "resolution": clean(over.resolution),
            "notes": clean(over.notes),
            "by": clean(over.by),
            "at": stamp(now),
        }
        with self.database.chaining() as connection:
            if _is_there(connection, story) or not self.database.insert_once(
                connection, keeptrusts_early, row
            ):
                return False
            connection.execute(keeptrusts_early.delete().where(keeptrusts_early.c.at < stamp(now - _KEPT)))
            self.append(connection, story, entry)
            return True

    def keeptrusts_add(
        self,
        item: Escalated,
        entries: Sequence[Entry],
        messages: Sequence[Message],
        *,
        escalation_id: str,
        is_over: bool,
    ) -> bool:
        """Put it into the queue; False, and nothing is done, if it is there or not over as it was thought."""
        early = keeptrusts_early.c.escalation_id == clean(escalation_id)
        with self.database.chaining() as connection:
            was_over = connection.execute(sa.select(keeptrusts_early).where(early)).first() is not None
            if was_over is not is_over:
                return False
            row: dict[str, Any] = row_of(item) | settled(item, self.clock.now())
            if not self.database.insert_once(connection, escalations, row):
                return False
            connection.execute(keeptrusts_early.delete().where(early))
            for entry in entries:
                self.append(connection, item.story, entry)
            self.post(connection, item.story, messages)
            return True


def _is_there(connection: sa.Connection, story: str) -> bool:
    query = sa.select(escalations.c.incident_id).where(escalations.c.incident_id == story)
    return connection.execute(query).first() is not None
