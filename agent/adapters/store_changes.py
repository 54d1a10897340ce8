"""What changes in an incident's row, as one UPDATE that is built once for all incidents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_schema import TERMINAL, incidents, is_one_of
from agent.domain.records import Changes

_THIS = incidents.c.id == sa.bindparam("incident", type_=sa.Text)
_NEW = sa.bindparam("status", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.Text)

#: Which columns it sets is said by the values that it is run with.
_UPDATE = incidents.update().where(_THIS)
_CHANGE = Prepared(_UPDATE)

#: What has ended stays ended, although its run may not have noticed yet; and told again where it stands, an
#: incident has not begun to stand there anew.
_CHANGE_STATUS = Prepared(
    _UPDATE.where(~is_one_of(incidents.c.status, TERMINAL)).values(
        status=_NEW,
        status_at=sa.case(
            (sa.or_(incidents.c.status != _NEW, incidents.c.status_at.is_(None)), _NOW),
            else_=incidents.c.status_at,
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Change:
    """An UPDATE of the incident named by the parameter `incident`."""

    statement: Prepared
    values: Mapping[str, Any]


def change_of(changes: Changes | None, now: str) -> Change | None:
    """The UPDATE that the changes are; None if they leave the row as it is."""
    if changes is None:
        return None
    values = _columns(changes)
    if changes.status is None:
        return Change(_CHANGE, values) if values else None
    waits_until = None if changes.waits_until is None else stamp(changes.waits_until)
    values |= {"status": changes.status.value, "now": now, "waits_until": waits_until}
    if changes.status.is_terminal:
        values["ended_at"] = now
    return Change(_CHANGE_STATUS, values)


def _columns(changes: Changes) -> dict[str, Any]:
    """The columns that the changes touch, beside those that follow from the status."""
    values: dict[str, Any] = {}
    if changes.alert is not None:
        values |= {
            "alert": codec.packed(changes.alert),
            "service": changes.alert.service,
            "title": changes.alert.title,
            "identity": changes.alert.identity,
        }
    if changes.match is not None:
        values |= {
            "runbook_id": changes.match.runbook_id,
            "runbook_revision": changes.match.revision,
            "confidence": changes.match.confidence,
            "match_reasons": json.dumps(list(changes.match.reasons)),
        }
    if changes.plan is not None:
        values |= {"plan": codec.packed(changes.plan), "steps_total": len(changes.plan.steps)}
    plain: Mapping[str, object] = {
        "runbook_title": changes.runbook_title,
        "autonomy": changes.autonomy,
        "steps_done": changes.steps_done,
        "result": changes.result,
    }
    return values | {name: value for name, value in plain.items() if value is not None}
