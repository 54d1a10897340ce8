"""Webhooks, stored before they are answered."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import Database, moment, moment_or_none, stamp
from agent.adapters.packing import pack
from agent.adapters.prepared import Prepared, insert_once
from agent.adapters.store_folds import StoredFolds
from agent.adapters.store_openings import alerts_of_their_own, is_any_known, store_openings
from agent.adapters.store_schema import (
    TERMINAL,
    deliveries,
    incidents,
    is_one_of,
    known,
    outbox,
    own_writes,
    says,
)
from agent.adapters.store_schema_queue import OPEN, escalations
from agent.domain.alert import Alert
from agent.domain.incident import ASKED_PREFIX, ASKED_SOURCE, MANUAL_SOURCE, Status
from agent.domain.records import OwnWrite
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent
from agent.ports import Clock

#: No summary of ours is longer (PagerDuty Events API v2).
_SUMMARY_MAX = 1_024

_OPENED, _NOTHING = "opened the incident", "nothing to do"

#: Other replicas open incidents too, and runs are started: a count is good for so long.
_COUNTED_FOR_S, _FULL_FOR_S = 1.0, 0.1

_DELIVERY = sa.bindparam("delivery", type_=sa.Text)
_AT_SOURCE = sa.and_(
    incidents.c.source == sa.bindparam("at_source"), incidents.c.source_id == sa.bindparam("source_id")
)
_MOST = sa.bindparam("most", type_=sa.Integer)
_INCIDENT = sa.select(incidents.c.id).where(_AT_SOURCE)
_KNOWN = Prepared(_INCIDENT)
_SEEN = Prepared(
    sa.select(
        sa.select(deliveries.c.id).where(deliveries.c.id == _DELIVERY).scalar_subquery().label("delivery"),
        _INCIDENT.scalar_subquery().label("incident"),
    )
)
_KEEP = insert_once(deliveries, "id")
_OPEN = insert_once(incidents, "source", "source_id")
_HANDLED = Prepared(deliveries.update().where(deliveries.c.id == _DELIVERY))
_UNHANDLED = Prepared(
    sa.select(deliveries.c.incident_id, deliveries.c.event)
    .where(deliveries.c.handled_at.is_(None))
    .order_by(deliveries.c.received_at)
    .limit(_MOST)
)
_WAITING = Prepared(
    sa.select(sa.func.count()).select_from(
        sa.select(incidents.c.id)
        .where(
            ~is_one_of(incidents.c.status, TERMINAL),
            incidents.c.started_at.is_(None),
            incidents.c.source != MANUAL_SOURCE,
        )
        .limit(_MOST)
        .subquery()
    )
)
_OPEN_OF_SAME = Prepared(
    sa.select(incidents.c.id, incidents.c.alert)
    .where(
        incidents.c.identity == sa.bindparam("same", type_=sa.Text), ~is_one_of(incidents.c.status, TERMINAL)
    )
    .order_by(incidents.c.received_at.desc(), incidents.c.id)
    .limit(1)
)
_PAGED_OF_SAME = Prepared(
    sa.select(incidents.c.id, incidents.c.alert)
    .where(
        incidents.c.identity == sa.bindparam("same", type_=sa.Text),
        says(incidents.c.status, Status.ESCALATED.value),
        sa.select(escalations.c.incident_id)
        .where(escalations.c.incident_id == incidents.c.id, is_one_of(escalations.c.status, OPEN))
        .exists(),
    )
    .order_by(incidents.c.received_at.desc(), incidents.c.id)
    .limit(1)
)
_IS_AWAITED = Prepared(
    sa.select(deliveries.c.id)
    .where(
        deliveries.c.incident_id == sa.bindparam("incident", type_=sa.Text), deliveries.c.handled_at.is_(None)
    )
    .limit(1)
)
_OWN_WRITES = Prepared(sa.select(own_writes).where(own_writes.c.source_id == sa.bindparam("source_id")))
_SUMMARY = sa.bindparam("summary", type_=sa.Text)
_ESCALATED = Prepared(sa.select(escalations.c.incident_id).where(escalations.c.summary == _SUMMARY).limit(1))
_PAGED = Prepared(
    sa.select(outbox.c.id).where(outbox.c.summary == _SUMMARY, ~says(outbox.c.summary, "")).limit(1)
)


class StoredIntake(StoredFolds):
    """Implements ports.IntakeStore."""

    database: Database
    clock: Clock

    def accept(self, event: SourceEvent, raw: str) -> Accepted:
        """Store a webhook, and open an incident if it is a new trigger; durable when it returns."""
        return self.accept_all([(event, raw)])[0]

    def accept_all(
        self,
        webhooks: Sequence[tuple[SourceEvent, str]],
        *,
        backlog: int | None = None,
        within_s: float | None = None,
    ) -> Sequence[Accepted]:
        """Store webhooks together, all or none.

        Where `backlog` incidents wait for their turn already, no new one is opened.
        """
        rows = [_row(event, raw) for event, raw in webhooks]
        accepted: dict[int, Accepted] = {}
        with self.database.writing(within_s=within_s) as connection:
            self.hold_folds(connection, [event.alert for event, _ in webhooks if event.alert is not None])
            together = self._open_together(connection, webhooks, rows, backlog)
            if together is not None:
                return together
            for place in self._order(webhooks):
                accepted[place] = self._accept(connection, webhooks[place][0], rows[place], backlog)
        return [accepted[place] for place in range(len(webhooks))]

    def _order(self, webhooks: Sequence[tuple[SourceEvent, str]]) -> Sequence[int]:
        """As they came; on PostgreSQL so that two replicas with the same ones never wait for each other."""
        places = range(len(webhooks))
        if self.database.is_sqlite:
            return places
        return sorted(places, key=lambda place: webhooks[place][0].source_id)

    def _open_together(
        self,
        connection: sa.Connection,
        webhooks: Sequence[tuple[SourceEvent, str]],
        rows: Sequence[Mapping[str, str]],
        backlog: int | None,
    ) -> Sequence[Accepted] | None:
        """All as new incidents, if that is what they would be one by one; else None, and nothing is done."""
        if len(webhooks) < 2 or not self.database.is_sqlite:
            return None
        events = [event for event, _ in webhooks]
        keys = [self.fold_key_of(event.alert) if event.alert else "" for event in events]
        alerts = alerts_of_their_own(events, keys)
        if alerts is None or is_any_known(connection, events, keys, since=self.folds_since(self.clock.now())):
            return None
        if backlog is not None and self._room(connection, backlog) < len(alerts):
            return None
        pairs = [self._opening(alert, key, row) for alert, key, row in zip(alerts, keys, rows, strict=True)]
        store_openings(connection, [kept for kept, _ in pairs], [opened for _, opened in pairs])
        self._backlog.opened(len(pairs))
        return [Accepted(Acceptance.NEW_INCIDENT, opened["id"]) for _, opened in pairs]

    def _accept(
        self, connection: sa.Connection, event: SourceEvent, row: Mapping[str, str], backlog: int | None
    ) -> Accepted:
        now = self.clock.now()
        asked = {"delivery": event.delivery_id, "at_source": event.source, "source_id": event.source_id}
        (seen,) = _SEEN.all(connection, asked)
        known_id = seen.incident if event.source_id else None
        if event.known_by_key and not (known_id or seen.delivery):
            known_id = _open_of_the_same(connection, event)
        if seen.delivery:
            return Accepted(Acceptance.DUPLICATE, known_id or "")
        if event.type is EventType.TRIGGERED and event.alert is not None and not known_id:
            key = self.fold_key_of(event.alert)
            folded = self.fold(connection, event.alert, key, row, now)
            if folded is not None:
                return folded
            if backlog is not None and self._room(connection, backlog) <= 0:
                return Accepted(Acceptance.BACKLOG_FULL)
            return self._open(connection, event.alert, key, row)
        is_stored = _KEEP.first(connection, {**row, **_standing(event, known_id, stamp(now))}) is not None
        if not is_stored:
            return Accepted(Acceptance.DUPLICATE, known_id or "")
        is_trigger = event.type is EventType.TRIGGERED and event.alert is not None
        return Accepted(Acceptance.KNOWN_INCIDENT if is_trigger else Acceptance.STORED, known_id or "")

    def open_manual(self, alert: Alert) -> str:
        """Open an incident that a person runs by hand: the daemon leaves it alone."""
        incident_id = f"run-{secrets.token_hex(4)}"
        now = stamp(self.clock.now())
        row = {
            "id": incident_id,
            "source": MANUAL_SOURCE,
            "source_id": incident_id,
            "title": alert.title,
            "service": alert.service,
            "alert": codec.dump(alert),
            "status": Status.RECEIVED.value,
            "received_at": now,
            "started_at": now,
        }
        with self.database.writing() as connection:
            connection.execute(incidents.insert().values(**row))
        return incident_id

    def _open(
        self, connection: sa.Connection, alert: Alert, key: str, delivery: Mapping[str, str]
    ) -> Accepted:
        kept, opened = self._opening(alert, key, delivery)
        if _KEEP.first(connection, kept) is None:
            return Accepted(Acceptance.DUPLICATE, "")
        if _OPEN.first(connection, opened) is not None:
            self._backlog.opened()
            return Accepted(Acceptance.NEW_INCIDENT, opened["id"])
        # another delivery of the same trigger won between our look and our insert (PostgreSQL)
        won = _KNOWN.scalar(connection, {"at_source": alert.source, "source_id": alert.source_id})
        belongs = {"incident_id": won, "outcome": _NOTHING}
        _HANDLED.run(connection, {"delivery": delivery["id"], **belongs})
        return Accepted(Acceptance.KNOWN_INCIDENT, won or "")

    def _opening(
        self, alert: Alert, key: str, delivery: Mapping[str, str]
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The webhook and the incident that it opens, as they are stored."""
        now = self.clock.now()
        at = stamp(now)
        prefix = ASKED_PREFIX if alert.source == ASKED_SOURCE else "inc-"
        incident_id = f"{prefix}{now:%Y%m%d}-{secrets.token_hex(4)}"
        opens = {"incident_id": incident_id, "received_at": at, "handled_at": at, "outcome": _OPENED}
        incident = {
            "id": incident_id,
            "source": alert.source,
            "source_id": alert.source_id,
            "title": alert.title,
            "service": alert.service,
            "alert": codec.dump(alert),
            "status": Status.RECEIVED.value,
            "received_at": at,
            "identity": alert.identity,
            "fold_key": key,
        }
        return {**delivery, **opens}, incident

    def _room(self, connection: sa.Connection, most: int) -> int:
        """How many more incidents may wait; counted anew now and then only."""
        return self._backlog.room(
            most,
            lambda: int(_WAITING.scalar(connection, {"most": most})),
            self.clock.monotonic(),
        )

    @cached_property
    def _backlog(self) -> Backlog:
        return Backlog()

    def unhandled_events(self, limit: int) -> Sequence[tuple[str, SourceEvent]]:
        """(incident id, event) of stored events that nobody has looked at yet, oldest first."""
        with self.database.reading() as connection:
            rows = _UNHANDLED.all(connection, {"most": limit})
        return [(row.incident_id, codec.load(row.event, SourceEvent)) for row in rows]

    def event_handled(self, delivery_id: str, outcome: str) -> None:
        """Remember what was made of a stored event."""
        with self.database.writing() as connection:
            handled = {"handled_at": stamp(self.clock.now()), "outcome": outcome}
            _HANDLED.run(connection, {"delivery": delivery_id, **handled})

    def own_writes(self, source_id: str) -> Sequence[OwnWrite]:
        """What the agent itself changed at the source's incident."""
        with self.database.reading() as connection:
            return [
                OwnWrite(row.action, moment(row.begun_at), moment_or_none(row.ended_at), row.actor_id)
                for row in _OWN_WRITES.all(connection, {"source_id": source_id})
            ]

    def own_user_id(self) -> str:
        """The user at the source that our writes are counted for, as learned so far."""
        with self.database.reading() as connection:
            query = sa.select(known.c.value).where(known.c.name == "own_user_id")
            return connection.execute(query).scalar() or ""

    def learn_own_user_id(self, user_id: str) -> None:
        """Keep who we are at the source."""
        with self.database.writing() as connection:
            self.database.upsert(connection, known, {"name": "own_user_id", "value": user_id})

    def is_own_summary(self, text: str) -> bool:
        """Whether a page of ours was sent with exactly this summary, for whatever reason."""
        if len(text) > _SUMMARY_MAX:
            return False
        with self.database.reading() as connection:
            return any(own.first(connection, {"summary": text}) is not None for own in (_ESCALATED, _PAGED))


