"""`python -m bench.accept [--requests 5000] [--json]`: how fast a signed webhook is stored and answered.

Our daemon (`serve`, the real process) against a minimal acceptor (Flask, waitress, SQLite with FULL, the same
signature check, one INSERT), both measured in this run, over kept connections, with signatures made before.
Three scenes for the daemon: nothing else runs; 32 incidents run (their steps sleep); whatever is accepted is
worked on at once. Whatever is answered must be in the database afterwards, or the run fails.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.http_load import write_requests
from bench.peers.load import free_port

SECRET = "accept-bench-secret"
CONCURRENCIES = (1, 16, 64)
RUNNING = 32
SERVICES = 50
PATH = "/webhook/pagerduty"

RUNBOOK = """# Runbook: {title}

## Trigger Conditions
- Alert contains: "{word}"

## Blast Radius
- requires_human_approval: false

## Steps

### Step 1: {title}
```bash
{command}
```
"""

CONFIG = """
server: {{host: 127.0.0.1, port: {port}, public_url: "http://127.0.0.1:{port}"}}
database: {{url: "sqlite:///{directory}/oncall.db"}}
runbooks: {{path: {directory}/runbooks, default_autonomy: auto, reload: false}}
execution: {{incident_deadline_s: 3600, step_timeout_s: 3000}}
limits: {{concurrent_incidents: {concurrent}, backlog: 1000000}}
pagerduty: {{webhook_secrets: [{{env: ACCEPT_BENCH_SECRET}}]}}
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """One server at one concurrency."""

    who: str
    concurrency: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_ms: float


def webhook(number: int, word: str, name: str) -> bytes:
    """A signed trigger of its own incident, as PagerDuty sends it."""
    data = {
        "id": f"P{name}{number}",
        "type": "incident",
        "self": f"https://api.pagerduty.com/incidents/P{name}{number}",
        "html_url": f"https://acme.pagerduty.com/incidents/P{name}{number}",
        "number": number,
        "status": "triggered",
        "incident_key": f"{name}-{number}",
        "created_at": "2026-01-05T04:17:23Z",
        "title": f"{word} on host-{number} is slow",
        "service": {"id": "PS1", "summary": f"service-{number % SERVICES}", "type": "service_reference"},
        "assignees": [{"id": "PU1", "summary": "Primary on call", "type": "user_reference"}],
        "escalation_policy": {"id": "PE1", "summary": "Default", "type": "escalation_policy_reference"},
        "teams": [{"id": "PT1", "summary": "Platform", "type": "team_reference"}],
        "priority": {"id": "PP1", "summary": "P1", "type": "priority_reference"},
        "urgency": "high",
        "conference_bridge": None,
        "resolve_reason": None,
    }
    event = {
        "id": f"01{name}{number}",
        "event_type": "incident.triggered",
        "resource_type": "incident",
        "occurred_at": "2026-01-05T04:17:23.000Z",
        "agent": None,
        "client": None,
        "data": data,
    }
    body = json.dumps({"event": event}).encode()
    signature = "v1=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"User-Agent: PagerDuty-Webhook/V3.0\r\nX-PagerDuty-Signature: {signature}\r\n"
        f"X-Webhook-Id: {name}-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def wait_until(condition: Callable[[], bool], what: str, *, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"not within {within_s:g} s: {what}")
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Server:
    """A process under measurement, and the query that counts what it has stored."""

    who: str
    port: int
    process: subprocess.Popen[bytes]
    database: Path
    counting: str

    def stored(self) -> int:
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            return int(connection.execute(self.counting).fetchone()[0])
        finally:
            connection.close()

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return path != "/ready" and error.code < 500
    except OSError:
        return False


@contextmanager
def process(arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "ACCEPT_BENCH_SECRET": SECRET}
    with log.open("ab") as words:
        started = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=environment, stdout=words, stderr=words, process_group=0
        )
    try:
        yield started
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@contextmanager
def minimal(directory: Path, *options: str) -> Iterator[Server]:
    """The yardstick."""
    port, database = free_port(), directory / "minimal.db"
    arguments = ["bench.minimal_acceptor", str(port), str(database), SECRET, *options]
    with process(arguments, directory / "log") as started:
        wait_until(lambda: answers(port, "/"), "the minimal acceptor answers")
        who = " ".join(["minimal", *options])
        yield Server(who, port, started, database, "SELECT count(*) FROM webhooks")


