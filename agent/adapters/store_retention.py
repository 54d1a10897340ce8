"""What may leave the database, and leaving it: bounded transactions, and only what is in an archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.adapters import archive_rows
from agent.adapters.audit_chain import ARCHIVES, Gap
from agent.adapters.database import moment, stamp
from agent.adapters.store import Store
from agent.adapters.store_history import IS_RUN
from agent.adapters.store_schema import (
    archives,
    deliveries,
    incidents,
    known,
    outbox,
    own_writes,
    timeline,
)
from agent.adapters.store_schema_queue import OPEN, escalations
from agent.adapters.store_schema_tickets import RESTORED
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import Channel

_TERMINAL = [status.value for status in Status if status.is_terminal]

#: Candidates looked at together.
_PAGE = 1_000


#: Up to which ended incident the delivered chat letters are gone.
_LETTERS_GONE = "chat_letters_gone_until"

#: More letters than these are not written between a backup and its restore.
_LOST_LETTERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Until when something must have ended to leave; None: it never leaves."""

    ended_before: datetime
    escalated_before: datetime | None
    runs_kept: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An incident that may leave, or a settled escalation that has none."""

    id: str
    ended_at: datetime
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive as the table lists it; `deleted` once nothing of it is left in the database."""

    id: int
    file: str
    sha256: str
    incidents: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class NewArchive:
    """What is said about an archive in the chain."""

    file: str
    sha256: str
    incidents: int
    entries: int
    ended_before: datetime
    gaps: Sequence[Gap]
    escalations: int = 0


