"""Letters that wait for a sender, and what was learned while sending them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import Database, moment, stamp
from agent.adapters.leading import still_leads
from agent.adapters.prepared import Prepared
from agent.adapters.store_schema import outbox, own_writes, says, threads
from agent.domain.outbox import Channel, Letter, Message
from agent.ports import Clock

_WAITS = says(outbox.c.state, "waiting")
_NOW = sa.bindparam("now", type_=sa.Text)


def _is_due(letters: sa.FromClause) -> sa.ColumnElement[bool]:
    """Its time has come, or the clock stands before the moment it was postponed at: it was set back."""
    return sa.or_(letters.c.due_at <= _NOW, letters.c.postponed_at > _NOW)


_EARLIER = outbox.alias("earlier")
_HELD_UP = (
    sa.select(_EARLIER.c.id)
    .where(
        _EARLIER.c.channel == outbox.c.channel,
        _EARLIER.c.incident_id == outbox.c.incident_id,
        says(_EARLIER.c.state, "waiting"),
        ~says(_EARLIER.c.due_at, ""),  # never postponed: found by this alone that there is none
        _EARLIER.c.id < outbox.c.id,
        ~_is_due(_EARLIER),
    )
    .exists()
)
_NEXT = Prepared(
    sa.select(outbox)
    .where(outbox.c.channel == sa.bindparam("channel"), _WAITS, _is_due(outbox), ~_HELD_UP)
    .order_by(outbox.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_UPDATE = outbox.update().where(outbox.c.id == sa.bindparam("letter"))
_CHANGE = Prepared(_UPDATE)
_TRY = Prepared(_UPDATE.values(tries=outbox.c.tries + 1))
_THREAD = Prepared(sa.select(threads.c.ref).where(threads.c.incident_id == sa.bindparam("incident")))
_END_WRITE = Prepared(
    own_writes.update().where(
        own_writes.c.source_id == sa.bindparam("at_source"), own_writes.c.action == sa.bindparam("done")
    )
)


class StoredOutbox:
    """Implements ports.OutboxStore."""

    database: Database
    clock: Clock

    def next_letters(self, channel: Channel, limit: int) -> Sequence[Letter]:
        """Due letters in order; none of an incident whose earlier letter is postponed."""
        wanted = {"channel": channel.value, "now": stamp(self.clock.now()), "most": limit}
        with self.database.reading() as connection:
            return [_letter(row) for row in _NEXT.all(connection, wanted)]

    def begin_delivery(self, letter_ids: Sequence[int]) -> None:
        """Count a try, before anything is sent; StoreError if another process may be sending now."""
        still_leads()
        self._update(_TRY, letter_ids)

    def delivered(self, letter_ids: Sequence[int]) -> None:
        """They arrived."""
        self._update(_CHANGE, letter_ids, state="sent", sent_at=stamp(self.clock.now()), error="")

    def postpone(self, letter_ids: Sequence[int], *, delay_s: float, error: str) -> None:
        """Try again later."""
        now = self.clock.now()
        due = stamp(now + timedelta(seconds=delay_s))
        self._update(_CHANGE, letter_ids, due_at=due, postponed_at=stamp(now), error=error)

    def put_last(self, letter_id: int) -> None:
        """Let those behind it of its incident go first, if there are any; it is tried again like before."""
        same = ("channel", "incident_id", "message", "created_at", "due_at", "tries", "error", "postponed_at")
        copied = sa.select(*(outbox.c[name] for name in same)).where(outbox.c.id == letter_id)
        this, behind = outbox.alias("this"), outbox.alias("behind")
        waits_behind = sa.select(behind.c.id).where(
            this.c.id == letter_id,
            behind.c.channel == this.c.channel,
            behind.c.incident_id == this.c.incident_id,
            behind.c.state == "waiting",
            behind.c.id > letter_id,
        )
        with self.database.writing() as connection:
            if connection.execute(waits_behind.limit(1)).first() is None:
                return
            connection.execute(outbox.insert().from_select(same, copied, include_defaults=False))
            connection.execute(outbox.update().where(outbox.c.id == letter_id).values(state="moved"))

    def undeliverable(self, letter_ids: Sequence[int], *, error: str) -> None:
        """The vendor will never take them; kept for the operator."""
        self._update(_CHANGE, letter_ids, state="undeliverable", error=error)

    def thread_ref(self, incident_id: str) -> str | None:
        """The root message of the incident's thread, once it is posted."""
        with self.database.reading() as connection:
            ref: str | None = _THREAD.scalar(connection, {"incident": incident_id})
        return ref

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
            ended = {"ended_at": stamp(self.clock.now()), "actor_id": actor_id}
            _END_WRITE.run(connection, {"at_source": source_id, "done": action, **ended})

    def _update(self, change: Prepared, letter_ids: Sequence[int], **values: str) -> None:
        if letter_ids:
            with self.database.writing() as connection:
                change.run_many(connection, [{"letter": each, **values} for each in letter_ids])


def _letter(row: Any) -> Letter:
    return Letter(
        id=row.id,
        incident_id=row.incident_id,
        channel=Channel(row.channel),
        message=codec.load(row.message, Message),
        created_at=moment(row.created_at),
        tries=row.tries,
    )
