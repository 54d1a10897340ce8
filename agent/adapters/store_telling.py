"""Telling: entries, what changes with them, and the messages that follow, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import sqlalchemy as sa

from agent.adapters import codec
from agent.adapters.audit_chain import GENESIS, entry_hash
from agent.adapters.database import Database, stamp
from agent.adapters.json_view import clean
from agent.adapters.packing import pack, unpack
from agent.adapters.prepared import Prepared, insert_once
from agent.adapters.riding import Of, aboard
from agent.adapters.store_autonomy import earn
from agent.adapters.store_changes import Change, change_of
from agent.adapters.store_folded import end_folded
from agent.adapters.store_queue_rows import row_of
from agent.adapters.store_runs import end_run
from agent.adapters.store_schema import incidents, outbox, timeline
from agent.adapters.store_schema_queue import escalations
from agent.domain.alert import Alert
from agent.domain.autonomy import FileChanged, LevelGiven, RunEnded
from agent.domain.errors import StoreError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import ChatLine, Message, PageHuman, channel_of
from agent.domain.records import Changes, Escalation, FoldedEnd
from agent.escalations.entering import Queueing
from agent.escalations.notices import Occasion, told
from agent.ports import Clock

_LAST = Prepared(sa.select(timeline.c.seq, timeline.c.hash).order_by(timeline.c.seq.desc()).limit(1))
_TELL = insert_once(timeline, "incident_id", "key")
_POST = Prepared(outbox.insert())
_ALERT = Prepared(
    sa.select(incidents.c.alert, incidents.c.runbook_id).where(
        incidents.c.id == sa.bindparam("incident", type_=sa.Text)
    )
)

#: A longer alert is read anew each time: what is remembered must not grow with what others send.
_REMEMBERED = 8_192

#: Under this name a transaction remembers the last entry of the chain.
_LAST_LINK = "last link"


@dataclass(frozen=True, slots=True)
class _Telling:
    """What is told of one incident at once: entries, what changes with them, and letters."""

    incident_id: str
    entries: Sequence[Entry]
    at: str
    changes: Changes
    change: Change | None
    letters: Sequence[dict[str, str]]


def _can_wait(changes: Changes | None) -> bool:
    """What is the same alert, who is woken, and what a runbook has earned is asked of what is stored."""
    if changes is None:
        return True
    is_over = changes.status is not None and changes.status.is_terminal
    asked_for = changes.alert, changes.escalation, changes.folded, changes.earned
    return not is_over and all(each is None for each in asked_for)


def _touched(changes: Changes | None) -> tuple[Of, ...]:
    """What is not as it stands until it is written."""
    if changes is None:
        return (Of.TIMELINE,)
    return (Of.TIMELINE, Of.INCIDENT) if changes.plan is None else (Of.TIMELINE, Of.INCIDENT, Of.PLAN)


class StoredTellings:
    """Implements the telling half of ports.IncidentStore."""

    database: Database
    clock: Clock

    #: The wiring says what the configuration wants; by itself a store routes everything to the on-call.
    queueing: Queueing = Queueing()

    def record(
        self,
        incident_id: str,
        entries: Sequence[Entry],
        *,
        changes: Changes | None = None,
        messages: Sequence[Message] = (),
    ) -> bool:
        """Tell entries, apply changes and post messages in one transaction."""
        telling = self._made(incident_id, entries, changes, messages)
        with self.database.chaining() if entries else self.database.writing() as connection:
            return self._write_telling(connection, telling)

    def record_soon(
        self,
        incident_id: str,
        entries: Sequence[Entry],
        *,
        changes: Changes | None = None,
        messages: Sequence[Message] = (),
    ) -> None:
        """The same with the run's next transaction; outside a run, or if it cannot wait, at once."""
        rider = aboard()
        if rider is None or not _can_wait(changes):
            self.record(incident_id, entries, changes=changes, messages=messages)
            return
        telling = self._made(incident_id, entries, changes, messages)
        rider.take(lambda connection: self._write_telling(connection, telling), *_touched(changes))

    def _made(
        self,
        incident_id: str,
        entries: Sequence[Entry],
        changes: Changes | None,
        messages: Sequence[Message],
    ) -> _Telling:
        at = stamp(self.clock.now())
        letters = self._letters(incident_id, messages)
        return _Telling(incident_id, entries, at, changes or Changes(), change_of(changes, at), letters)

    def _write_telling(self, connection: sa.Connection, this: _Telling) -> bool:
        """False if the first entry was told before: then so was all of it."""
        for position, entry in enumerate(this.entries):
            told = self.append(connection, this.incident_id, entry, at=this.at)
            if position == 0 and not told:
                return False
        changes, letters = this.changes, [*this.letters]
        if this.change:
            this.change.statement.run(connection, {"incident": this.incident_id, **this.change.values})
        if changes.status is not None and changes.status.is_terminal:
            end_run(connection, this.incident_id)
        if changes.escalation is not None:
            self._queue(connection, this.incident_id, changes.escalation)
        if changes.folded is not None:
            letters += self._end_folded(connection, this.incident_id, changes.folded)
        if changes.earned is not None:
            letters += self._earn(connection, this.incident_id, changes.earned)
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

    def append(
        self, connection: sa.Connection, incident_id: str, entry: Entry, *, at: str | None = None
    ) -> bool:
        """Add one entry to the chain; False if its key was told before. Only within `chaining()`."""
        seq, prev = self._next_link(connection)
        at = at or stamp(self.clock.now())
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
        alert = alert_of_text(found.alert)
        item = self.queueing.entered(
            incident_id, alert, escalation, runbook=found.runbook_id, now=self.clock.now()
        )
        item, messages = told(self.queueing, item, Occasion.CREATED)
        row = row_of(item, severity=escalation.severity, summary=escalation.summary)
        if self.database.insert_once(connection, escalations, row):
            self.post(connection, incident_id, messages)


def _own_summary(message: Message) -> str:
    """By what a page of the agent's own is known when it comes back as a webhook."""
    return message.summary if isinstance(message, PageHuman) and not message.client else ""


def alert_of_text(text: str) -> Alert:
    """An incident is read several times while it runs, and its alert is nearly always the same."""
    whole = unpack(text)
    return (_same_alert if len(whole) <= _REMEMBERED else _read_alert)(whole)


@lru_cache(maxsize=256)
def _same_alert(text: str) -> Alert:
    return _read_alert(text)


def _read_alert(text: str) -> Alert:
    alert: Alert = codec.load(text, Alert)
    return alert