@contextmanager
def daemon(directory: Path, who: str, *, running: int, concurrent: int) -> Iterator[Server]:
    """Ours, with so many incidents asleep in their step, and room for `concurrent` in all."""
    port = free_port()
    books = directory / "runbooks"
    books.mkdir()
    (books / "asleep.md").write_text(RUNBOOK.format(title="Sleep", word="asleep", command="sleep 300"))
    (books / "busy.md").write_text(RUNBOOK.format(title="Look", word="storm", command="true"))
    config = directory / "config.yaml"
    config.write_text(CONFIG.format(port=port, directory=directory, concurrent=concurrent))
    counting = "SELECT count(*) FROM incidents WHERE title LIKE 'storm%'"
    with process(["agent", "serve", "--config", str(config)], directory / "log") as started:
        wait_until(lambda: answers(port, "/ready"), "the agent is ready")
        server = Server(who, port, started, directory / "oncall.db", counting)
        if running:
            load(server, [webhook(number, "asleep", "S") for number in range(running)], concurrency=1)
            wait_until(lambda: _asleep(server) == running, f"{running} incidents run")
        yield server


def _asleep(server: Server) -> int:
    connection = sqlite3.connect(server.database, timeout=10)
    try:
        return int(connection.execute("SELECT count(*) FROM attempts WHERE ended_at IS NULL").fetchone()[0])
    finally:
        connection.close()


def load(server: Server, requests: Sequence[bytes], *, concurrency: int) -> Figures:
    """Send them all from a process of its own; every answer must be a 202."""
    with tempfile.NamedTemporaryFile() as file:
        write_requests(Path(file.name), requests)
        before = server.cpu_s()
        client = [sys.executable, "-m", "bench.http_load", str(server.port), str(concurrency), file.name]
        told = json.loads(subprocess.run(client, check=True, capture_output=True).stdout)
        used = server.cpu_s() - before
    refused = {status for _, status in told["answers"] if status != 202}
    if refused:
        raise SystemExit(f"{server.who} answered {sorted(refused)}")
    times = sorted(1000 * taken for taken, _ in told["answers"])
    count = len(times)
    return Figures(
        who=server.who,
        concurrency=concurrency,
        per_second=count / told["seconds"],
        p50_ms=times[count // 2],
        p99_ms=times[int(count * 0.99)],
        max_ms=times[-1],
        cpu_ms=1000 * used / count,
    )


def measured(server: Server, count: int, concurrencies: Sequence[int]) -> Iterator[Figures]:
    """At each concurrency; what was answered must be there."""
    expected = server.stored()
    for concurrency in concurrencies:
        share = max(count // 10, 100) if concurrency == 1 else count
        requests = [webhook(number, "storm", f"C{concurrency}x") for number in range(share)]
        yield load(server, requests, concurrency=concurrency)
        expected += share
        if server.stored() != expected:
            raise SystemExit(f"{server.who} answered {expected} and stored {server.stored()}")


SCENES = {
    "ours, nothing runs": {"running": 1, "concurrent": 1},
    "ours, 32 run": {"running": RUNNING, "concurrent": RUNNING},
    "ours, all worked on": {"running": 0, "concurrent": RUNNING},
}


def run(count: int, concurrencies: Sequence[int]) -> Iterator[Figures]:
    for options in ([], ["--group-commit"]):
        with tempfile.TemporaryDirectory() as directory, minimal(Path(directory), *options) as server:
            yield from measured(server, count, concurrencies)
    for who, scene in SCENES.items():
        with tempfile.TemporaryDirectory() as directory, daemon(Path(directory), who, **scene) as server:
            yield from measured(server, count, concurrencies)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--concurrency", type=int, nargs="*", default=CONCURRENCIES)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    yardstick: dict[int, float] = {}
    if not asked.json:
        print(f"{'':24} {'at':>3} {'req/s':>7} {'ratio':>6} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>7}")
    for each in run(asked.requests, asked.concurrency):
        ratio = each.per_second / yardstick.setdefault(each.concurrency, each.per_second)
        if asked.json:
            print(json.dumps(asdict(each) | {"ratio": ratio}), flush=True)
            continue
        print(
            f"{each.who:24} {each.concurrency:3} {each.per_second:7.0f} {ratio:6.2f} "
            f"{each.p50_ms:8.1f} {each.p99_ms:8.1f} {each.cpu_ms:7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
