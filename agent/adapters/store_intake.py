"""Webhooks, stored before they are answered."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import Database, moment, moment_or_none, stamp
from agent.adapters.store_schema import (
    deliveries,
    escalations,
    incidents,
    known,
    outbox,
    own_writes,
)
from agent.domain.alert import Alert
from agent.domain.incident import MANUAL_SOURCE, Status
from agent.domain.outbox import Channel, Message, PageHuman
from agent.domain.records import OwnWrite
from agent.domain.source_event import Acceptance, Accepted, EventType, SourceEvent
from agent.ports import Clock

#: No summary of ours is longer (PagerDuty Events API v2); SQLite takes no pattern of more than 50,000 bytes.
_SUMMARY_MAX = 1_024


class StoredIntake:
    """Implements ports.IntakeStore."""

    database: Database
    clock: Clock

    def accept(self, event: SourceEvent, raw: str) -> Accepted:
        """Store a webhook, and open an incident if it is a new trigger; durable when it returns."""
        with self.database.writing() as connection:
            known_id = self._incident_of(connection, event)
            row = {
                "id": event.delivery_id,
                "source": event.source,
                "received_at": stamp(self.clock.now()),
                "event": codec.dump(event),
                "raw": raw,
                "incident_id": known_id,
                **self._handled_unless_awaited(event, known_id),
            }
            if not self.database.insert_once(connection, deliveries, row):
                return Accepted(Acceptance.DUPLICATE, known_id or "")
            if event.type is not EventType.TRIGGERED or event.alert is None:
                return Accepted(Acceptance.STORED, known_id or "")
            if known_id:
                return Accepted(Acceptance.KNOWN_INCIDENT, known_id)
            return self._open(connection, event.delivery_id, event.alert)

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

    def _handled_unless_awaited(self, event: SourceEvent, known_id: str | None) -> dict[str, str | None]:
        if known_id and event.type not in (EventType.TRIGGERED, EventType.OTHER):
            return {"handled_at": None, "outcome": None}
        return {"handled_at": stamp(self.clock.now()), "outcome": "nothing to do"}

    def _incident_of(self, connection: sa.Connection, event: SourceEvent) -> str | None:
        if not event.source_id:
            return None
        query = sa.select(incidents.c.id).where(
            incidents.c.source == event.source, incidents.c.source_id == event.source_id
        )
        return connection.execute(query).scalar()

    def _open(self, connection: sa.Connection, delivery_id: str, alert: Alert) -> Accepted:
        now = self.clock.now()
        incident_id = f"inc-{now:%Y%m%d}-{secrets.token_hex(4)}"
        row = {
            "id": incident_id,
            "source": alert.source,
            "source_id": alert.source_id,
            "title": alert.title,
            "service": alert.service,
            "alert": codec.dump(alert),
            "status": Status.RECEIVED.value,
            "received_at": stamp(now),
            "identity": alert.identity,
        }
        if not self.database.insert_once(connection, incidents, row):
            # another delivery of the same trigger won between our look and our insert (PostgreSQL)
            return Accepted(Acceptance.KNOWN_INCIDENT, "")
        connection.execute(
            deliveries.update()
            .where(deliveries.c.id == delivery_id)
            .values(incident_id=incident_id, outcome="opened the incident")
        )
        return Accepted(Acceptance.NEW_INCIDENT, incident_id)

    def unhandled_events(self, limit: int) -> Sequence[tuple[str, SourceEvent]]:
        """(incident id, event) of stored events that nobody has looked at yet, oldest first."""
        query = (
            sa.select(deliveries.c.incident_id, deliveries.c.event)
            .where(deliveries.c.handled_at.is_(None))
            .order_by(deliveries.c.received_at)
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [
                (row.incident_id, codec.load(row.event, SourceEvent)) for row in connection.execute(query)
            ]

    def event_handled(self, delivery_id: str, outcome: str) -> None:
        """Remember what was made of a stored event."""
        with self.database.writing() as connection:
            connection.execute(
                deliveries.update()
                .where(deliveries.c.id == delivery_id)
                .values(handled_at=stamp(self.clock.now()), outcome=outcome)
            )

    def own_writes(self, source_id: str) -> Sequence[OwnWrite]:
        """What the agent itself changed at the source's incident."""
        query = sa.select(own_writes).where(own_writes.c.source_id == source_id)
        with self.database.reading() as connection:
            return [
                OwnWrite(row.action, moment(row.begun_at), moment_or_none(row.ended_at), row.actor_id)
                for row in connection.execute(query)
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
        escalated = sa.select(escalations.c.incident_id).where(escalations.c.summary == text).limit(1)
        quoted = f'"summary":{json.dumps(text, ensure_ascii=False)}'
        alike = sa.select(outbox.c.message).where(
            outbox.c.channel == Channel.PAGER.value, outbox.c.message.contains(quoted, autoescape=True)
        )
        with self.database.reading() as connection:
            if connection.execute(escalated).first() is not None:
                return True
            pages = (codec.load(row.message, Message) for row in connection.execute(alike))
            return any(isinstance(page, PageHuman) and page.summary == text for page in pages)
