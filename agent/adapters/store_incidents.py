"""Incidents and their timeline: every change is an entry, its messages, and its chain link at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.audit_chain import GENESIS, entry_hash
from agent.adapters.database import Database, moment, moment_or_none, stamp
from agent.adapters.store_schema import (
    decisions,
    escalations,
    incidents,
    outbox,
    revisions,
    timeline,
)
from agent.domain.alert import Alert
from agent.domain.decisions import Plan, StandDown
from agent.domain.errors import StoreError, UnknownIncidentError
from agent.domain.incident import Entry, EventKind, Incident, Status, TimelineEvent
from agent.domain.outbox import Channel, DeskResolve, Message, channel_of
from agent.domain.records import Changes, Decision
from agent.domain.runbook import Runbook
from agent.ports import Clock

_TERMINAL = [status.value for status in Status if status.is_terminal]


class StoredIncidents:
    """Implements the incident half of ports.IncidentStore."""

    database: Database
    clock: Clock

    def incident(self, incident_id: str) -> Incident:
        """One incident; UnknownIncidentError if there is none."""
        with self.database.reading() as connection:
            row = connection.execute(sa.select(incidents).where(incidents.c.id == incident_id)).first()
        if row is None:
            raise UnknownIncidentError(
                f"there is no incident {incident_id}; `oncall-agent incidents` lists them"
            )
        return incident_of_row(row)

    def timeline(self, incident_id: str) -> Sequence[TimelineEvent]:
        """Its story, oldest first."""
        query = sa.select(timeline).where(timeline.c.incident_id == incident_id).order_by(timeline.c.seq)
        with self.database.reading() as connection:
            return [_event(row) for row in connection.execute(query)]

    def record(
        self,
        incident_id: str,
        entries: Sequence[Entry],
        *,
        changes: Changes | None = None,
        messages: Sequence[Message] = (),
    ) -> bool:
        """Tell entries, apply changes and post messages in one transaction."""
        with self.database.chaining() as connection:
            for position, entry in enumerate(entries):
                told = self.append(connection, incident_id, entry)
                if position == 0 and not told:
                    return False
            self._apply(connection, incident_id, changes)
            self.post(connection, incident_id, messages)
        return True

    def append(self, connection: sa.Connection, incident_id: str, entry: Entry) -> bool:
        """Add one entry to the chain; False if its key was told before."""
        known = sa.select(timeline.c.seq).where(
            timeline.c.incident_id == incident_id, timeline.c.key == entry.key
        )
        if connection.execute(known).first() is not None:
            return False
        last = connection.execute(
            sa.select(timeline.c.seq, timeline.c.hash).order_by(timeline.c.seq.desc()).limit(1)
        ).first()
        seq, prev = (last.seq + 1, last.hash) if last else (1, GENESIS)
        at = stamp(self.clock.now())
        data = json.loads(json.dumps(dict(entry.data), sort_keys=True))
        hashed = {
            "seq": seq, "incident": incident_id, "key": entry.key, "at": at, "kind": entry.kind.value,
            "actor": entry.actor, "text": entry.text, "data": data,
        }  # fmt: skip
        connection.execute(
            timeline.insert().values(
                seq=seq,
                incident_id=incident_id,
                key=entry.key,
                at=at,
                kind=entry.kind.value,
                actor=entry.actor,
                text=entry.text,
                data=json.dumps(data, sort_keys=True),
                prev_hash=prev,
                hash=entry_hash(prev, hashed),
            )
        )
        return True

    def post(self, connection: sa.Connection, incident_id: str, messages: Sequence[Message]) -> None:
        """Put messages into the outbox within the caller's transaction."""
        now = stamp(self.clock.now())
        rows = [
            {
                "channel": channel_of(message).value,
                "incident_id": incident_id,
                "message": codec.dump(message, Message),
                "created_at": now,
                "due_at": "",  # at once, whatever the clock does
            }
            for message in messages
        ]
        if rows:
            connection.execute(outbox.insert(), rows)

    def _apply(self, connection: sa.Connection, incident_id: str, changes: Changes | None) -> None:
        if changes is None:
            return
        values = _columns(changes)
        change = incidents.update().where(incidents.c.id == incident_id)
        if changes.status is not None:
            # what has ended stays ended, although its run may not have noticed yet
            change = change.where(incidents.c.status.not_in(_TERMINAL))
            values |= {"ended_at": stamp(self.clock.now())} if changes.status.is_terminal else {}
        if values:
            connection.execute(change.values(**values))
        if changes.escalation is not None:
            row = {
                "incident_id": incident_id,
                "trigger": changes.escalation.trigger.value,
                "reason": changes.escalation.reason,
                "severity": changes.escalation.severity.value,
                "dedup_key": changes.escalation.dedup_key,
                "summary": changes.escalation.summary,
                "status": "open",
                "created_at": stamp(self.clock.now()),
            }
            self.database.insert_once(connection, escalations, row)

    def keep_revision(self, runbook: Runbook) -> None:
        """Keep the text of a revision for as long as incidents refer to it."""
        row = {
            "revision": runbook.revision,
            "runbook_id": runbook.id,
            "path": runbook.path,
            "text": runbook.text,
        }
        with self.database.writing() as connection:
            self.database.insert_once(connection, revisions, row)

    def revision_text(self, revision: str) -> tuple[str, str]:
        """(path, text) of a kept revision."""
        with self.database.reading() as connection:
            query = sa.select(revisions.c.path, revisions.c.text).where(revisions.c.revision == revision)
            row = connection.execute(query).first()
        if row is None:
            raise StoreError(f"the text of runbook revision {revision[:12]} is not kept")
        return row.path, row.text

    def plan(self, incident_id: str) -> Plan | None:
        """The plan that the incident runs by."""
        with self.database.reading() as connection:
            query = sa.select(incidents.c.plan).where(incidents.c.id == incident_id)
            text = connection.execute(query).scalar()
        return codec.load(text, Plan) if text else None

    def stand_down(self, incident_id: str, stand_down: StandDown) -> bool:
        """A human took over; in force before the next attempt. False if the incident is over."""
        with self.database.writing() as connection:
            result = connection.execute(
                incidents.update()
                .where(
                    incidents.c.id == incident_id,
                    incidents.c.status.not_in(_TERMINAL),
                    incidents.c.stood_down_by == "",
                )
                .values(stood_down_by=stand_down.by or "somebody", stood_down_how=stand_down.how)
                .returning(incidents.c.id)
            )
            if result.first() is not None:
                return True
            # told again after a crash in between: the same human's hand is still in time
            same = sa.select(incidents.c.id).where(
                incidents.c.id == incident_id,
                incidents.c.status.not_in(_TERMINAL),
                incidents.c.stood_down_by == (stand_down.by or "somebody"),
                incidents.c.stood_down_how == stand_down.how,
            )
            return connection.execute(same).first() is not None

    def withdraw_resolve(self, incident_id: str) -> bool:
        """Take a resolve back that has not been delivered; False if there is none."""
        kind = f'"_type":"{DeskResolve.__name__}"'
        with self.database.writing() as connection:
            withdrawn = connection.execute(
                outbox.update()
                .where(
                    outbox.c.incident_id == incident_id,
                    outbox.c.channel == Channel.DESK.value,
                    outbox.c.state == "waiting",
                    outbox.c.message.contains(kind, autoescape=True),
                )
                .values(state="withdrawn")
                .returning(outbox.c.id)
            )
            return withdrawn.first() is not None

    def may_go_on(self, incident_id: str) -> bool:
        """Whether nobody took over and the incident has not ended; cheap, a running command asks often."""
        query = sa.select(incidents.c.id).where(
            incidents.c.id == incident_id,
            incidents.c.stood_down_by == "",
            incidents.c.status.not_in(_TERMINAL),
        )
        with self.database.reading() as connection:
            return connection.execute(query).first() is not None

    def stand_down_of(self, incident_id: str) -> StandDown | None:
        """Who took over, if anybody did."""
        query = sa.select(incidents.c.stood_down_by, incidents.c.stood_down_how).where(
            incidents.c.id == incident_id, incidents.c.stood_down_by != ""
        )
        with self.database.reading() as connection:
            row = connection.execute(query).first()
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
        query = sa.select(decisions).where(
            decisions.c.incident_id == incident_id, decisions.c.plan_hash == plan_hash
        )
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        return Decision(row.plan_hash, row.approved, row.by, moment(row.at), row.choice) if row else None


def _columns(changes: Changes) -> dict[str, Any]:
    """The columns of `incidents` that the changes touch."""
    values: dict[str, Any] = {}
    if changes.status is not None:
        values["status"] = changes.status.value
    if changes.alert is not None:
        values |= {
            "alert": codec.dump(changes.alert),
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
        values |= {"plan": codec.dump(changes.plan), "steps_total": len(changes.plan.steps)}
    plain: Mapping[str, object] = {
        "runbook_title": changes.runbook_title,
        "autonomy": changes.autonomy,
        "steps_done": changes.steps_done,
        "result": changes.result,
    }
    return values | {name: value for name, value in plain.items() if value is not None}


def incident_of_row(row: Any) -> Incident:
    """A row of `incidents` as a value."""
    return Incident(
        id=row.id,
        alert=codec.load(row.alert, Alert),
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
    )


def _event(row: Any) -> TimelineEvent:
    return TimelineEvent(
        seq=row.seq,
        incident_id=row.incident_id,
        at=moment(row.at),
        kind=EventKind(row.kind),
        text=row.text,
        data=json.loads(row.data),
        actor=row.actor,
        key=row.key,
    )
