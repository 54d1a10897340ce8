"""How far each runbook may go alone: a row each, changed in the transaction of what changed it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from agent.adapters.database import Database, moment, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_schema import autonomy
from agent.domain.autonomy import AutonomyEvent, Evidence, News, Ran, Standing, after
from agent.domain.runbook import Autonomy

_EVERY = Prepared(sa.select(autonomy).order_by(autonomy.c.runbook_id))
_ONE = Prepared(sa.select(autonomy).where(autonomy.c.runbook_id == sa.bindparam("runbook", type_=sa.Text)))


def earn(database: Database, connection: sa.Connection, event: AutonomyEvent, now: datetime) -> News | None:
    """Change the record, and give what is to be told; within `chaining()`, so that nobody else changes it."""
    settled = after(_found(connection, event.runbook_id), event, now)
    database.upsert(connection, autonomy, _row(settled.standing))
    return settled.news


class StoredAutonomy:
    """Implements the reading half of ports.AutonomyStore."""

    database: Database

    def autonomy_of(self, runbook_id: str) -> Standing | None:
        """The runbook's record; None while there is none."""
        with self.database.reading() as connection:
            return _found(connection, runbook_id)

    def all_autonomy(self) -> Sequence[Standing]:
        """Every record, by the runbook's name."""
        with self.database.reading() as connection:
            return [_standing(row) for row in _EVERY.all(connection, {})]


def _found(connection: sa.Connection, runbook_id: str) -> Standing | None:
    row = _ONE.first(connection, {"runbook": runbook_id})
    return None if row is None else _standing(row)


def _row(standing: Standing) -> dict[str, Any]:
    return {
        "runbook_id": standing.runbook_id,
        "level": standing.level.value if standing.level is not None else "",
        "effects": standing.effects,
        "since": stamp(standing.since),
        "by": standing.by,
        "why": standing.why,
        "in_a_row": standing.in_a_row,
        "proposed": standing.proposed.value if standing.proposed is not None else "",
        "evidence": json.dumps([_data_of(each) for each in standing.evidence]),
    }


def _standing(row: Any) -> Standing:
    return Standing(
        runbook_id=row.runbook_id,
        effects=row.effects,
        since=moment(row.since),
        level=Autonomy(row.level) if row.level else None,
        by=row.by,
        why=row.why,
        in_a_row=row.in_a_row,
        proposed=Autonomy(row.proposed) if row.proposed else None,
        evidence=_evidence(row.evidence),
    )


def _data_of(one: Evidence) -> dict[str, str]:
    return {"incident_id": one.incident_id, "ran": one.ran.value, "at": one.at.isoformat(), "why": one.why}


@lru_cache(maxsize=256)  # read three times for every time that it is written
def _evidence(text: str) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(each["incident_id"], Ran(each["ran"]), moment(each["at"]), each["why"])
        for each in json.loads(text)
    )
