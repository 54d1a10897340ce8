"""`python -m bench.size [--incidents 10000] [--json]`: how large the database becomes.

Each incident goes the whole way through the pipeline over the real store: the webhook as PagerDuty sends it,
its match, plan, steps, letters, echoes and end. Only the world around is in memory, time flies, and nothing
waits for the disk. Of 360 days, what is older than 90 is archived then. Before and after: bytes, and how long
the queries take that a daemon asks all the time.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.adapters import database, pagerduty_webhook
from agent.adapters.archiver import Archiver
from agent.adapters.audit_log import AuditLog
from agent.adapters.fake_clock import FakeClock
from agent.adapters.fake_desk import FakeDesk
from agent.adapters.fake_sandbox import FakeSandbox
from agent.adapters.inline_run import InlineRun
from agent.adapters.sqlite_upkeep import path_of
from agent.adapters.store import Store
from agent.config import Config, parse
from agent.domain.outbox import Channel, DeskAcknowledge, DeskResolve
from agent.domain.runs import Places
from agent.domain.source_event import SourceEvent
from agent.library import Library
from agent.pipeline.context import Context
from agent.pipeline.gate import Gate
from agent.pipeline.handle import handle
from agent.pipeline.takeover import handle_event
from agent.ports import CommandResult, SourceFacts
from agent.safety.effects import EffectTables
from agent.safety.redaction import Redactor

DAYS = 360
SERVICES = 50
OWN_USER = "PAGENT0"

OUTPUT = "".join(
    f"redis-{n}.production.svc.cluster.local:6379 role:replica lag:{n} state:online\n" for n in range(6)
)

RUNBOOK = """---
owner: platform
---
# Runbook: Redis Connection Timeout

## Trigger Conditions
- Alert contains: "redis", "timeout"

## Blast Radius
- max_cache_operations: 2
- requires_human_approval: false

## Steps

### Step 1: See who waits
```bash
redis-cli -h cache.production -p 6379 INFO clients | grep blocked_clients
```
Expected output: contains "online"

### Step 2: Close the stuck connections
```bash
redis-cli -h cache.production -p 6379 CLIENT KILL TYPE normal
```
Failure action: escalate

### Step 3: Verify connections restored
```bash
curl -s http://api.production/health | jq -r .redis
```
Expected output: contains "online"
Failure action: escalate
"""


class FlyingClock(FakeClock):
    """The time of day flies; what is measured in seconds is real."""

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class Bench:
    """An agent in memory over a real database in a folder of its own."""

    folder: Path
    config: Config
    clock: FlyingClock
    store: Store
    context: Context
    desk: FakeDesk
    sandbox: FakeSandbox
    audit: AuditLog

    @property
    def database(self) -> Path:
        found = path_of(self.store.database)
        assert found is not None
        return found

    def incident(self, number: int, step: timedelta) -> None:
        """One page from its webhook to its end, with everything that is told about it."""
        self.clock.sleep(step.total_seconds())
        source_id = f"Q{number:07X}ABCDEF"
        kind = _KINDS[number % len(_KINDS)]
        facts = SourceFacts(
            status="triggered",
            service=f"service-{number % SERVICES}",
            body=f"Connection to redis-{number} timed out after 5000 ms. {DETAILS}",
            labels={
                "alertname": "RedisTimeout",
                "pod": f"api-{number}",
                "namespace": "production",
                "region": "eu",
            },
            alert_keys=(f"redis/{number}",),
        )
        self.desk.add(source_id, facts)
        fails = CommandResult(
            1, stderr="Could not connect to Redis at cache.production:6379: Connection refused\n"
        )
        self.sandbox.prepare(_KILL, fails if kind == "escalated" else CommandResult(0, stdout="8\n"))
        accepted = self._webhook("incident.triggered", source_id, number, kind)
        for leg in self.store.claim(Places(32, True), "main"):
            assert leg.incident_id == accepted
        handle(InlineRun(self.clock), self.context, accepted)
        self._deliver(number, kind)
        if kind != "resolved":
            self._webhook("incident.resolved", source_id, number, kind, "PU00001")

    def _webhook(self, event_type: str, source_id: str, number: int, kind: str, user: str = "") -> str:
        raw = _body(event_type, source_id, number, kind, self.clock.now(), user)
        event = pagerduty_webhook.read(raw.encode())
        assert isinstance(event, pagerduty_webhook.WebhookEvent)
        source_event = pagerduty_webhook.to_source_event(event, f"pagerduty:{event_type}-{number}")
        accepted = self.store.accept(source_event, raw)
        self._look_at(accepted.incident_id, source_event)
        return accepted.incident_id

    def _look_at(self, incident_id: str, event: SourceEvent) -> None:
        for waiting_id, waiting in self.store.unhandled_events(10):
            assert (waiting_id, waiting.delivery_id) == (incident_id, event.delivery_id)
            handle_event(self.context, waiting_id, waiting)

    def _deliver(self, number: int, kind: str) -> None:
        """As the senders do, without their pace; our own writes come back as webhooks."""
        for channel in Channel:
            for letter in self.store.next_letters(channel, 100):
                if channel is Channel.CHAT and self.store.thread_ref(letter.incident_id) is None:
                    self.store.keep_thread_ref(letter.incident_id, "1767225600.000100")
                self.store.begin_delivery([letter.id])
                action = _ACTIONS.get(type(letter.message))
                if action:
                    source_id = str(getattr(letter.message, "source_id"))  # noqa: B009
                    self.store.begin_own_write(source_id, action)
                    self.store.end_own_write(source_id, action, OWN_USER)
                    self._webhook(f"incident.{action}d", source_id, number, kind, OWN_USER)
                self.store.delivered([letter.id])


_ACTIONS = {DeskAcknowledge: "acknowledge", DeskResolve: "resolve"}
_KINDS = ("resolved",) * 7 + ("escalated",) * 2 + ("no match",)
_KILL = ("redis-cli", "-h", "cache.production", "-p", "6379", "CLIENT", "KILL", "TYPE", "normal")
DETAILS = "Exceeded the threshold for 3 of 5 checks; see the dashboard. " * 6


def _body(event_type: str, source_id: str, number: int, kind: str, at: datetime, user: str) -> str:
    """A V3 webhook of PagerDuty's size."""
    title = "Redis connection timeout" if kind != "no match" else "Disk is nearly full"
    service, when = f"service-{number % SERVICES}", f"{at:%Y-%m-%dT%H:%M:%SZ}"
    web, api = "https://example.pagerduty.com", "https://api.pagerduty.com"

    def reference(kind: str, key: str, name: str) -> dict[str, str]:
        return {
            "html_url": f"{web}/{kind}s/{key}", "id": key, "self": f"{api}/{kind}s/{key}", "summary": name,
            "type": f"{kind}_reference",
        }  # fmt: skip

    return json.dumps({
        "event": {
            "id": f"01{number:08X}{event_type[-6:]}",
            "event_type": event_type,
            "resource_type": "incident",
            "occurred_at": when,
            "agent": reference("user", user, "A user") if user else None,
            "client": None,
            "data": {
                "id": source_id,
                "type": "incident",
                "self": f"{api}/incidents/{source_id}",
                "html_url": f"{web}/incidents/{source_id}",
                "number": number,
                "status": "triggered",
                "incident_key": f"redis/{number}",
                "created_at": when,
                "title": f"{title} on host-n{number}",
                "service": reference("service", f"PS{number % SERVICES:04}", service),
                "assignees": [reference("user", "PU00001", "Responder One")],
                "escalation_policy": reference("escalation_policy", "PE00001", "Default"),
                "teams": [reference("team", "PT00001", "Platform")],
                "priority": reference("priority", "PP00001", "P1"),
                "urgency": "high",
                "conference_bridge": None,
                "resolve_reason": None,
            },
        }
    })  # fmt: skip