class StoredRetention:
    """The store's side of retention."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database

    def archivable(self, limits: Limits) -> Iterator[Ended]:
        """What may leave: incidents, then escalations without one, of each those first that ended first."""
        yield from self._over(limits)
        yield from self._settled(limits)

    def _over(self, limits: Limits) -> Iterator[Ended]:
        kept = _LastRuns(limits.runs_kept)
        place = ("", "")
        while rows := self._page(limits, place):
            with self._database.reading() as connection:
                leaving = [row for row in rows if not kept.holds(connection, row)]
            yield from (Ended(row.id, moment(row.ended_at)) for row in leaving)
            place = (rows[-1].ended_at, rows[-1].id)

    def _page(self, limits: Limits, place: tuple[str, str]) -> Sequence[Any]:
        query = _ended_behind(*place).where(
            incidents.c.ended_at < stamp(limits.ended_before), _is_over(limits)
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(_PAGE)).all()

    def _settled(self, limits: Limits) -> Iterator[Ended]:
        order = (escalations.c.settled_at, escalations.c.incident_id)
        query = sa.select(*order).where(_is_settled(limits)).order_by(*order).limit(_PAGE)
        place = ("", "")
        while True:
            behind = sa.tuple_(*order) > sa.tuple_(*map(sa.literal, place))
            with self._database.reading() as connection:
                rows = connection.execute(query.where(behind)).all()
            yield from (Ended(row.incident_id, moment(row.settled_at), is_alone=True) for row in rows)
            if len(rows) < _PAGE:
                return
            place = (rows[-1].settled_at, rows[-1].incident_id)

    def lines(self, ids: Sequence[str]) -> list[archive_rows.Line]:
        """Everything about these incidents and escalations."""
        with self._database.reading() as connection:
            return list(archive_rows.bundles(connection, ids))

    def revision_line(self, revision: str) -> archive_rows.Line | None:
        """The runbook of this revision."""
        with self._database.reading() as connection:
            return archive_rows.revision_line(connection, revision)

    def register(self, new: NewArchive) -> int:
        """List the archive, and say in the chain what it takes out; from here on its rows may be deleted."""
        now = stamp(self._store.clock.now())
        row = {
            "file": new.file,
            "sha256": new.sha256,
            "incidents": new.incidents,
            "ended_before": stamp(new.ended_before),
            "at": now,
        }
        with self._database.chaining() as connection:
            added = connection.execute(archives.insert().values(**row).returning(archives.c.id)).scalar_one()
            self._store.append(connection, ARCHIVES, _entry(new, int(added)))
        return int(added)

    def archives(self, *, unfinished: bool = False) -> Sequence[Archive]:
        """The archives, oldest first."""
        query = sa.select(archives).order_by(archives.c.id)
        if unfinished:
            query = query.where(archives.c.deleted_at.is_(None))
        with self._database.reading() as connection:
            return [
                Archive(row.id, row.file, row.sha256, row.incidents, row.deleted_at is not None)
                for row in connection.execute(query)
            ]

    def finished(self, archive_id: int) -> None:
        """Nothing of it is left in the database, or it will be archived anew."""
        with self._database.writing() as connection:
            connection.execute(
                archives.update()
                .where(archives.c.id == archive_id)
                .values(deleted_at=stamp(self._store.clock.now()))
            )

    def lose(self, archive: Archive, why: str) -> None:
        """Say that an archive cannot be used: what is left of it in the database is archived anew."""
        text = f"⚠️ The archive {archive.file} {why}; what is still in the database of it is archived anew"
        with self._database.chaining() as connection:
            entry = Entry(f"lost-{archive.id}", EventKind.SYSTEM, text, {"file": archive.file})
            self._store.append(connection, ARCHIVES, entry)

    def delete(self, counts: Mapping[str, Mapping[str, int]], limits: Limits) -> Sequence[str]:
        """Delete what is archived and did not change since; which. One transaction."""
        with self._database.writing() as connection:
            ids = self._unchanged(connection, counts, limits)
            if not ids:
                return ids
            sources = sa.select(incidents.c.source_id).where(incidents.c.id.in_(ids))
            connection.execute(own_writes.delete().where(own_writes.c.source_id.in_(sources)))
            for table in (timeline, *archive_rows.BELONGING):
                connection.execute(table.delete().where(table.c.incident_id.in_(ids)))
            connection.execute(incidents.delete().where(incidents.c.id.in_(ids)))
        return ids

    def _unchanged(
        self, connection: sa.Connection, counts: Mapping[str, Mapping[str, int]], limits: Limits
    ) -> list[str]:
        asked = list(counts)
        over = sa.select(incidents.c.id).where(incidents.c.id.in_(asked), _is_over(limits))
        settled = sa.select(escalations.c.incident_id).where(
            escalations.c.incident_id.in_(asked), _is_settled(limits)
        )
        ids = [*connection.execute(over).scalars(), *connection.execute(settled).scalars()]
        now: dict[str, dict[str, int]] = {incident_id: {} for incident_id in ids}
        for table in (timeline, *archive_rows.BELONGING):
            found = sa.select(table.c.incident_id, sa.func.count()).where(table.c.incident_id.in_(ids))
            for incident_id, count in connection.execute(found.group_by(table.c.incident_id)):
                now[incident_id][table.name] = count
        return [each for each in ids if now[each] == {k: n for k, n in counts[each].items() if n}]

    def drop_bodies(self, before: datetime, *, limit: int) -> int:
        """Empty the bodies of webhooks that were dealt with before then; how many. One transaction."""
        query = (
            sa.select(deliveries.c.id)
            .where(deliveries.c.handled_at < stamp(before), deliveries.c.raw != sa.literal_column("''"))
            .order_by(deliveries.c.handled_at)
            .limit(limit)
        )
        with self._database.reading() as connection:
            ids = [row.id for row in connection.execute(query)]
        if ids:
            with self._database.writing() as connection:
                connection.execute(deliveries.update().where(deliveries.c.id.in_(ids)).values(raw=""))
        return len(ids)

    def drop_letters(self, before: datetime, *, limit: int) -> int:
        """Delete delivered chat letters of some incidents that ended before then; how many incidents.

        What they said stands in the timeline. How far one came is kept, so that nobody looks at all of them.
        """
        with self._database.reading() as connection:
            place = connection.execute(sa.select(known.c.value).where(known.c.name == _LETTERS_GONE)).scalar()
            ended_at, _, incident_id = (place or " ").partition(" ")
            query = _ended_behind(ended_at, incident_id).where(incidents.c.ended_at < stamp(before))
            rows = connection.execute(query.limit(limit)).all()
        if not rows:
            return 0
        told = outbox.delete().where(
            outbox.c.incident_id.in_([row.id for row in rows]),
            outbox.c.channel == Channel.CHAT.value,
            outbox.c.state == "sent",
        )
        with self._database.writing() as connection:
            connection.execute(told)
            value = f"{rows[-1].ended_at} {rows[-1].id}"
            self._database.upsert(connection, known, {"name": _LETTERS_GONE, "value": value})
        return len(rows)

    def drop_strays(self, before: datetime, *, limit: int) -> int:
        """Delete webhooks that belong to no incident and were dealt with before then; how many."""
        query = (
            sa.select(deliveries.c.id)
            .where(deliveries.c.incident_id.is_(None), deliveries.c.handled_at < stamp(before))
            .limit(limit)
        )
        with self._database.reading() as connection:
            ids = [row.id for row in connection.execute(query)]
        if ids:
            with self._database.writing() as connection:
                connection.execute(deliveries.delete().where(deliveries.c.id.in_(ids)))
        return len(ids)

    def doubt_letters(self) -> None:
        """After a restore: what waits may have been delivered meanwhile, and is looked up before it is said.

        Letters of the lost time had numbers too; those of the time to come get others.
        """
        with self._database.writing() as connection:
            connection.execute(
                outbox.update().where(outbox.c.state == "waiting", outbox.c.tries == 0).values(tries=1)
            )
            now = stamp(self._store.clock.now())
            self._database.upsert(connection, known, {"name": RESTORED, "value": now})
            last = connection.execute(sa.select(sa.func.max(outbox.c.id))).scalar() or 0
            self._number_letters_from(connection, last + _LOST_LETTERS)

    def _number_letters_from(self, connection: sa.Connection, number: int) -> None:
        if not self._database.is_sqlite:
            sequence = sa.func.pg_get_serial_sequence("outbox", "id")
            connection.execute(sa.select(sa.func.setval(sequence, number)))
            return
        now = stamp(self._store.clock.now())
        nobody = {"channel": "", "incident_id": "", "message": "", "state": "none"}
        row = {"id": number, "created_at": now, "due_at": now, **nobody}
        connection.execute(outbox.insert().values(**row))


class _LastRuns:
    """The last runs of each runbook: the guard against incomplete runbooks asks for them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._of_runbook: dict[str, frozenset[str]] = {}

    def holds(self, connection: sa.Connection, row: Any) -> bool:
        """Whether the incident is one of them."""
        if not row.runbook_id:
            return False
        if row.runbook_id not in self._of_runbook:
            self._of_runbook[row.runbook_id] = self._look_up(connection, row.runbook_id)
        return row.id in self._of_runbook[row.runbook_id]

    def _look_up(self, connection: sa.Connection, runbook_id: str) -> frozenset[str]:
        runs = (
            sa.select(incidents.c.id, incidents.c.runbook_revision)
            .where(incidents.c.runbook_id == runbook_id, IS_RUN)
            .order_by(incidents.c.ended_at.desc())
            .limit(self._count)
        )
        found = connection.execute(runs).all()
        return frozenset(row.id for row in found if row.runbook_revision == found[0].runbook_revision)


