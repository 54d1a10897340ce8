"""How soon a command starts after its page, in one process and across two, and how long a takeover takes.

    python -m bench.replicas [--pages 50] [--takeovers 5]

Real processes, a real Redis as what the commands work on, a real PostgreSQL with fsync. Read the figures as
ratios to the bare spawn of the same command, measured in the same run: machines differ, and are noisy.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import RedisServer, wait_until
from tests.acceptance.fleet import Fleet, fleet_in
from tests.acceptance.test_kills import SLOW
from tests.postgres import PostgresServer, server

#: The command itself says when it began: `redis-cli TIME` gives seconds and microseconds.
STARTED = """# Runbook: Say when

## Trigger Conditions
- Alert contains: "redis"

## Parameters
- key: title /case ([a-z0-9]+)/; pattern /^[a-z0-9]+$/

## Blast Radius
- max_cache_operations: 1
- requires_human_approval: false

## Steps

### Step 1: Say when
```bash
redis-cli -h 127.0.0.1 -p PORT SETNX began-{{ key }} 1
```
"""


@contextmanager
def fleet_on(directory: Path, url: str) -> Iterator[Fleet]:
    with (
        PagerDutySimulator() as pagerduty,
        SlackSimulator() as slack,
        fleet_in(directory, url, pagerduty, slack) as fleet,  # type: ignore[arg-type]
    ):
        fleet.overrides = {"slack": None}
        yield fleet


def delays(fleet: Fleet, redis: RedisServer, pages: int) -> list[float]:
    """Milliseconds from a POST to the end of its first command, as another client of Redis sees it."""
    import redis as driver

    client = driver.Redis(port=redis.port)
    took = []
    for number in range(pages):
        posted = time.monotonic()
        fleet.deliver(number)
        while client.get(f"began-n{number}") is None:
            time.sleep(0.0005)
        took.append((time.monotonic() - posted) * 1_000)
        fleet.ended(number)
    client.close()
    return took


def spawned(redis: RedisServer, times: int) -> list[float]:
    """The same command, bare."""
    took = []
    for number in range(times):
        began = time.monotonic()
        redis.cli("SETNX", f"bare-{number}", "1")
        took.append((time.monotonic() - began) * 1_000)
    return took


def told(what: str, figures: list[float], bare: float) -> None:
    ordered = sorted(figures)
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{what:<44} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   {p50 / bare:6.1f} × bare")


def starts(directory: Path, url: str, name: str, *, roles: tuple[str, ...], pages: int) -> None:
    folder = directory / name.replace(" ", "-").replace(",", "")
    folder.mkdir()
    redis = RedisServer(folder)
    try:
        bare = spawned(redis, pages)
        with fleet_on(folder, url) as fleet:
            fleet.runbook("say-when", STARTED.replace("PORT", str(redis.port)))
            for role in roles:
                fleet.add(role, role=role)
            told(name, delays(fleet, redis, pages), statistics.median(bare))
        told("  the same command, bare", bare, statistics.median(bare))
    finally:
        redis.stop()


def takeovers(directory: Path, postgres: PostgresServer, times: int) -> None:
    took = []
    for number in range(times):
        folder = directory / f"takeover-{number}"
        folder.mkdir()
        redis = RedisServer(folder)
        try:
            with postgres.database() as url, fleet_on(folder, url) as fleet:
                fleet.runbook("slow", SLOW.replace("PORT", str(redis.port)))
                fleet.add_all("worker-0", "worker-1", "worker-2")
                fleet.deliver(1)
                wait_until(lambda redis=redis: redis.cli("GET", "begun") == "1", "the command runs")
                fleet.owner().kill()
                killed = time.monotonic()
                fleet.ended(1)
                took.append(time.monotonic() - killed)
        finally:
            redis.stop()
    print(f"kill -9 mid-command, until a human is paged: {', '.join(f'{each:.1f} s' for each in took)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=50)
    parser.add_argument("--takeovers", type=int, default=5)
    options = parser.parse_args()
    both = ("web", "worker")
    with tempfile.TemporaryDirectory() as name, server(fsync=True) as postgres:
        directory = Path(name)
        for label, roles in (("one process", ("all",)), ("web and worker", both)):
            sqlite = f"sqlite:///{directory}/{roles[0]}.db"
            starts(directory, sqlite, f"SQLite, {label}", roles=roles, pages=options.pages)
            with postgres.database() as url:
                starts(directory, url, f"PostgreSQL, {label}", roles=roles, pages=options.pages)
        takeovers(directory, postgres, options.takeovers)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(str(error)) from error