def _open_of_the_same(connection: sa.Connection, event: SourceEvent) -> str | None:
    """The open incident of the same alert that the event is about; none that fired after what it tells of.

    What is over is also news for a human who waits in the queue with one.
    While nobody has looked at what came before, such as that it is over, what fires may be new.
    """
    if event.alert is None:
        return None
    same = {"same": event.alert.identity}
    found = _OPEN_OF_SAME.first(connection, same)
    if found is None and event.type is not EventType.TRIGGERED:
        found = _PAGED_OF_SAME.first(connection, same)
    if found is None:
        return None
    if event.type is EventType.TRIGGERED:
        return None if _IS_AWAITED.first(connection, {"incident": found.id}) else str(found.id)
    fired_at = codec.load(found.alert, Alert).fired_at
    is_later = fired_at is not None and event.occurred_at is not None and fired_at > event.occurred_at
    return None if is_later else str(found.id)


def _row(event: SourceEvent, raw: str) -> dict[str, str]:
    # what it says of the alert is kept once, by the webhook that opens the incident
    kept = event if event.type is EventType.TRIGGERED else replace(event, alert=None)
    return {"id": event.delivery_id, "source": event.source, "event": codec.packed(kept), "raw": pack(raw)}


def _standing(event: SourceEvent, known_id: str | None, now: str) -> dict[str, str | None]:
    """Whether anybody has to look at it: at what happened to an incident that we know."""
    is_awaited = bool(known_id) and event.type not in (EventType.TRIGGERED, EventType.OTHER)
    handled = (
        {"handled_at": None, "outcome": None} if is_awaited else {"handled_at": now, "outcome": _NOTHING}
    )
    return {"incident_id": known_id, "received_at": now, **handled}


class Backlog:
    """How many incidents wait at most: counted in the database once a second, and what was opened since."""

    def __init__(self) -> None:
        self._most = 0
        self._count_again_at = 0.0

    def opened(self, more: int = 1) -> None:
        """So many more wait."""
        self._most += more

    def room(self, most: int, count: Callable[[], int], now: float) -> int:
        """For how many more there is room; said from memory as long as that may be right."""
        if now >= self._count_again_at:
            self._most = count()
            self._count_again_at = now + (_FULL_FOR_S if self._most >= most else _COUNTED_FOR_S)
        return most - self._most