def _ended_behind(ended_at: str, incident_id: str) -> sa.Select[Any]:
    """Ended incidents behind this place, those first that ended first."""
    behind = sa.or_(
        incidents.c.ended_at > ended_at,
        sa.and_(incidents.c.ended_at == ended_at, incidents.c.id > incident_id),
    )
    columns = (incidents.c.id, incidents.c.ended_at, incidents.c.runbook_id)
    # said twice: an index serves the first
    in_order = sa.select(*columns).where(incidents.c.ended_at >= ended_at, behind)
    return in_order.order_by(incidents.c.ended_at, incidents.c.id)


def _is_over(limits: Limits) -> sa.ColumnElement[bool]:
    """Ended, told everywhere, and nobody is still to look at it."""
    waits = sa.select(outbox.c.id).where(outbox.c.incident_id == incidents.c.id, outbox.c.state == "waiting")
    unread = sa.select(deliveries.c.id).where(
        deliveries.c.incident_id == incidents.c.id, deliveries.c.handled_at.is_(None)
    )
    open_one = sa.select(escalations.c.incident_id).where(
        escalations.c.incident_id == incidents.c.id, escalations.c.status.in_(OPEN)
    )
    first = incidents.alias("first")
    goes_with = sa.select(first.c.id).where(
        first.c.id == incidents.c.folded_into, first.c.status.not_in(_TERMINAL)
    )
    if limits.escalated_before is not None:
        open_one = open_one.where(escalations.c.created_at >= stamp(limits.escalated_before))
    held = (waits, unread, open_one, goes_with)
    return sa.and_(incidents.c.status.in_(_TERMINAL), *(~each.exists() for each in held))


def _is_settled(limits: Limits) -> sa.ColumnElement[bool]:
    """An escalation that somebody settled, that has no incident, and whose letters are all delivered."""
    story = escalations.c.incident_id
    waits = sa.select(outbox.c.id).where(outbox.c.incident_id == story, outbox.c.state == "waiting")
    goes_with = sa.select(incidents.c.id).where(incidents.c.id == story)
    settled = escalations.c.settled_at < stamp(limits.ended_before)
    return sa.and_(settled, escalations.c.status.not_in(OPEN), ~waits.exists(), ~goes_with.exists())


def _entry(new: NewArchive, number: int) -> Entry:
    before = f"{new.ended_before:%Y-%m-%d}"
    counted = {"incidents": new.incidents, "escalations": new.escalations}
    what = " and ".join(f"{count} {name}" for name, count in counted.items() if count)
    return Entry(
        f"archive-{number}",
        EventKind.SYSTEM,
        f"🗄️ {what} that ended before {before} are in the archive {new.file}",
        {
            "file": new.file,
            "sha256": new.sha256,
            **counted,
            "entries": new.entries,
            "gaps": [[gap.first, gap.last, gap.prev, gap.hash] for gap in new.gaps],
        },
    )
