"""Incidents that other agents handed to this one, as rows; each answer is a link of the audit chain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import moment, stamp
from agent.adapters.store_incidents import StoredIncidents
from agent.adapters.store_schema import TERMINAL, incidents, is_one_of
from agent.adapters.store_schema_handoffs import handoffs
from agent.domain.handoffs import HANDOFF_SOURCE, HandedIn
from agent.domain.incident import Entry
from agent.domain.outbox import Message

#: A sender waits for a day at most; long after that nobody asks for it any more, answered or not.
_KEPT = timedelta(days=30)

_MAIN = incidents.alias("main")

#: What ended: its incident, or the incident of the same alert that it went with.
_ANSWERABLE = (
    sa.select(handoffs, incidents.c.id.label("incident_id"), _MAIN.c.id.label("main_id"))
    .join(
        incidents,
        sa.and_(incidents.c.source == HANDOFF_SOURCE, incidents.c.source_id == handoffs.c.id),
    )
    .join(
        _MAIN,
        _MAIN.c.id == sa.case((incidents.c.folded_into != "", incidents.c.folded_into), else_=incidents.c.id),
    )
    .where(handoffs.c.answered_at.is_(None), is_one_of(_MAIN.c.status, TERMINAL))
    .order_by(handoffs.c.received_at)
)


class StoredHandoffs(StoredIncidents):
    """Implements ports.HandoffStore; writes its entries and letters as incidents do."""

    def keep_handed_in(self, handed: HandedIn) -> None:
        """Write it down before its incident is opened; what is there already stays as it is."""
        row = {
            "id": handed.id,
            "sender": handed.sender,
            "key": handed.key,
            "chain": json.dumps(handed.chain),
            "deadline": stamp(handed.deadline),
            "received_at": stamp(handed.received_at),
        }
        with self.database.writing() as connection:
            if self.database.insert_once(connection, handoffs, row):
                before = stamp(handed.received_at - _KEPT)
                connection.execute(handoffs.delete().where(handoffs.c.received_at < before))

    def handed_in(self, handoff_id: str) -> HandedIn | None:
        """One by its id, which is its incident's id at the source."""
        with self.database.reading() as connection:
            row = connection.execute(sa.select(handoffs).where(handoffs.c.id == handoff_id)).first()
        return _handed(row) if row else None

    def answerable(self, most: int) -> Sequence[tuple[HandedIn, str, str]]:
        """(it, its incident, the incident that it went with) of those that have ended, not yet answered."""
        with self.database.reading() as connection:
            rows = connection.execute(_ANSWERABLE.limit(most)).all()
        return [(_handed(row), row.incident_id, row.main_id) for row in rows]

    def answer_handed_in(
        self, handoff_id: str, outcome: str, incident_id: str, entry: Entry, messages: Sequence[Message]
    ) -> bool:
        """Answered from now on, told and posted in one transaction; False if it was answered before."""
        with self.database.chaining() as connection:
            answered = connection.execute(
                handoffs.update()
                .where(handoffs.c.id == handoff_id, handoffs.c.answered_at.is_(None))
                .values(answered_at=stamp(self.clock.now()), outcome=outcome)
                .returning(handoffs.c.id)
            ).first()
            if answered is None:
                return False
            self.append(connection, incident_id, entry)
            self.post(connection, incident_id, messages)
            return True


def _handed(row: Any) -> HandedIn:
    return HandedIn(
        id=row.id,
        sender=row.sender,
        key=row.key,
        chain=tuple(json.loads(row.chain)),
        deadline=moment(row.deadline),
        received_at=moment(row.received_at),
        outcome=row.outcome,
    )
