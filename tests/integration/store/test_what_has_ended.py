"""What has ended costs nothing: asked many times a second, the store looks only at what is open.

Counted is what SQLite does (the steps of its machine), so that the figures are the same on every computer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert, Severity
from agent.domain.decisions import Attempt, AttemptEnd, EscalationTrigger, Section, StandDown
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.limits import Charge, Scope, WindowLimit
from agent.domain.outbox import Channel, ChatLine, DeskNote, PageHuman
from agent.domain.records import AttemptKey, Changes, Escalation
from agent.domain.runs import Places
from agent.domain.source_event import EventType, SourceEvent

FEW, MANY = 100, 100_000

#: What one look may cost more, whatever has ended: a deeper index, another page.
_NOISE = 400

PAGE = PageHuman("oncall-agent-x", "A page of ours", Severity.CRITICAL, "incident-agent", "shop")

FLUSH = EffectClass.CACHE_OPERATION


class Counted:
    """A store that tells how many steps SQLite took."""

    def __init__(self, path: Path, ended: int) -> None:
        self.store = Store(f"sqlite:///{path}", FakeClock())
        self.store.migrate()
        self._steps = 0
        self._fill(ended)
        self.store.close()
        for engine in (self.store.database._reader, self.store.database._writer):
            sa.event.listen(engine, "connect", self._watch)
        self.open_ids = [self.open(number) for number in range(10)]

    def _watch(self, connection: sqlite3.Connection, _: object) -> None:
        connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self._steps += 10
        return 0

    def steps(self, do: Callable[[], object]) -> int:
        do()  # what is made once, such as a connection
        self._steps = 0
        do()
        return self._steps

    def open(self, number: int) -> str:
        """An incident that waits for its turn, with a letter and an event that wait too."""
        source_id = f"POPEN{number}"
        alert = Alert("pagerduty", source_id, "Redis connection timeout", service=f"s{number % 3}")
        event = SourceEvent(
            "pagerduty", source_id, EventType.TRIGGERED, "incident.triggered", source_id, alert=alert
        )
        incident_id = self.store.accept(event, "{}").incident_id
        entry = Entry("received", EventKind.RECEIVED, "It came")
        self.store.record(
            incident_id, [entry], messages=[ChatLine("It came"), DeskNote(source_id, "x"), PAGE]
        )
        return incident_id

    def _fill(self, ended: int) -> None:
        """Incidents that have ended, each with all that belongs to one."""
        numbers = (
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ended}), "
            "rows AS (SELECT n, '2020-01-01T00:00:' || printf('%09d', n) || '+00:00' AS at FROM numbers) "
        )
        with self.store.database.writing() as connection:
            for table, row in ROWS.items():
                columns, values = ", ".join(f'"{name}"' for name in row), ", ".join(row.values())
                insert = f"INSERT INTO {table} ({columns}) SELECT {values} FROM rows"
                connection.exec_driver_sql(f"{numbers} {insert}")


#: What an incident that has ended leaves behind: number n, at its time.
ROWS = {
    "incidents": {
        "id": "'inc-' || n", "source": "'pagerduty'", "source_id": "'P' || n", "title": "'Redis'",
        "alert": "'{}'", "service": "'s' || n % 3", "status": "'resolved'", "received_at": "at",
        "started_at": "at", "ended_at": "at", "runbook_id": "'redis'", "runbook_revision": "'r1'",
        "identity": "'same ' || n % 1000",
    },
    "deliveries": {
        "id": "'pagerduty:' || n", "source": "'pagerduty'", "received_at": "at", "event": "'{}'",
        "raw": "'{}'", "incident_id": "'inc-' || n", "handled_at": "at", "outcome": "'opened'",
    },
    "attempts": {
        "incident_id": "'inc-' || n", "section": "'steps'", "step": "1", "number": "1", "title": "'Flush'",
        "read_only": "0", "marker": "'inc-' || n || '/steps/1/1'", "begun_at": "at", "ended_at": "at",
        "attempt": "'{}'", "holds_until": "at",
    },
    "charges": {
        "incident_id": "'inc-' || n", "marker": "'inc-' || n || '/steps/1/1'", "count": "1",
        "effect_class": "'cache_operation'", "target": "'redis'", "at": "at",
        "service": "'s' || n % 3", "runbook": "'redis'",
    },
    "outbox": {
        "channel": "'pager'", "incident_id": "'inc-' || n", "message": "'{}'", "created_at": "at",
        "due_at": "''", "state": "'sent'", "sent_at": "at", "summary": "'A page ' || n",
    },
    "decisions": {
        "incident_id": "'inc-' || n", "plan_hash": "'h'", "approved": "1", "by": "'x'", "at": "at",
        "told_at": "at",
    },
    "escalations": {
        "incident_id": "'inc-' || n", "trigger": "'step_failed'", "reason": "'x'", "severity": "'critical'",
        "dedup_key": "'k' || n", "summary": "'Page ' || n", "status": "'resolved'", "created_at": "at",
    },
    "timeline": {
        "seq": "n", "incident_id": "'inc-' || n", "key": "'end'", "at": "at", "kind": "'resolved'",
        "actor": "''", "text": "'done'", "data": "'{}'", "prev_hash": "'p'", "hash": "'h'",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    counted = Counted(tmp_path_factory.mktemp("short") / "oncall.db", FEW)
    yield counted
    counted.store.close()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    counted = Counted(tmp_path_factory.mktemp("long") / "oncall.db", MANY)
    yield counted
    counted.store.close()


def charge() -> Charge:
    window = WindowLimit("limits.per_service.per_hour.cache_operations", FLUSH, Scope.SERVICE, 3_600, 1_000)
    radius = BlastRadius({FLUSH: 1_000_000}, max_commands=1_000_000)
    alone = frozenset({FLUSH})
    return Charge((Effect(FLUSH, "redis"),), 1, radius, windows=(window,), exclusive=alone, service="s1")


_numbers = iter(range(1, 1_000_000))


def attempt(counted: Counted) -> None:
    key = AttemptKey(counted.open_ids[0], Section.STEPS, 1, next(_numbers))
    counted.store.begin_attempt(key, title="Flush", charge=charge())
    counted.store.end_attempt(key, Attempt(key.section, key.step, key.number, AttemptEnd.SUCCEEDED, ""))


def record(counted: Counted) -> None:
    entry = Entry(f"note-{next(_numbers)}", EventKind.NOTE, "x")
    counted.store.record(counted.open_ids[1], [entry], changes=Changes(status=Status.RUNNING))


def escalate(counted: Counted) -> None:
    escalation = Escalation(EscalationTrigger.STUCK, "x", Severity.CRITICAL, "k", "x")
    counted.store.record(counted.open_ids[2], (), changes=Changes(escalation=escalation))


def deliver(counted: Counted) -> None:
    letters = counted.store.next_letters(Channel.CHAT, 1)
    counted.store.begin_delivery([each.id for each in letters])
    counted.store.postpone([each.id for each in letters], delay_s=0, error="")


def acknowledge(counted: Counted) -> None:
    source_id, delivery_id = "POPEN3", f"ack-{next(_numbers)}"
    event = SourceEvent("pagerduty", delivery_id, EventType.ACKNOWLEDGED, "incident.acknowledged", source_id)
    counted.store.accept_all([(event, "{}")], backlog=100)
    counted.store.unhandled_events(10)
    counted.store.event_handled(delivery_id, "x")


def accept_together(counted: Counted) -> None:
    events = [
        SourceEvent("pagerduty", name, EventType.TRIGGERED, "incident.triggered", name, alert=alert)
        for name in (f"PNEW{next(_numbers)}" for _ in range(3))
        for alert in [Alert("pagerduty", name, f"Redis {name}", service="s1")]
    ]
    counted.store.accept_all([(event, "{}") for event in events])


ASKED_OFTEN: dict[str, Callable[[Counted], object]] = {
    "accept": lambda counted: counted.open(next(_numbers) + 100),
    "accept some together": accept_together,
    "accept an acknowledge": acknowledge,
    "record": record,
    "escalate": escalate,
    "an attempt": attempt,
    "deliver": deliver,
    "agenda": lambda counted: counted.store.agenda(),
    "claim": lambda counted: counted.store.claim(Places(0), "main"),
    "due": lambda counted: counted.store.begin_due("main"),
    "unhandled events": lambda counted: counted.store.unhandled_events(100),
    "untold decisions": lambda counted: counted.store.untold_decisions(),
    "unfinished": lambda counted: counted.store.unfinished(),
    "unfinished attempts": lambda counted: counted.store.markers_of(["main"]),
    "pages": lambda counted: counted.store.next_letters(Channel.PAGER, 50),
    "chat": lambda counted: counted.store.next_letters(Channel.CHAT, 200),
    "letters that wait": lambda counted: counted.store.outbox_state(),
    "own summary": lambda counted: counted.store.is_own_summary("AI agent escalation: none of ours"),
    "stand down": lambda counted: counted.store.stand_down(counted.open_ids[4], StandDown("x", "y")),
    "may go on": lambda counted: counted.store.may_go_on(counted.open_ids[5]),
    "incident": lambda counted: counted.store.incident(counted.open_ids[6]),
    "its timeline": lambda counted: counted.store.timeline(counted.open_ids[6]),
    "its journal": lambda counted: counted.store.attempts(counted.open_ids[6]),
    "its charges": lambda counted: counted.store.charged(counted.open_ids[6]),
    "newest incidents": lambda counted: counted.store.incidents(limit=10),
    "by source id": lambda counted: counted.store.incidents(source_id="POPEN1"),
    "stops": lambda counted: counted.store.stops(),
    "audit": lambda counted: list(counted.store.audit_entries(after=MANY * 2, limit=100)),
}


@pytest.mark.parametrize("name", ASKED_OFTEN)
def test_what_has_ended_costs_nothing(short: Counted, long: Counted, name: str) -> None:
    do = ASKED_OFTEN[name]
    few, many = short.steps(lambda: do(short)), long.steps(lambda: do(long))
    assert many <= few * 1.2 + _NOISE, f"{few} steps with {FEW} ended incidents, {many} with {MANY}"