def bench_of(folder: Path) -> Bench:
    (folder / "runbooks").mkdir()
    (folder / "runbooks" / "redis.md").write_text(RUNBOOK)
    clock = FlyingClock(datetime(2026, 1, 1, tzinfo=UTC))
    url = f"sqlite:///{folder}/oncall.db"
    config = parse(
        {"database": {"url": url}, "runbooks": {"path": str(folder / "runbooks"), "default_autonomy": "auto"},
         "execution": {"retry_delay_s": 0}, "pagerduty": {"routing_key": {"env": "NONE"}}, "slack": {}},
        path="bench",
    )  # fmt: skip
    _wait_for_no_disk()
    store = Store(url, clock)
    store.migrate()
    sandbox, desk = FakeSandbox(), FakeDesk(OWN_USER)
    for command in (
        "redis-cli -h cache.production -p 6379 INFO clients", "grep blocked_clients",
        "curl -s http://api.production/health", "jq -r .redis",
    ):  # fmt: skip
        sandbox.prepare(tuple(command.split()), CommandResult(0, stdout=OUTPUT))
    context = Context(
        config=config, store=store, library=Library(folder / "runbooks"), sandbox=sandbox, desk=desk,
        tables=EffectTables.load(), redactor=Redactor([]), clock=clock, gate=Gate(),
        channels=frozenset(Channel),
    )  # fmt: skip
    store.learn_own_user_id(OWN_USER)
    return Bench(folder, config, clock, store, context, desk, sandbox, AuditLog(config.audit_path(), store))


def _wait_for_no_disk() -> None:
    """What is written is the same; only the waiting is left out."""
    prepare = database._prepare

    def prepare_for_bulk(connection: Any, record: object) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    database._prepare = prepare_for_bulk


@dataclass(frozen=True)
class Size:
    """What is on the disk at one moment."""

    when: str
    incidents: int
    in_database: int
    database: int
    audit: int
    archives: int


