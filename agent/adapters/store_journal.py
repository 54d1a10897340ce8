"""The journal of attempts and the charges: what makes "never run twice" and "never over the limit" true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent.adapters import codec, store_limits
from agent.adapters.database import Database, stamp
from agent.adapters.prepared import Prepared
from agent.adapters.store_executors import still_ours
from agent.adapters.store_schema import attempts, charges
from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, AttemptEnd, Section
from agent.domain.limits import Charge
from agent.domain.records import AlreadyEnded, AttemptKey, BeginAttempt, Begun, Unfinished
from agent.ports import Clock

#: What ending an attempt may take beyond its own time: the commands are asked to end, then killed.
_ENDING = timedelta(seconds=30)


_THIS = (
    attempts.c.incident_id == sa.bindparam("of", type_=sa.Text),
    attempts.c.section == sa.bindparam("in_section"),
    attempts.c.step == sa.bindparam("at_step"),
    attempts.c.number == sa.bindparam("as_number"),
)
_ATTEMPT = Prepared(sa.select(attempts).where(*_THIS))
_JOURNAL = Prepared(sa.select(attempts).where(_THIS[0]).order_by(attempts.c.begun_at))
_BEGIN = Prepared(attempts.insert())
_CHANGE = Prepared(attempts.update().where(*_THIS))
_END = Prepared(attempts.update().where(*_THIS, attempts.c.ended_at.is_(None)))


class StoredJournal:
    """Implements the journal half of ports.IncidentStore."""

    database: Database
    clock: Clock
    executor_id: str = ""
    working_since: str = ""

    def look_up_attempt(self, key: AttemptKey, *, read_only: bool) -> AlreadyEnded | Unfinished | None:
        """What the journal knows of an attempt; None if it may begin (again, if it only reads)."""
        with self.database.reading() as connection:
            row = _ATTEMPT.first(connection, _named(key))
        return None if row is None else _known(row, read_only=read_only)

    def begin_attempt(self, key: AttemptKey, *, title: str, charge: Charge) -> BeginAttempt:
        """Charge every limit and write the intent in one transaction, before anything is spawned."""
        now = self.clock.now()
        with self.database.chaining() as connection:
            still_ours(connection, self.executor_id, self.working_since)
            row = _ATTEMPT.first(connection, _named(key))
            if row is not None:
                return _begun_before(connection, row, key, charge, executor_id=self.executor_id)
            refusal = store_limits.refusal(connection, key.incident_id, charge, self._passed(now))
            intent = self._intent(key, title=title, charge=charge)
            if refusal is not None:
                _BEGIN.run(connection, intent | self._refused(key, refusal))
                return refusal
            busy = store_limits.busy(connection, key, charge, self._passed(now))
            if busy is not None:
                return busy
            store_limits.take(connection, key, charge, now)
            _BEGIN.run(connection, intent)
            return Begun()

    def refuse_attempt(self, key: AttemptKey, *, title: str, refusal: Refusal) -> None:
        """Write down that a guard said no; nothing was charged, and after a restart it is still a no."""
        now = stamp(self.clock.now())
        with self.database.chaining() as connection:
            row = _ATTEMPT.first(connection, _named(key))
            if row is None:
                named = {"incident_id": key.incident_id, "section": key.section.value, "title": title}
                numbered = {"step": key.step, "number": key.number, "marker": key.marker}
                begun = {"read_only": True, "begun_at": now, "holds_until": now}
                refused = self._refused(key, refusal)
                _BEGIN.run(connection, {**named, **numbered, **begun, **refused})
            elif row.ended_at is None:
                refused = self._refused(key, refusal)
                _CHANGE.run(connection, _named(key) | refused)

    def over_a_window(self, charge: Charge) -> Refusal | None:
        """Whether incidents have left too little of a limit across them; nothing is charged or written."""
        with self.database.reading() as connection:
            return store_limits.over_a_window(connection, charge, self._passed(self.clock.now()))

    def _passed(self, now: datetime) -> datetime:
        """As far as time has really passed: a clock set forward lets nothing be forgotten early."""
        return now - timedelta(seconds=self.clock.leapt_s())

    def _intent(self, key: AttemptKey, *, title: str, charge: Charge) -> dict[str, Any]:
        now = self.clock.now()
        return {
            "incident_id": key.incident_id,
            "section": key.section.value,
            "step": key.step,
            "number": key.number,
            "title": title,
            "read_only": charge.is_read_only,
            "marker": key.marker,
            "begun_at": stamp(now),
            "commands": charge.commands,
            "executor": self.executor_id,
            "holds_until": stamp(now + timedelta(seconds=charge.lasts_s) + _ENDING),
        }

    def _refused(self, key: AttemptKey, refusal: Refusal) -> dict[str, Any]:
        """A refused attempt is kept for the story; it ran nothing."""
        attempt = Attempt(key.section, key.step, key.number, AttemptEnd.REFUSED, str(refusal))
        return {"ended_at": stamp(self.clock.now()), "attempt": codec.packed(attempt), "commands": 0}

    def end_attempt(self, key: AttemptKey, attempt: Attempt) -> None:
        """Write down how an attempt ended; the first word counts."""
        ended = {"attempt": codec.packed(attempt)}
        with self.database.writing(is_urgent=True) as connection:
            _END.run(connection, _named(key) | ended | {"ended_at": stamp(self.clock.now())})

    def attempts(self, incident_id: str) -> Sequence[Attempt]:
        """The journal of an incident, oldest first; unfinished ones have end OUTCOME_UNKNOWN."""
        with self.database.reading() as connection:
            return [_attempt(row) for row in _JOURNAL.all(connection, {"of": incident_id})]

    def charged(self, incident_id: str) -> Mapping[str, int]:
        """What the incident has used of each effect class."""
        query = (
            sa.select(charges.c.effect_class, sa.func.sum(charges.c.count).label("used"))
            .where(charges.c.incident_id == incident_id)
            .group_by(charges.c.effect_class)
        )
        with self.database.reading() as connection:
            return {row.effect_class: int(row.used) for row in connection.execute(query)}


def _known(row: Any, *, read_only: bool) -> AlreadyEnded | Unfinished | None:
    """What a journal row says; None if the attempt may begin again, because it only reads."""
    if row.ended_at is not None:
        return AlreadyEnded(codec.load(row.attempt, Attempt))
    return None if row.read_only and read_only else Unfinished()


def _begun_before(
    connection: sa.Connection, row: Any, key: AttemptKey, charge: Charge, *, executor_id: str
) -> BeginAttempt:
    """One that only reads may begin again; its commands are counted again."""
    known = _known(row, read_only=charge.is_read_only)
    if known is not None:
        return known
    refusal = store_limits.too_many_commands(connection, key.incident_id, charge)
    if refusal is not None:
        return refusal
    again = {"commands": row.commands + charge.commands, "executor": executor_id}
    _CHANGE.run(connection, _named(key) | again)
    return Begun()


def _named(key: AttemptKey) -> dict[str, Any]:
    """The key as the statements above ask for it."""
    return {
        "of": key.incident_id,
        "in_section": key.section.value,
        "at_step": key.step,
        "as_number": key.number,
    }


def _attempt(row: Any) -> Attempt:
    if row.attempt:
        loaded: Attempt = codec.load(row.attempt, Attempt)
        return loaded
    return Attempt(Section(row.section), row.step, row.number, AttemptEnd.OUTCOME_UNKNOWN, "not ended yet")
