"""The agents of `bench.storm`: of five commands, of one that waits for a yes, of one that looks."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from bench.peers.runners import Agent, Peer

_HEAD = """# Runbook: Storm

## Trigger Conditions
- Alert contains: "storm"

## Parameters
- job: title /case ([a-z0-9]+)/; pattern /^[a-z0-9]+$/

## Blast Radius
- max_cache_operations: 3
- requires_human_approval: {approval}

## Steps
"""

_STEP = """
### Step {number}: Do {number}
```bash
{command}
```
Attempts: 1
"""


class _Configured(Agent):
    """The agent, with more said than its runbook."""

    def runbook(self) -> str:
        commands = self.commands("{{ job }}")
        steps = (_STEP.format(number=number, command=each) for number, each in enumerate(commands, 1))
        return _HEAD.format(approval="false") + "".join(steps)

    def commands(self, job: str) -> list[str]:
        """What it runs for a job."""
        return [f"redis-cli -h 127.0.0.1 -p {self.redis_port} INCR started-{job}"]


class FiveSteps(_Configured):
    """Three commands that change something and two that look."""

    def commands(self, job: str) -> list[str]:
        redis = f"redis-cli -h 127.0.0.1 -p {self.redis_port}"
        return [
            f"{redis} PING",
            f"{redis} INCR started-{job}",
            f"{redis} INCR second-{job}",
            f"{redis} INCR third-{job}",
            f"{redis} GET third-{job}",
        ]


class OnPostgresql(Agent):
    """Its database is the one at `url`."""

    url = ""

    def settings(self) -> dict[str, object]:
        return {"database": {"url": self.url}}

    def count(self, query: LiteralString) -> int:
        """The one number that this query gives."""
        with psycopg.connect(self.url) as connection:
            return int(connection.execute(query).fetchall()[0][0])


class Approved(_Configured):
    """Asks a human first; there is time to answer."""

    def settings(self) -> dict[str, object]:
        return {"escalation": {"approval_timeout_s": 7_200}}

    def runbook(self) -> str:
        return super().runbook().replace("requires_human_approval: false", "requires_human_approval: true")


class Looks(_Configured):
    """A hundred at once, each at a command that only reads: it may be run again."""

    AT_ONCE = 100

    def settings(self) -> dict[str, object]:
        return {
            "limits": {"concurrent_incidents": self.AT_ONCE, "one_at_a_time_per_service": False},
            "execution": {"step_timeout_s": 900, "incident_deadline_s": 900},
        }

    def commands(self, job: str) -> list[str]:
        return [f"sleep 300 && echo {job}"]


class Begun:
    """How many commands were begun, as the journal has it: what is run again is counted again."""

    def __init__(self, runner: Peer) -> None:
        self._runner = runner

    def first(self) -> int:
        return count(self._runner, "SELECT count(*) FROM attempts WHERE ended_at IS NULL")

    def commands(self) -> int:
        """Of all attempts together."""
        return count(self._runner, "SELECT coalesce(sum(commands), 0) FROM attempts")


def count(runner: Peer, query: str, *, database: str = "oncall.db") -> int:
    """One number out of its database."""
    with contextlib.closing(sqlite3.connect(runner.directory / database, timeout=30)) as connection:
        return int(connection.execute(query).fetchone()[0])


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and everything below it, what has ended included."""

    cpu_s: float
    rss_mb: float


def tree(pid: int) -> Usage:
    """What a tree of processes has used and holds."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(place.name))
    cpu_s = rss_mb = 0.0
    waiting = [pid]
    while waiting:
        this = waiting.pop()
        waiting += children.get(this, [])
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{this}/stat").read_text().rpartition(")")[2].split()
            cpu_s += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
            rss_mb += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return Usage(cpu_s, rss_mb)