def sizes(bench: Bench, when: str, incidents: int) -> Size:
    with closing(sqlite3.connect(bench.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (left,) = connection.execute("SELECT count(*) FROM incidents").fetchone()
    folder = bench.config.archive_path()
    return Size(
        when,
        incidents,
        int(left),
        bench.database.stat().st_size,
        sum(path.stat().st_size for path in bench.folder.glob("audit*")),
        sum(path.stat().st_size for path in folder.glob("*.gz")) if folder.exists() else 0,
    )


def tables(bench: Bench, incidents: int) -> dict[str, int]:
    """Bytes per incident of each table with its indexes."""
    query = """SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name
               GROUP BY m.tbl_name ORDER BY 2 DESC"""
    with closing(sqlite3.connect(bench.database)) as connection:
        return {
            name: round(size / incidents) for name, size in connection.execute(query) if size / incidents >= 1
        }


def queries(bench: Bench) -> dict[str, Callable[[], object]]:
    """What a daemon asks again and again, and what a person looks at."""
    store, config = bench.store, bench.config
    newest = store.incidents(limit=1)[0]
    known = store.lately_resolved(1)[0]
    since = bench.clock.now() - timedelta(hours=1)
    return {
        "dispatcher: is there anything to do": store.agenda,
        "dispatcher: claim what may start": lambda: store.claim(Places(32, True), "main"),
        "watchdog: everything unfinished": store.unfinished,
        "sender: letters that are due": lambda: store.next_letters(Channel.CHAT, 200),
        "audit log: entries that are new": lambda: list(store.audit_entries(after=10**9, limit=500)),
        "matching: what helped lately (500)": lambda: store.lately_resolved(500),
        "look back: the same alert before": lambda: store.same_before(newest.id, since=since),
        "how a runbook's runs end": lambda: store.run_ends(
            known.runbook_id, known.runbook_revision, limit=10
        ),
        "is it a page of ours": lambda: store.is_own_summary("AI agent escalation: nothing of ours [Disk]"),
        "stops in force": store.stops,
        "metrics: by status": store.counts_by_status,
        "metrics: outbox": store.outbox_state,
        "list of incidents (50)": lambda: store.incidents(limit=50),
        "one incident's timeline": lambda: store.timeline(newest.id),
        "retention: what may leave": Archiver(store, config).preview,
    }


def timed(query: Callable[[], object], *, least: int = 5, most_s: float = 1.0) -> float:
    """The median in milliseconds."""
    found: list[float] = []
    started = time.perf_counter()
    while len(found) < least or (len(found) < 200 and time.perf_counter() - started < most_s):
        before = time.perf_counter()
        query()
        found.append((time.perf_counter() - before) * 1_000)
    return statistics.median(found)


def times(bench: Bench) -> dict[str, float]:
    return {name: timed(query) for name, query in queries(bench).items()}


def grow(bench: Bench, incidents: int, marks: list[int]) -> Iterator[int]:
    step = timedelta(days=DAYS) / incidents
    for number in range(1, incidents + 1):
        bench.incident(number, step)
        if number % 200 == 0:
            while bench.audit.catch_up():
                pass
        if number in marks:
            yield number


def run(incidents: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="oncall-size-") as folder:
        bench = bench_of(Path(folder))
        marks = sorted({max(1, incidents // 10), incidents})
        grown, asked = [], {}
        started = time.perf_counter()
        for number in grow(bench, incidents, marks):
            grown.append(sizes(bench, "grown", number))
            asked[f"{number:,}"] = times(bench)
            print(f"{number:,} incidents after {time.perf_counter() - started:.0f} s", file=sys.stderr)
        by_table = tables(bench, incidents)
        before = time.perf_counter()
        done = Archiver(bench.store, bench.config).run()
        took_s = time.perf_counter() - before
        grown.append(sizes(bench, "archived", incidents))
        asked["archived"] = times(bench)
        kept_by_table = tables(bench, grown[-1].in_database)
        bench.store.close()
        return {
            "sizes": [each.__dict__ for each in grown],
            "tables": by_table,
            "tables_kept": kept_by_table,
            "archived": done.incidents,
            "archiving_s": took_s,
            "queries_ms": asked,
            "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


#: Of a table for each incident; smaller ones are left out.
_SHOWN_BYTES = 50


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def show(found: dict[str, Any]) -> None:
    console = Console(width=120)
    table = Table(
        "", "incidents", "in the database", "database", "bytes each", "audit log", "archives", box=None
    )
    for each in found["sizes"]:
        table.add_row(
            each["when"], f"{each['incidents']:,}", f"{each['in_database']:,}", _mib(each["database"]),
            f"{each['database'] / max(1, each['in_database']):,.0f}",
            _mib(each["audit"]), _mib(each["archives"]),
        )  # fmt: skip
    console.print(table)
    last = found["sizes"][-1]
    console.print(
        f"\narchived: {found['archived']:,} in {found['archiving_s']:.1f} s, "
        f"{last['archives'] / max(1, found['archived']):,.0f} bytes each\n"
    )
    for name, key in (("grown", "tables"), ("archived", "tables_kept")):
        listed = ", ".join(f"{table} {size:,}" for table, size in found[key].items() if size >= _SHOWN_BYTES)
        console.print(f"bytes of each incident, {name}: {listed}\n")
    columns = list(found["queries_ms"])
    table = Table("median, ms", *columns, box=None)
    for name in found["queries_ms"][columns[0]]:
        table.add_row(name, *(f"{found['queries_ms'][column][name]:.2f}" for column in columns))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = run(arguments.incidents)
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
