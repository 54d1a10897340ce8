"""What the console looks up: incidents by words, entries of the audit log, whether anything has changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.adapters.archive_rows import link_of
from agent.adapters.database import Database, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_incidents import WHOLE, event_of_row, incident_of_row
from agent.adapters.store_schema import incidents, is_one_of, timeline
from agent.adapters.store_schema_queue import OPEN, escalations
from agent.domain.incident import Incident, TimelineEvent
from agent.domain.search import AuditAsked, IncidentsAsked

_LAST_SEQ = Prepared(sa.select(sa.func.max(timeline.c.seq).label("seq")))

#: Entries of an export that are read at once.
_EXPORT_PAGE = 1_000


class StoredConsole:
    """Read models of the console; nothing here decides."""

    database: Database

    def last_seq(self) -> int:
        """The number of the last entry: every change of anything adds one."""
        with self.database.reading() as connection:
            row = _LAST_SEQ.first(connection, {})
        return (row.seq if row is not None else None) or 0

    def late_escalations(self, now: datetime) -> int:
        """How many open escalations are over their time."""
        query = (
            sa.select(sa.func.count())
            .select_from(escalations)
            .where(is_one_of(escalations.c.status, OPEN), escalations.c.deadline <= stamp(now))
        )
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def incidents_found(self, asked: IncidentsAsked) -> Sequence[Incident]:
        """Newest first."""
        query = WHOLE.order_by(incidents.c.received_at.desc(), incidents.c.id.desc()).limit(asked.limit)
        with self.database.reading() as connection:
            for each in _incident_conditions(asked, _place_of(connection, asked.after)):
                query = query.where(each)
            return [incident_of_row(row) for row in connection.execute(query)]

    def entries_found(self, asked: AuditAsked) -> Sequence[TimelineEvent]:
        """Entries of the audit log, newest first."""
        query = sa.select(timeline).order_by(timeline.c.seq.desc()).limit(asked.limit)
        with self.database.reading() as connection:
            return [event_of_row(row) for row in connection.execute(query.where(*_conditions(asked)))]

    def links_found(self, asked: AuditAsked) -> Iterator[dict[str, object]]:
        """The same as whole links of the chain, oldest first, read in pages."""
        after = 0
        while True:
            query = (
                sa.select(timeline)
                .where(*_conditions(asked), timeline.c.seq > after)
                .order_by(timeline.c.seq)
                .limit(_EXPORT_PAGE)
            )
            with self.database.reading() as connection:
                page = [link_of(row) for row in connection.execute(query)]
            if not page:
                return
            yield from page
            after = int(str(page[-1]["seq"]))


def _place_of(connection: sa.Connection, incident_id: str) -> tuple[str, str] | None:
    """Where a page goes on; an incident that is gone begins it anew."""
    if not incident_id:
        return None
    query = sa.select(incidents.c.received_at, incidents.c.id).where(incidents.c.id == incident_id)
    row = connection.execute(query).first()
    return (row.received_at, row.id) if row is not None else None


def _incident_conditions(
    asked: IncidentsAsked, after: tuple[str, str] | None
) -> Iterator[sa.ColumnElement[bool]]:
    if asked.status:
        yield incidents.c.status == asked.status
    if asked.runbook:
        yield incidents.c.runbook_id == asked.runbook
    if asked.text:
        columns = (incidents.c.title, incidents.c.service, incidents.c.id, incidents.c.source_id)
        yield sa.or_(*(column.icontains(asked.text, autoescape=True) for column in columns))
    if after is not None:
        yield sa.tuple_(incidents.c.received_at, incidents.c.id) < sa.tuple_(*map(sa.literal, after))


def _conditions(asked: AuditAsked) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    exactly: dict[Any, str] = {timeline.c.kind: asked.kind, timeline.c.incident_id: asked.incident}
    found += [column == value for column, value in exactly.items() if value]
    if asked.actor:
        found.append(timeline.c.actor.icontains(asked.actor, autoescape=True))
    if asked.text:
        found.append(timeline.c.text.icontains(asked.text, autoescape=True))
    if asked.since is not None:
        found.append(timeline.c.at >= stamp(asked.since))
    if asked.until is not None:
        found.append(timeline.c.at < stamp(asked.until))
    if asked.before:
        found.append(timeline.c.seq < asked.before)
    return found
