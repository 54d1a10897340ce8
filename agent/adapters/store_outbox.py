"""Letters that wait for a sender, and what was learned while sending them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import Database, moment, stamp
from agent.adapters.store_schema import outbox, own_writes, threads
from agent.domain.outbox import Channel, Letter, Message
from agent.ports import Clock


class StoredOutbox:
    """Implements ports.OutboxStore."""

    database: Database
    clock: Clock

    def next_letters(self, channel: Channel, limit: int) -> Sequence[Letter]:
        """Due letters in order; none of an incident whose earlier letter is postponed."""
        earlier = outbox.alias("earlier")
        now = stamp(self.clock.now())
        held_up = (
            sa.select(earlier.c.id)
            .where(
                earlier.c.channel == outbox.c.channel,
                earlier.c.incident_id == outbox.c.incident_id,
                earlier.c.state == "waiting",
                earlier.c.id < outbox.c.id,
                earlier.c.due_at > now,
            )
            .exists()
        )
        query = (
            sa.select(outbox)
            .where(
                outbox.c.channel == channel.value,
                outbox.c.state == "waiting",
                outbox.c.due_at <= now,
                ~held_up,
            )
            .order_by(outbox.c.id)
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [_letter(row) for row in connection.execute(query)]

    def begin_delivery(self, letter_ids: Sequence[int]) -> None:
        """Count a try, before anything is sent."""
        self._update(letter_ids, {"tries": outbox.c.tries + 1})

    def delivered(self, letter_ids: Sequence[int]) -> None:
        """They arrived."""
        self._update(letter_ids, {"state": "sent", "sent_at": stamp(self.clock.now()), "error": ""})

    def postpone(self, letter_ids: Sequence[int], *, delay_s: float, error: str) -> None:
        """Try again later."""
        due = stamp(self.clock.now() + timedelta(seconds=delay_s))
        self._update(letter_ids, {"due_at": due, "error": error})

    def undeliverable(self, letter_ids: Sequence[int], *, error: str) -> None:
        """The vendor will never take them; kept for the operator."""
        self._update(letter_ids, {"state": "undeliverable", "error": error})

    def thread_ref(self, incident_id: str) -> str | None:
        """The root message of the incident's thread, once it is posted."""
        with self.database.reading() as connection:
            return connection.execute(
                sa.select(threads.c.ref).where(threads.c.incident_id == incident_id)
            ).scalar()

    def keep_thread_ref(self, incident_id: str, ref: str) -> None:
        """Remember the root message."""
        with self.database.writing() as connection:
            self.database.upsert(connection, threads, {"incident_id": incident_id, "ref": ref})

    def forget_thread_ref(self, incident_id: str) -> None:
        """Its root message is gone: a new one will be posted."""
        with self.database.writing() as connection:
            connection.execute(threads.delete().where(threads.c.incident_id == incident_id))

    def begin_own_write(self, source_id: str, action: str) -> None:
        """Remember, before it is sent, that we change something at the source."""
        row = {"source_id": source_id, "action": action, "begun_at": stamp(self.clock.now())}
        with self.database.writing() as connection:
            self.database.upsert(connection, own_writes, row | {"ended_at": None, "actor_id": ""})

    def end_own_write(self, source_id: str, action: str, actor_id: str) -> None:
        """The change was made, counted for this user."""
        with self.database.writing() as connection:
            connection.execute(
                own_writes.update()
                .where(own_writes.c.source_id == source_id, own_writes.c.action == action)
                .values(ended_at=stamp(self.clock.now()), actor_id=actor_id)
            )

    def _update(self, letter_ids: Sequence[int], values: dict[str, Any]) -> None:
        with self.database.writing() as connection:
            connection.execute(outbox.update().where(outbox.c.id.in_(letter_ids)).values(**values))


def _letter(row: Any) -> Letter:
    return Letter(
        id=row.id,
        incident_id=row.incident_id,
        channel=Channel(row.channel),
        message=codec.load(row.message, Message),
        created_at=moment(row.created_at),
        tries=row.tries,
    )
