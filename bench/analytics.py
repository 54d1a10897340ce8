"""What the console's figures cost over many incidents: `python -m bench.analytics [incidents]`, on SQLite.

The figures of a day, of 30, 90 and 365, with the queue's report, as the page *Analytics* asks for them.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.adapters import codec
from agent.adapters.database import stamp
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema import incidents
from agent.domain.alert import Alert, Severity

_BATCH = 5_000
_DAYS = (1, 30, 90, 365)


def rows(count: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Incidents of a quarter: of thirty services, answered by forty runbooks, two of five escalated."""
    chance = random.Random(7)
    for number in range(count):
        received = now - timedelta(seconds=chance.randrange(86_400 * 90))
        alert = Alert(
            "pagerduty", f"P{number}", f"Alert {number % 200} of the shop", service=f"service-{number % 30}",
            severity=chance.choice(tuple(Severity)), body="a line of what the monitoring says\n" * 12,
        )  # fmt: skip
        yield {
            "id": f"inc-{number:07}", "source": alert.source, "source_id": alert.source_id,
            "title": alert.title, "service": alert.service, "alert": codec.packed(alert),
            "status": chance.choices(("resolved", "escalated", "stood_down"), (55, 40, 5))[0],
            "received_at": stamp(received), "match_reasons": "[]",
            "ended_at": stamp(received + timedelta(seconds=chance.random() * 900)),
            "runbook_id": f"runbook-{number % 40}", "identity": f"alert {number % 200}",
        }  # fmt: skip


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder)}/bench.db", clock)
        store.migrate()
        batch = list(rows(count, clock.now()))
        for start in range(0, count, _BATCH):
            with store.database.writing(within_s=60) as connection:
                connection.execute(incidents.insert(), batch[start : start + _BATCH])
        print(f"| period of {count:,} incidents | seconds |\n|---|---|")
        for days in _DAYS:
            since, until = clock.now() - timedelta(days=days), clock.now()
            begun = time.perf_counter()
            store.statistics(since, until)
            store.queue_report(since, until)
            print(f"| {days} d | {time.perf_counter() - begun:.3f} |")
        store.close()


if __name__ == "__main__":
    main()
