"""What the watchdog asks: only what is late comes back, found by the indexes over what is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import Database, moment, moment_or_none, stamp
from agent.adapters.store_schema import (
    TERMINAL,
    attempts,
    deliveries,
    incidents,
    is_one_of,
    known,
    outbox,
    runs,
    says,
)
from agent.domain.incident import MANUAL_SOURCE, Status
from agent.domain.outbox import Channel, ClearPage
from agent.domain.stuck import Cutoffs, LateAttempt, LateEvents, LateLetter, Standing

_OURS = incidents.c.source != MANUAL_SOURCE
_OPEN = ~is_one_of(incidents.c.status, TERMINAL)
_SINCE = sa.func.coalesce(incidents.c.status_at, incidents.c.started_at, incidents.c.received_at)
_NO_END = incidents.c.waits_until.is_(None)
_MOST = sa.bindparam("most", type_=sa.Integer)
_COLUMNS = (
    incidents.c.id, incidents.c.status, incidents.c.service, incidents.c.received_at,
    incidents.c.started_at, incidents.c.waits_until, _SINCE.label("since"),
)  # fmt: skip
_HAS_NO_RUN: tuple[sa.ColumnElement[Any], ...] = (
    sa.literal_column("0").label("held"),
    sa.literal_column("0").label("wants_turn"),
)
_HAS_A_RUN: tuple[sa.ColumnElement[Any], ...] = (
    sa.literal_column("1").label("held"),
    sa.literal_column("0").label("wants_turn"),
)


def _before(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    return column < sa.bindparam(name, type_=sa.Text)


def _stands(*statuses: Status) -> sa.ColumnElement[bool]:
    return is_one_of(incidents.c.status, [status.value for status in statuses])


#: Each part is found by an index of its own, or among the few that are being carried out.
_NEVER_STARTED = sa.select(*_COLUMNS, *_HAS_NO_RUN).where(
    says(incidents.c.status, Status.RECEIVED.value),
    _before(incidents.c.received_at, "accepted"),
    incidents.c.started_at.is_(None),
    _OURS,
)
_AT_IT_FOR_TOO_LONG = (
    sa.select(*_COLUMNS, *_HAS_A_RUN)
    .join(runs, runs.c.incident_id == incidents.c.id)
    .where(
        runs.c.topic == "",
        _OURS,
        sa.or_(
            _stands(Status.RECEIVED, Status.MATCHED) & _before(_SINCE, "settling"),
            _stands(Status.RUNNING) & _before(_SINCE, "running"),
            _stands(Status.VERIFYING) & _before(incidents.c.waits_until, "holds_until"),
            _stands(Status.VERIFYING) & _NO_END & _before(_SINCE, "asked"),
        ),
    )
)
#: It waits for its source's word, and nobody woke it when the time for that was over.
_AWAITS_A_WORD = (
    sa.select(*_COLUMNS, *_HAS_A_RUN)
    .join(runs, runs.c.incident_id == incidents.c.id)
    .where(
        runs.c.topic != "",
        _OURS,
        says(incidents.c.status, Status.VERIFYING.value),
        _before(incidents.c.waits_until, "holds_until"),
    )
)


def _waiting(*late: sa.ColumnElement[bool]) -> sa.Select[Any]:
    wants_turn = sa.case((runs.c.wants_turn, 1), else_=0).label("wants_turn")
    return (
        sa.select(*_COLUMNS, sa.literal_column("1").label("held"), wants_turn)
        .join(runs, runs.c.incident_id == incidents.c.id)
        .where(says(incidents.c.status, Status.AWAITING_APPROVAL.value), _OURS, *late)
    )


_SUSPECTS: sa.CompoundSelect[Any] = sa.union_all(
    _NEVER_STARTED,
    _AT_IT_FOR_TOO_LONG,
    _AWAITS_A_WORD,
    _waiting(_before(incidents.c.waits_until, "waits_until")),
    _waiting(_NO_END, _before(_SINCE, "asked")),
).limit(_MOST)

_UNHELD = (
    sa.select(*_COLUMNS, *_HAS_NO_RUN)
    .select_from(incidents.outerjoin(runs, runs.c.incident_id == incidents.c.id))
    .where(_OPEN, _OURS, _before(incidents.c.started_at, "before"), runs.c.incident_id.is_(None))
    .limit(_MOST)
)

_AT_WORK = (
    sa.select(incidents.c.id, incidents.c.service)
    .join(runs, runs.c.incident_id == incidents.c.id)
    .where(runs.c.active)
    .order_by(incidents.c.started_at)
)

_LATE_ATTEMPTS = (
    sa.select(attempts)
    .join(incidents, incidents.c.id == attempts.c.incident_id)
    .where(
        attempts.c.ended_at.is_(None),
        attempts.c.holds_until != "",
        _before(attempts.c.holds_until, "before"),
        _OPEN,
        _OURS,
    )
    .limit(_MOST)
)

_LATE_LETTERS = (
    sa.select(outbox.c.id, outbox.c.incident_id, outbox.c.created_at, outbox.c.error)
    .where(
        outbox.c.channel == sa.bindparam("channel", type_=sa.Text),
        says(outbox.c.state, "waiting"),
        ~outbox.c.message.contains(f'"_type":"{ClearPage.__name__}"', autoescape=True),
        _before(outbox.c.created_at, "before"),
    )
    .order_by(outbox.c.id)
    .limit(_MOST)
)

_LATE_CHANNELS = (
    sa.select(outbox.c.channel)
    .where(says(outbox.c.state, "waiting"), _before(outbox.c.created_at, "before"))
    .distinct()
)

_LATE_EVENTS = sa.select(
    sa.func.count().label("unread"), sa.func.min(deliveries.c.received_at).label("oldest")
).where(deliveries.c.handled_at.is_(None), _before(deliveries.c.received_at, "before"))


class StoredWatch:
    """Read models of the watchdog, and the little that it remembers."""

    database: Database

    def suspects(self, cutoffs: Cutoffs, most: int) -> Sequence[Standing]:
        """Incidents that stand where they stand for too long."""
        names = ("accepted", "settling", "waits_until", "asked", "running", "holds_until")
        moments = {name: stamp(getattr(cutoffs, name)) for name in names}
        with self.database.reading() as connection:
            return [_standing(row) for row in connection.execute(_SUSPECTS, moments | {"most": most})]

    def unheld(self, before: datetime, most: int) -> Sequence[Standing]:
        """Incidents started before then that have not ended and have no run; it reads all that are open."""
        values = {"before": stamp(before), "most": most}
        with self.database.reading() as connection:
            return [_standing(row) for row in connection.execute(_UNHELD, values)]

    def at_work(self) -> Sequence[tuple[str, str]]:
        """(incident, service) of those that have a place now, whoever started first at the head of them."""
        with self.database.reading() as connection:
            return [(row.id, row.service) for row in connection.execute(_AT_WORK)]

    def holders(self, incident_ids: Sequence[str]) -> Mapping[str, str]:
        """The executor in whose hands each run is."""
        query = sa.select(runs.c.incident_id, runs.c.executor_id).where(runs.c.incident_id.in_(incident_ids))
        with self.database.reading() as connection:
            return {row.incident_id: row.executor_id for row in connection.execute(query)}

    def late_attempts(self, before: datetime, most: int) -> Sequence[LateAttempt]:
        """Attempts that should have ended before then, and of which nobody wrote down how."""
        values = {"before": stamp(before), "most": most}
        with self.database.reading() as connection:
            return [
                LateAttempt(
                    row.incident_id, row.section, row.step, row.number, row.title, moment(row.holds_until)
                )
                for row in connection.execute(_LATE_ATTEMPTS, values)
            ]

    def late_letters(self, channel: Channel, before: datetime, most: int) -> Sequence[LateLetter]:
        """Letters posted before then that wait, oldest first; not the clearing of pages, it wakes nobody."""
        values = {"channel": channel.value, "before": stamp(before), "most": most}
        with self.database.reading() as connection:
            return [
                LateLetter(row.id, row.incident_id, channel, moment(row.created_at), row.error)
                for row in connection.execute(_LATE_LETTERS, values)
            ]

    def late_channels(self, before: datetime) -> frozenset[Channel]:
        """For which channels there are such letters at all; one look for all of them."""
        with self.database.reading() as connection:
            found = connection.execute(_LATE_CHANNELS, {"before": stamp(before)}).scalars()
            return frozenset(Channel(each) for each in found)

    def late_events(self, before: datetime) -> LateEvents | None:
        """Events that were stored before then and that nobody has looked at."""
        with self.database.reading() as connection:
            row = connection.execute(_LATE_EVENTS, {"before": stamp(before)}).one()
        return LateEvents(row.unread, moment(row.oldest)) if row.unread else None

    def keep_known(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        with self.database.writing() as connection:
            self.database.upsert(connection, known, {"name": name, "value": value})

    def forget_known(self, name: str) -> None:
        """Remember it no longer."""
        with self.database.writing() as connection:
            connection.execute(known.delete().where(known.c.name == name))

    def known(self, prefix: str) -> Mapping[str, str]:
        """What is remembered under names that begin so, without that beginning."""
        query = sa.select(known).where(known.c.name.startswith(prefix, autoescape=True))
        with self.database.reading() as connection:
            return {row.name.removeprefix(prefix): row.value for row in connection.execute(query)}


def _standing(row: Any) -> Standing:
    return Standing(
        incident_id=row.id,
        status=Status(row.status),
        service=row.service,
        received_at=moment(row.received_at),
        since=moment(row.since),
        started_at=moment_or_none(row.started_at),
        waits_until=moment_or_none(row.waits_until),
        is_held=bool(row.held),
        wants_turn=bool(row.wants_turn),
    )
