"""What becomes of the same alert's other incidents when the one that was worked on ends, at once."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from agent.adapters.prepared import Prepared
from agent.adapters.store_schema import incidents, says
from agent.domain.incident import Status
from agent.domain.records import FoldedEnd

_ID = sa.bindparam("incident", type_=sa.Text)
_NOW = sa.bindparam("now", type_=sa.Text)
_NEW = sa.bindparam("released", type_=sa.Text)

#: Those that nobody has settled yet.
_UNSETTLED = sa.and_(
    incidents.c.folded_into == _ID, ~says(incidents.c.folded_into, ""), says(incidents.c.result, "")
)
_SETTLE = Prepared(
    incidents.update()
    .where(_UNSETTLED)
    .values(result=sa.bindparam("words", type_=sa.Text))
    .returning(incidents.c.source_id)
)
_OLDEST = Prepared(
    sa.select(incidents.c.id).where(_UNSETTLED).order_by(incidents.c.received_at, incidents.c.id).limit(1)
)
_COUNT = Prepared(sa.select(sa.func.count()).select_from(incidents).where(_UNSETTLED))
_FOLLOW = Prepared(incidents.update().where(_UNSETTLED, incidents.c.id != _NEW).values(folded_into=_NEW))
_first = incidents.alias("first")
_RELEASE = Prepared(
    incidents.update()
    .where(incidents.c.id == _NEW)
    .values(
        status=Status.RECEIVED.value,
        status_at=_NOW,
        ended_at=None,
        folded_into="",
        alert_count=sa.bindparam("count_", type_=sa.Integer),
        last_alert_at=_NOW,
        fold_key=sa.select(_first.c.fold_key).where(_first.c.id == _ID).scalar_subquery(),
    )
)


def end_folded(connection: sa.Connection, incident_id: str, end: FoldedEnd, *, now: str) -> Sequence[str]:
    """Settle them with the one that has just ended; gives their ids at the source."""
    if end.released:
        _release(connection, incident_id, now)
        return ()
    settled = _SETTLE.all(connection, {"incident": incident_id, "words": end.result})
    return sorted(row.source_id for row in settled)


def _release(connection: sa.Connection, incident_id: str, now: str) -> None:
    """The oldest of them is worked on now, the others are the same as that one."""
    this = {"incident": incident_id}
    oldest = _OLDEST.scalar(connection, this)
    if oldest is None:
        return
    count = _COUNT.scalar(connection, this)
    _FOLLOW.run(connection, {**this, "released": oldest})
    _RELEASE.run(connection, {**this, "released": oldest, "count_": count, "now": now})
