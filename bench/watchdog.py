"""What one look of the watchdog costs: `python -m bench.watchdog [unfinished] [ended]`, on SQLite.

Nothing is stuck in it, which is how it is every five seconds of every day; the last line has 200 stuck ones.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from agent.adapters import codec
from agent.adapters.database import stamp
from agent.adapters.fake_clock import FakeClock
from agent.adapters.fake_desk import FakePager
from agent.adapters.fake_sandbox import FakeSandbox
from agent.adapters.store import Store
from agent.adapters.store_schema import incidents, outbox, runs
from agent.config import parse
from agent.delivery.alarms import Alarms
from agent.domain.alert import Alert
from agent.domain.incident import Status
from agent.domain.outbox import Channel
from agent.durable import RunState
from agent.library import Library
from agent.pipeline.context import Context
from agent.pipeline.gate import Gate
from agent.pulse import Pulse
from agent.safety.effects import EffectTables
from agent.safety.redaction import Redactor
from agent.watchdog import Watchdog

_BATCH = 5_000
_LOOKS = 50


class _Engine:
    """In the place of DBOS: everything is at work."""

    executor_id = "main"

    def __init__(self, store: Store) -> None:
        self._store = store

    def states(self) -> dict[str, RunState]:
        return {leg.incident_id: RunState.ALIVE for leg in self._store.legs_under_way()}

    def state(self, _: str) -> RunState:
        return RunState.ALIVE


def rows(count: int, status: Status, now: datetime, *, kind: str) -> Iterator[dict[str, Any]]:
    """Incidents that stand there within their time."""
    until = stamp(now + timedelta(hours=1)) if status is Status.AWAITING_APPROVAL else None
    for number in range(count):
        source_id = f"{kind}-{number}"
        alert = Alert("pagerduty", source_id, "Redis connection timeout", service=f"service-{number % 50}")
        yield {
            "id": source_id, "source": "pagerduty", "source_id": source_id, "title": alert.title,
            "service": alert.service, "alert": codec.dump(alert), "status": status.value,
            "received_at": stamp(now), "started_at": stamp(now), "status_at": stamp(now),
            "waits_until": until, "ended_at": stamp(now) if status.is_terminal else None,
        }  # fmt: skip


def fill(store: Store, now: datetime, *, unfinished: int, ended: int) -> None:
    at_work = min(32, unfinished)
    insert(store, incidents, rows(ended, Status.RESOLVED, now, kind="ended"))
    insert(store, incidents, rows(at_work, Status.RUNNING, now, kind="running"))
    insert(store, incidents, rows(unfinished - at_work, Status.AWAITING_APPROVAL, now, kind="waiting"))
    parked = {"leg": 1, "executor_id": "", "active": False, "topic": "decision", "until": stamp(now)}
    ids = (f"waiting-{number}" for number in range(unfinished - at_work))
    insert(store, runs, ({**parked, "incident_id": each} for each in ids))
    busy = {"leg": 1, "executor_id": "main", "active": True, "topic": "", "until": None}
    insert(store, runs, ({**busy, "incident_id": f"running-{number}"} for number in range(at_work)))
    sent = {"message": "{}", "created_at": stamp(now), "due_at": "", "state": "sent"}
    channels = [channel.value for channel in Channel]
    letters = ({**sent, "incident_id": f"ended-{n}", "channel": channels[n % 3]} for n in range(3 * ended))
    insert(store, outbox, letters)


def insert(store: Store, table: Any, values: Iterator[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    for row in values:
        batch.append(row)
        if len(batch) == _BATCH:
            _write(store, table, batch)
            batch = []
    _write(store, table, batch)


def _write(store: Store, table: Any, batch: list[dict[str, Any]]) -> None:
    if batch:
        with store.database.writing() as connection:
            connection.execute(table.insert(), batch)


def watchdog(store: Store, clock: FakeClock, directory: Path) -> Watchdog:
    (directory / "runbooks").mkdir(exist_ok=True)
    context = Context(
        config=parse({}, path="config.yaml"), store=store, library=Library(directory / "runbooks"),
        sandbox=FakeSandbox(), tables=EffectTables.load(), redactor=Redactor([]), clock=clock, desk=None,
        channels=frozenset(Channel), gate=Gate(),
    )  # fmt: skip
    alarms = Alarms(FakePager(), store, clock, source="bench")
    engine: Any = _Engine(store)
    found = Watchdog(context, store, engine, alarms=alarms, pulse=Pulse(clock))
    clock.sleep(31)
    return found


def timed(watchdog: Watchdog, times: int) -> list[float]:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        watchdog.tick()
        spent.append(1_000 * (time.perf_counter() - began))
    return spent


def main() -> None:
    structlog.configure(processors=[structlog.processors.JSONRenderer()], logger_factory=_silent)
    unfinished, ended = (int(each) for each in (*sys.argv[1:], "10000", "100000")[:2])
    for open_ones, over in ((unfinished // 10, ended // 10), (unfinished, ended)):
        with tempfile.TemporaryDirectory() as folder:
            clock = FakeClock()
            store = Store(f"sqlite:///{folder}/oncall.db", clock)
            store.migrate()
            fill(store, clock.now(), unfinished=open_ones, ended=over)
            watching = watchdog(store, clock, Path(folder))
            spent = timed(watching, _LOOKS)
            print(
                f"{open_ones:>6} unfinished, {over:>7} ended: p50 {statistics.median(spent):.1f} ms, "
                f"max {max(spent):.1f} ms a look ({statistics.median(spent) / 50:.2f} % of one core)"
            )
            if open_ones == unfinished:
                clock.sleep(86_400)
                (spent_ms,) = timed(watching, 1)
                print(f"a look that finds 200 stuck ones: {spent_ms:.0f} ms")
            store.close()


def _silent() -> Any:
    return structlog.testing.CapturingLogger()


if __name__ == "__main__":
    main()
