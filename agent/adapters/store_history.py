"""What earlier incidents teach: has this alert come before, what resolved it, how do a runbook's runs end?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from agent.adapters.database import Database, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_incidents import WHOLE, incident_of_row
from agent.adapters.store_schema import attempts, incidents, is_one_of
from agent.adapters.store_schema_queue import escalations
from agent.domain.decisions import EscalationTrigger, Section
from agent.domain.handoffs import MENDED_BY
from agent.domain.incident import ASKED_SOURCE, MANUAL_SOURCE, Incident, Status
from agent.ports import Clock

#: More of the same alert than these are not drawn.
_MOST_OF_THE_SAME = 50


#: A run that a human or the calendar stopped says nothing about its runbook.
_NOT_THE_RUNBOOKS = (EscalationTrigger.KILL_SWITCH.value, EscalationTrigger.FREEZE.value)


class StoredHistory:
    """Implements ports.HistoryStore."""

    database: Database
    clock: Clock

    def same_before(self, incident_id: str, *, since: datetime) -> Sequence[Incident]:
        """Earlier incidents of the same alert, received since then or resolved since then, oldest first."""
        with self.database.reading() as connection:
            asked = _ALERT_OF.first(connection, {"incident": incident_id})
            if asked is None or not asked.identity:
                return []
            values = {"incident": incident_id, "same": asked.identity, "until": asked.received_at}
            same = _SAME_BEFORE.all(connection, values | {"since": stamp(since)})
        return [incident_of_row(row) for row in same][::-1]

    def related_before(self, incident_id: str, *, since: datetime, limit: int) -> Sequence[Incident]:
        """Other alerts of the same service that came in since then and before this one, oldest first."""
        this = sa.select(incidents.c.service, incidents.c.received_at).where(incidents.c.id == incident_id)
        with self.database.reading() as connection:
            asked = connection.execute(this).first()
            if asked is None or not asked.service:
                return []
            query = (
                sa.select(incidents)
                .where(
                    incidents.c.received_at >= stamp(since),
                    incidents.c.received_at <= asked.received_at,
                    incidents.c.service == asked.service,
                    incidents.c.id != incident_id,
                    incidents.c.status != Status.IGNORED.value,
                    incidents.c.source != MANUAL_SOURCE,
                )
                .order_by(incidents.c.received_at.desc(), incidents.c.id)
                .limit(limit)
            )
            return [incident_of_row(row) for row in connection.execute(query)][::-1]

    def lately_resolved(self, limit: int) -> Sequence[Incident]:
        """Incidents that a runbook resolved, newest first."""
        query = (
            WHOLE.where(
                incidents.c.status == Status.RESOLVED.value,
                incidents.c.runbook_id != "",
                ~incidents.c.result.startswith(MENDED_BY),
                incidents.c.source.not_in([MANUAL_SOURCE, ASKED_SOURCE]),
            )
            .order_by(incidents.c.received_at.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [incident_of_row(row) for row in connection.execute(query)]

    def run_ends(self, runbook_id: str, revision: str, *, limit: int) -> Sequence[Status]:
        """How the last runs of this revision ended, newest first: resolved or escalated after a step ran."""
        values = {"runbook": runbook_id, "revision": revision, "most": limit}
        with self.database.reading() as connection:
            return [Status(row.status) for row in _RUN_ENDS.all(connection, values)]


def _said(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


_ALERT_OF = Prepared(
    sa.select(incidents.c.identity, incidents.c.received_at).where(incidents.c.id == _said("incident"))
)

_SAME_BEFORE = Prepared(
    WHOLE.where(
        incidents.c.identity == _said("same"),
        incidents.c.id != _said("incident"),
        incidents.c.received_at <= _said("until"),
        incidents.c.status != Status.IGNORED.value,
        incidents.c.source != MANUAL_SOURCE,
        sa.or_(incidents.c.received_at >= _said("since"), incidents.c.ended_at >= _said("since")),
    )
    .order_by(incidents.c.received_at.desc())
    .limit(_MOST_OF_THE_SAME)
)

_RAN = sa.select(attempts.c.incident_id).where(
    attempts.c.incident_id == incidents.c.id, attempts.c.section == Section.STEPS.value
)
_HELD = sa.select(escalations.c.incident_id).where(
    escalations.c.incident_id == incidents.c.id, is_one_of(escalations.c.trigger, _NOT_THE_RUNBOOKS)
)
#: What counts as a run of a runbook, where it is asked how its runs end.
IS_RUN = sa.and_(
    is_one_of(incidents.c.status, [Status.RESOLVED.value, Status.ESCALATED.value]),
    incidents.c.source != MANUAL_SOURCE,
    _RAN.exists(),
    ~_HELD.exists(),
)
_RUN_ENDS = Prepared(
    # what another agent mended this runbook had given up
    sa.select(
        sa.case(
            (incidents.c.result.startswith(MENDED_BY), Status.ESCALATED.value), else_=incidents.c.status
        ).label("status")
    )
    .where(
        incidents.c.runbook_id == _said("runbook"),
        incidents.c.runbook_revision == _said("revision"),
        IS_RUN,
    )
    .order_by(incidents.c.ended_at.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
