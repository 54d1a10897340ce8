"""Incidents: what is known of each, its story, its plan, and who has it in hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.database import moment, moment_or_none, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.riding import Of, settle
from agent.adapters.store_schema import (
    TERMINAL,
    decisions,
    incidents,
    is_one_of,
    outbox,
    revisions,
    timeline,
)
from agent.adapters.store_telling import StoredTellings, alert_of_text
from agent.domain.decisions import Plan, StandDown
from agent.domain.errors import StoreError, UnknownIncidentError
from agent.domain.incident import EventKind, Incident, Status, TimelineEvent
from agent.domain.outbox import Channel, DeskResolve
from agent.domain.records import Decision
from agent.domain.runbook import Runbook

_ID = sa.bindparam("incident", type_=sa.Text)
_THIS = incidents.c.id == _ID
_THIS_UNFINISHED = sa.and_(_THIS, ~is_one_of(incidents.c.status, TERMINAL))
_BY, _HOW = sa.bindparam("by", type_=sa.Text), sa.bindparam("how", type_=sa.Text)

#: All that `incident_of_row` reads: a plan is long, and asked for by itself.
WHOLE = sa.select(*(column for column in incidents.c if column is not incidents.c.plan))

_INCIDENT = Prepared(WHOLE.where(_THIS))
_SERVICE = Prepared(sa.select(incidents.c.service).where(_THIS))
_TIMELINE = Prepared(sa.select(timeline).where(timeline.c.incident_id == _ID).order_by(timeline.c.seq))
_MAY_GO_ON = Prepared(sa.select(incidents.c.id).where(_THIS_UNFINISHED, incidents.c.stood_down_by == ""))
_STAND_DOWN = Prepared(
    incidents.update()
    .where(_THIS_UNFINISHED, incidents.c.stood_down_by == "")
    .values(stood_down_by=_BY, stood_down_how=_HOW)
    .returning(incidents.c.id)
)
_STOOD_DOWN_BY = Prepared(
    sa.select(incidents.c.id).where(
        _THIS_UNFINISHED, incidents.c.stood_down_by == _BY, incidents.c.stood_down_how == _HOW
    )
)
_STOOD_DOWN = Prepared(
    sa.select(incidents.c.stood_down_by, incidents.c.stood_down_how).where(
        _THIS, incidents.c.stood_down_by != ""
    )
)
_DECISION = Prepared(
    sa.select(decisions).where(decisions.c.incident_id == _ID, decisions.c.plan_hash == sa.bindparam("plan"))
)
_PLAN = Prepared(sa.select(incidents.c.plan).where(_THIS))
_REVISION = Prepared(
    sa.select(revisions.c.path, revisions.c.text).where(revisions.c.revision == sa.bindparam("revision"))
)


class StoredIncidents(StoredTellings):
    """Implements the incident half of ports.IncidentStore."""

    def incident(self, incident_id: str) -> Incident:
        """One incident; UnknownIncidentError if there is none."""
        settle(Of.INCIDENT)
        with self.database.reading() as connection:
            row = _INCIDENT.first(connection, {"incident": incident_id})
        if row is None:
            raise UnknownIncidentError(
                f"there is no incident {incident_id}; `oncall-agent incidents` lists them"
            )
        return incident_of_row(row)

    def service_of(self, incident_id: str) -> str:
        """The service that its alert is about; "" if that does not say, or there is no such incident."""
        with self.database.reading() as connection:
            return _SERVICE.scalar(connection, {"incident": incident_id}) or ""

    def timeline(self, incident_id: str) -> Sequence[TimelineEvent]:
        """Its story, oldest first."""
        settle(Of.TIMELINE)
        with self.database.reading() as connection:
            return [event_of_row(row) for row in _TIMELINE.all(connection, {"incident": incident_id})]

    def keep_revision(self, runbook: Runbook) -> None:
        """Keep the text of a revision for as long as incidents refer to it."""
        row = {
            "revision": runbook.revision,
            "runbook_id": runbook.id,
            "path": runbook.path,
            "text": runbook.text,
        }
        with self.database.reading() as connection:
            if _REVISION.first(connection, {"revision": runbook.revision}) is not None:
                return
        with self.database.writing() as connection:
            self.database.insert_once(connection, revisions, row)

    def revision_text(self, revision: str) -> tuple[str, str]:
        """(path, text) of a kept revision."""
        with self.database.reading() as connection:
            row = _REVISION.first(connection, {"revision": revision})
        if row is None:
            raise StoreError(f"the text of runbook revision {revision[:12]} is not kept")
        return row.path, row.text

    def plan(self, incident_id: str) -> Plan | None:
        """The plan that the incident runs by."""
        settle(Of.PLAN)
        with self.database.reading() as connection:
            text = _PLAN.scalar(connection, {"incident": incident_id})
        return codec.load(text, Plan) if text else None

    def stand_down(self, incident_id: str, stand_down: StandDown) -> bool:
        """A human took over; in force before the next attempt. False if the incident is over."""
        by = {"by": stand_down.by or "somebody", "how": stand_down.how}
        with self.database.writing() as connection:
            if _STAND_DOWN.first(connection, {"incident": incident_id, **by}) is not None:
                return True
            # told again after a crash in between: the same human's hand is still in time
            return _STOOD_DOWN_BY.first(connection, {"incident": incident_id, **by}) is not None

    def withdraw_resolve(self, incident_id: str, *, why: str) -> bool:
        """Take back a resolve that was not delivered, True again for the same why; False if there is none."""
        kind = f'"_type":"{DeskResolve.__name__}"'
        is_resolve = sa.and_(
            outbox.c.incident_id == incident_id,
            outbox.c.channel == Channel.DESK.value,
            outbox.c.message.contains(kind, autoescape=True),
        )
        asked_before = sa.select(outbox.c.id).where(
            is_resolve, outbox.c.state == "withdrawn", outbox.c.error == why
        )
        with self.database.writing() as connection:
            withdrawn = connection.execute(
                outbox.update()
                .where(is_resolve, outbox.c.state == "waiting")
                .values(state="withdrawn", error=why)
                .returning(outbox.c.id)
            ).first()
            return withdrawn is not None or connection.execute(asked_before).first() is not None

    def may_go_on(self, incident_id: str) -> bool:
        """Whether nobody took over and the incident has not ended; cheap, a running command asks often."""
        with self.database.reading() as connection:
            return _MAY_GO_ON.first(connection, {"incident": incident_id}) is not None

    def stand_down_of(self, incident_id: str) -> StandDown | None:
        """Who took over, if anybody did."""
        with self.database.reading() as connection:
            row = _STOOD_DOWN.first(connection, {"incident": incident_id})
        return StandDown(row.stood_down_by, row.stood_down_how) if row else None

    def decide(self, incident_id: str, decision: Decision) -> bool:
        """A human's answer to a plan; the first one counts, False for any later one."""
        row = {
            "incident_id": incident_id,
            "plan_hash": decision.plan_hash,
            "approved": decision.approved,
            "by": decision.by,
            "at": stamp(decision.at),
            "choice": decision.choice,
        }
        with self.database.writing() as connection:
            return self.database.insert_once(connection, decisions, row)

    def decision(self, incident_id: str, plan_hash: str) -> Decision | None:
        """The answer to this plan, if there is one."""
        with self.database.reading() as connection:
            row = _DECISION.first(connection, {"incident": incident_id, "plan": plan_hash})
        return Decision(row.plan_hash, row.approved, row.by, moment(row.at), row.choice) if row else None


def incident_of_row(row: Any) -> Incident:
    """A row of `incidents` as a value."""
    return Incident(
        id=row.id,
        alert=alert_of_text(row.alert),
        status=Status(row.status),
        received_at=moment(row.received_at),
        started_at=moment_or_none(row.started_at),
        ended_at=moment_or_none(row.ended_at),
        runbook_id=row.runbook_id,
        runbook_title=row.runbook_title,
        runbook_revision=row.runbook_revision,
        steps_total=row.steps_total,
        steps_done=row.steps_done,
        autonomy=row.autonomy,
        confidence=row.confidence,
        match_reasons=tuple(json.loads(row.match_reasons)),
        result=row.result,
        stood_down_by=row.stood_down_by,
        stood_down_how=row.stood_down_how,
        alert_count=row.alert_count,
        last_alert_at=moment_or_none(row.last_alert_at),
        folded_into=row.folded_into,
    )


def event_of_row(row: Any) -> TimelineEvent:
    """A row of `timeline` as a value."""
    return TimelineEvent(
        seq=row.seq,
        incident_id=row.incident_id,
        at=moment(row.at),
        kind=EventKind(row.kind),
        text=row.text,
        data=codec.loads(row.data),
        actor=row.actor,
        key=row.key,
    )
