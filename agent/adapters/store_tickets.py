"""Tickets as rows: the intent is written before one is asked for, so that no crash makes a second one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import moment_or_none, stamp
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_schema import known
from agent.adapters.store_schema_tickets import RESTORED, tickets
from agent.domain.incident import Entry
from agent.domain.outbox import Message
from agent.domain.tickets import Ticket, TicketRef, TicketState, mark_of


class StoredTickets(StoredIncidents):
    """Implements ports.TicketStore."""

    def ticket(self, key: str) -> Ticket | None:
        """The ticket of this key, if one was ever asked for."""
        return self._first_ticket(tickets.c.key == key)

    def ticket_there(self, ref_id: str, marks: Sequence[str] = ()) -> Ticket | None:
        """The one that the tracker knows by this id, or one that carries a mark and has no id yet."""
        found = self._first_ticket(tickets.c.ref == ref_id) if ref_id else None
        if found is not None or not marks:
            return found
        return self._first_ticket(sa.and_(tickets.c.mark.in_(list(marks)), tickets.c.ref == ""))

    def tickets_of(self, story: str) -> Sequence[Ticket]:
        """Those that this story tells of, oldest first."""
        query = sa.select(tickets).where(tickets.c.incident_id == story).order_by(tickets.c.begun_at)
        with self.database.reading() as connection:
            return [_ticket(row) for row in connection.execute(query)]

    def tickets_may_be_forgotten(self) -> bool:
        """Whether the database was restored once: tickets may stand there that it does not know."""
        query = sa.select(known.c.name).where(known.c.name == RESTORED)
        with self.database.reading() as connection:
            return connection.execute(query).first() is not None

    def ticket_begun(self, key: str, story: str) -> Ticket:
        """Written down before it is asked for; until its end is known there is a doubt."""
        now = stamp(self.clock.now())
        row = {
            "key": key,
            "incident_id": story,
            "mark": mark_of(key),
            "state": TicketState.BEGUN.value,
            "begun_at": now,
            "tried_at": now,
        }
        with self.database.writing() as connection:
            if not self.database.insert_once(connection, tickets, row):
                self._set(connection, key, tried_at=now)
            found = connection.execute(sa.select(tickets).where(tickets.c.key == key)).one()
        return _ticket(found)

    def ticket_not_opened(self, key: str) -> None:
        """It surely was not: the next try needs no look first."""
        with self.database.writing() as connection:
            self._set(connection, key, tried_at=None)

    def ticket_opened(self, key: str, ref: TicketRef, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """It stands there, told in the same transaction; False if that was known before."""
        opened = {
            "state": TicketState.OPEN.value,
            "ref": ref.id,
            "name": ref.name,
            "opened_at": stamp(self.clock.now()),
            "tried_at": None,
        }
        return self._moved(key, TicketState.BEGUN, opened, entry, messages)

    def ticket_closed(self, key: str, by: str, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """It has ended, told in the same transaction; False if that was known before."""
        closed = {"state": TicketState.CLOSED.value, "closed_at": stamp(self.clock.now()), "closed_by": by}
        return self._moved(key, TicketState.OPEN, closed, entry, messages)

    def ticket_reopened(self, key: str, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """Somebody opened it again, told in the same transaction; False if it was open."""
        opened = {"state": TicketState.OPEN.value, "closed_at": None, "closed_by": ""}
        return self._moved(key, TicketState.CLOSED, opened, entry, messages)

    def _moved(
        self,
        key: str,
        before: TicketState,
        values: dict[str, Any],
        entry: Entry,
        messages: Sequence[Message],
    ) -> bool:
        change = (
            tickets.update()
            .where(tickets.c.key == key, tickets.c.state == before.value)
            .values(**values)
            .returning(tickets.c.incident_id)
        )
        with self.database.chaining() as connection:
            story = connection.execute(change).scalar()
            if story is None:
                return False
            self.append(connection, story, entry)
            self.post(connection, story, messages)
        return True

    def _set(self, connection: sa.Connection, key: str, **values: str | None) -> None:
        connection.execute(tickets.update().where(tickets.c.key == key).values(**values))

    def _first_ticket(self, condition: sa.ColumnElement[bool]) -> Ticket | None:
        query = sa.select(tickets).where(condition).order_by(tickets.c.begun_at).limit(1)
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _ticket(row)


def _ticket(row: Any) -> Ticket:
    return Ticket(
        key=row.key,
        story=row.incident_id,
        mark=row.mark,
        state=TicketState(row.state),
        ref=TicketRef(row.ref, row.name) if row.ref else None,
        tried_at=moment_or_none(row.tried_at),
        closed_by=row.closed_by,
    )
