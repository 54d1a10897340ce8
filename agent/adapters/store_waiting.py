"""What waits for a human's word right now: an approval or a choice, of whom nobody has said anything yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import Database
from agent.adapters.store_schema import decisions, incidents, timeline, votes
from agent.domain.alert import Alert
from agent.domain.approvals import needs_of
from agent.domain.incident import EventKind, Status
from agent.domain.records import CHOICE

_ASKED = (EventKind.APPROVAL_REQUESTED.value, EventKind.AMBIGUOUS.value)


class StoredWaiting:
    """One read model; nothing here decides."""

    database: Database

    def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Questions to a human that are open, the one that expires first at the head of them."""
        with self.database.reading() as connection:
            asked = connection.execute(_open_questions()).all()
            answered = {tuple(row) for row in connection.execute(_answers())}
            yeses = {tuple(row[:2]): row[2] for row in connection.execute(_yeses())}
        rows = [_row(each, yeses) for each in asked]
        return [row for row in rows if (row["incident_id"], row["decides"]) not in answered]


def _open_questions() -> sa.Select[Any]:
    """The last question of every incident that waits; more than one may have been asked before."""
    last = (
        sa.select(sa.func.max(timeline.c.seq).label("seq"))
        .join(incidents, incidents.c.id == timeline.c.incident_id)
        .where(incidents.c.status == Status.AWAITING_APPROVAL.value, timeline.c.kind.in_(_ASKED))
        .group_by(timeline.c.incident_id)
        .subquery()
    )
    return (
        sa.select(
            incidents.c.id, incidents.c.title, incidents.c.alert, incidents.c.waits_until,
            timeline.c.at, timeline.c.kind, timeline.c.text, timeline.c.data,
        )
        .join(timeline, timeline.c.incident_id == incidents.c.id)
        .join(last, last.c.seq == timeline.c.seq)
        .order_by(incidents.c.waits_until, timeline.c.seq)
    )  # fmt: skip


def _answers() -> sa.Select[Any]:
    return (
        sa.select(decisions.c.incident_id, decisions.c.plan_hash)
        .join(incidents, incidents.c.id == decisions.c.incident_id)
        .where(incidents.c.status == Status.AWAITING_APPROVAL.value)
    )


def _yeses() -> sa.Select[Any]:
    return (
        sa.select(votes.c.incident_id, votes.c.plan_hash, sa.func.count())
        .join(incidents, incidents.c.id == votes.c.incident_id)
        .where(incidents.c.status == Status.AWAITING_APPROVAL.value)
        .group_by(votes.c.incident_id, votes.c.plan_hash)
    )


def _approval(data: Mapping[str, Any], yeses: int) -> str:
    needs = needs_of(data)
    return (
        "an approval"
        if needs.is_plain
        else f"{needs.approvals - yeses} of {needs.approvals} approvals ({needs})"
    )


def _row(found: Any, yeses: Mapping[Any, int]) -> dict[str, Any]:
    data = codec.loads(found.data)
    alert: Alert = codec.load(found.alert, Alert)
    is_choice = found.kind == EventKind.AMBIGUOUS.value
    names = [name for name, _ in data.get("choices", ())]
    return {
        "incident_id": found.id,
        "title": found.title,
        "status": "waiting",
        "trigger": found.kind,
        "waits_for": f"a choice among {', '.join(names)}"
        if is_choice
        else _approval(data, yeses.get((found.id, data.get("plan_hash")), 0)),
        "until": found.waits_until or data.get("expires_at"),
        "reason": found.text.partition("\n")[0],
        "severity": alert.severity.value if alert.severity else None,
        "created_at": found.at,
        "decides": CHOICE if is_choice else data.get("plan_hash"),
    }
