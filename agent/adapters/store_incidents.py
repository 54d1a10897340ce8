"""Incidents and their timeline: every change is an entry, its messages, and its chain link at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.audit_chain import GENESIS, entry_hash
from agent.adapters.database import Database, moment, moment_or_none, stamp
from agent.adapters.json_view import clean
from agent.adapters.packing import pack, unpack
from agent.adapters.prepared import Prepared, insert_once
from agent.adapters.store_autonomy import earn
from agent.adapters.store_changes import change_of
from agent.adapters.store_folded import end_folded
from agent.adapters.store_queue_rows import row_of
from agent.adapters.store_runs import end_run
from agent.adapters.store_schema import (
    TERMINAL,
    decisions,
    incidents,
    is_one_of,
    outbox,
    revisions,
    timeline,
)
from agent.adapters.store_schema_queue import escalations
from agent.domain.alert import Alert
from agent.domain.autonomy import FileChanged, LevelGiven, RunEnded
from agent.domain.decisions import Plan, StandDown
from agent.domain.errors import StoreError, UnknownIncidentError
from agent.domain.incident import Entry, EventKind, Incident, Status, TimelineEvent
from agent.domain.outbox import Channel, ChatLine, DeskResolve, Message, PageHuman, channel_of
from agent.domain.records import Changes, Decision, Escalation, FoldedEnd
from agent.domain.runbook import Runbook
from agent.escalations.entering import Queueing
from agent.escalations.notices import Occasion, told
from agent.ports import Clock

_ID = sa.bindparam("incident", type_=sa.Text)
_THIS = incidents.c.id == _ID
_THIS_UNFINISHED = sa.and_(_THIS, ~is_one_of(incidents.c.status, TERMINAL))
_BY, _HOW = sa.bindparam("by", type_=sa.Text), sa.bindparam("how", type_=sa.Text)

#: All that `incident_of_row` reads: a plan is long, and asked for by itself.
WHOLE = sa.select(*(column for column in incidents.c if column is not incidents.c.plan))

_INCIDENT = Prepared(WHOLE.where(_THIS))
_TIMELINE = Prepared(sa.select(timeline).where(timeline.c.incident_id == _ID).order_by(timeline.c.seq))
_LAST = Prepared(sa.select(timeline.c.seq, timeline.c.hash).order_by(timeline.c.seq.desc()).limit(1))
_TELL = insert_once(timeline, "incident_id", "key")
_POST = Prepared(outbox.insert())
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
_ALERT = Prepared(sa.select(incidents.c.alert, incidents.c.runbook_id).where(_THIS))
_REVISION = Prepared(
    sa.select(revisions.c.path, revisions.c.text).where(revisions.c.revision == sa.bindparam("revision"))
)

#: A longer alert is read anew each time: what is remembered must not grow with what others send.
_REMEMBERED = 8_192

#: Under this name a transaction remembers the last entry of the chain.
_LAST_LINK = "last link"


class StoredIncidents:
    """Implements the incident half of ports.IncidentStore."""

    database: Database
    clock: Clock

    #: The wiring says what the configuration wants; by itself a store routes everything to the on-call.
    queueing: Queueing = Queueing()

    def incident(self, incident_id: str) -> Incident:
        """One incident; UnknownIncidentError if there is none."""
        with self.database.reading() as connection:
            row = _INCIDENT.first(connection, {"incident": incident_id})
        if row is None:
            raise UnknownIncidentError(
                f"there is no incident {incident_id}; `oncall-agent incidents` lists them"
            )
        return incident_of_row(row)

    def timeline(self, incident_id: str) -> Sequence[TimelineEvent]:
        """Its story, oldest first."""
        with self.database.reading() as connection:
            return [event_of_row(row) for row in _TIMELINE.all(connection, {"incident": incident_id})]

    def record(
        self,
        incident_id: str,
        entries: Sequence[Entry],
        *,
        changes: Changes | None = None,
        messages: Sequence[Message] = (),
    ) -> bool:
        """Tell entries, apply changes and post messages in one transaction."""
        letters = self._letters(incident_id, messages)
        change = None if changes is None else change_of(changes, stamp(self.clock.now()))
        with self._telling(entries) as connection:
            for position, entry in enumerate(entries):
                told = self.append(connection, incident_id, entry)
                if position == 0 and not told:
                    return False
            if change:
                change.statement.run(connection, {"incident": incident_id, **change.values})
            if changes is not None and changes.status is not None and changes.status.is_terminal:
                end_run(connection, incident_id)
            if changes is not None and changes.escalation is not None:
                self._queue(connection, incident_id, changes.escalation)
            if changes is not None and changes.folded is not None:
                letters += self._end_folded(connection, incident_id, changes.folded)
            if changes is not None and changes.earned is not None:
                letters += self._earn(connection, incident_id, changes.earned)
            _POST.run_many(connection, letters)
        return True

    def _earn(
        self, connection: sa.Connection, incident_id: str, event: RunEnded | FileChanged
    ) -> list[dict[str, str]]:
        """The runbook's record, and the line that tells what it earned or lost."""
        news = earn(self.database, connection, event, self.clock.now())
        if news is None:
            return []
        entry = Entry(f"autonomy-{type(event).__name__}", EventKind.AUTONOMY, news.text, news.data)
        if not self.append(connection, incident_id, entry) or not event.in_chat:
            return []
        return self._letters(incident_id, [ChatLine(news.text)])

    def give_level(self, story: str, event: LevelGiven, *, in_chat: bool) -> None:
        """A human's word on how far a runbook may go; told in a story of the timeline."""
        with self.database.chaining() as connection:
            now = self.clock.now()
            news = earn(self.database, connection, event, now)
            if news is None:
                return
            entry = Entry(f"autonomy-{stamp(now)}", EventKind.AUTONOMY, news.text, news.data, event.by)
            if self.append(connection, story, entry) and in_chat:
                self.post(connection, story, [ChatLine(news.text)])

    def _end_folded(
        self, connection: sa.Connection, incident_id: str, end: FoldedEnd
    ) -> list[dict[str, str]]:
        """The letters that close the same alert's other incidents at their source."""
        settled = end_folded(connection, incident_id, end, now=stamp(self.clock.now()))
        if end.resolve is None:
            return []
        return self._letters(incident_id, [replace(end.resolve, source_id=each) for each in settled])

    def _telling(self, entries: Sequence[Entry]) -> AbstractContextManager[sa.Connection]:
        return self.database.chaining() if entries else self.database.writing()

    def append(self, connection: sa.Connection, incident_id: str, entry: Entry) -> bool:
        """Add one entry to the chain; False if its key was told before. Only within `chaining()`."""
        seq, prev = self._next_link(connection)
        at = stamp(self.clock.now())
        kept = json.dumps(dict(entry.data), sort_keys=True)
        # what a command puts out may hold what no store takes; the chain stands on what is stored
        key, actor, text = clean(entry.key), clean(entry.actor), clean(entry.text)
        hashed = {
            "seq": seq, "incident": incident_id, "key": key, "at": at, "kind": entry.kind.value,
            "actor": actor, "text": text, "data": json.loads(kept),
        }  # fmt: skip
        row = {
            "seq": seq, "incident_id": incident_id, "key": key, "at": at, "kind": entry.kind.value,
            "actor": actor, "text": text, "data": pack(kept),
            "prev_hash": prev, "hash": entry_hash(prev, hashed),
        }  # fmt: skip
        if _TELL.first(connection, row) is None:
            return False
        self.database.remembered(connection)[_LAST_LINK] = (seq, row["hash"])
        return True

    def _next_link(self, connection: sa.Connection) -> tuple[int, str]:
        """What the next entry is and stands on.

        Read once a transaction: whoever appends holds the one lock that all processes share.
        """
        last = self.database.remembered(connection).get(_LAST_LINK)
        if last is None:
            last = _LAST.first(connection, {}) or (0, GENESIS)
        return last[0] + 1, last[1]

    def post(self, connection: sa.Connection, incident_id: str, messages: Sequence[Message]) -> None:
        """Put messages into the outbox within the caller's transaction."""
        _POST.run_many(connection, self._letters(incident_id, messages))

    def _letters(self, incident_id: str, messages: Sequence[Message]) -> list[dict[str, str]]:
        if not messages:
            return []
        now = stamp(self.clock.now())
        return [
            {
                "channel": channel_of(message).value,
                "incident_id": incident_id,
                "message": codec.dump(message, Message),
                "created_at": now,
                "due_at": "",  # at once, whatever the clock does
                "summary": _own_summary(message),
            }
            for message in messages
        ]

    def _queue(self, connection: sa.Connection, incident_id: str, escalation: Escalation) -> None:
        """Its place in the queue, and the word to whose it is, in the same transaction."""
        found = _ALERT.first(connection, {"incident": incident_id})
        if found is None:
            raise StoreError(f"there is no incident {incident_id} to escalate")
        alert = _alert_of(found.alert)
        item = self.queueing.entered(
            incident_id, alert, escalation, runbook=found.runbook_id, now=self.clock.now()
        )
        item, messages = told(self.queueing, item, Occasion.CREATED)
        row = row_of(item, severity=escalation.severity, summary=escalation.summary)
        if self.database.insert_once(connection, escalations, row):
            self.post(connection, incident_id, messages)

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


def _own_summary(message: Message) -> str:
    """By what a page of the agent's own is known when it comes back as a webhook."""
    return message.summary if isinstance(message, PageHuman) and not message.client else ""


def _alert_of(text: str) -> Alert:
    """An incident is read a dozen times while it runs, and its alert is nearly always the same."""
    whole = unpack(text)
    return (_same_alert if len(whole) <= _REMEMBERED else _read_alert)(whole)


@lru_cache(maxsize=256)
def _same_alert(text: str) -> Alert:
    return _read_alert(text)


def _read_alert(text: str) -> Alert:
    alert: Alert = codec.load(text, Alert)
    return alert


def incident_of_row(row: Any) -> Incident:
    """A row of `incidents` as a value."""
    return Incident(
        id=row.id,
        alert=_alert_of(row.alert),
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
