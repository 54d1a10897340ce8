"""A rule of a real Prometheus fires, a runbook mends what broke, and the source says that it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.prometheus_world import Exporter, alertmanager, needs_prometheus, prometheus

TOKEN = "alertmanager-token"

RULE = {
    "alert": "RedisRefusesWrites",
    "expr": "redis_refuses_writes == 1",
    "labels": {"severity": "critical", "service": "session-cache"},
    "annotations": {
        "summary": "The session cache takes no writes",
        "runbook_url": "https://runbooks.example.com/cache-full",
    },
}

RUNBOOK = """# Runbook: Cache full

## Trigger Conditions
- Alert contains: "RedisRefusesWrites"
- Severity: critical
- Service: session-cache
- Source: alertmanager

## Blast Radius
- max_cache_operations: 1
- requires_human_approval: false

## Steps

### Step 1: Empty the cache
```bash
redis-cli -h 127.0.0.1 -p {port} FLUSHDB
```
Expected output: "OK"
Failure action: escalate

## Verify

### Step 1: It answers
```bash
redis-cli -h 127.0.0.1 -p {port} PING
```
Expected output: "PONG"
"""


def _fill(redis: RedisServer) -> None:
    """It holds more than it may: `OOM command not allowed`, until somebody empties it."""
    for number in range(50):
        assert redis.cli("SET", f"session-{number}", "x" * 100_000) == "OK"
    redis.cli("CONFIG", "SET", "maxmemory", "3mb")
    assert "OOM" in redis.cli("SET", "probe", "1")


@pytest.fixture
def watched(tmp_path: Path, redis: RedisServer, agent: Agent) -> Iterator[Agent]:
    """The agent listens to an Alertmanager, which a Prometheus tells whether the Redis takes writes."""
    needs_prometheus()
    agent.overrides["sources"] = {"alertmanager": {"bearer_token": {"env": "ALERTMANAGER_TOKEN"}}}
    agent.variables["ALERTMANAGER_TOKEN"] = TOKEN
    agent.runbook("cache-full", RUNBOOK.replace("{port}", str(redis.port)))
    agent.start()
    with ExitStack() as stack:
        exporter = Exporter(redis)
        stack.callback(exporter.stop)
        manager, port = alertmanager(tmp_path, webhook=f"{agent.url}/webhook/alertmanager", token=TOKEN)
        stack.callback(manager.stop)
        server = prometheus(tmp_path, rule=RULE, exporter=exporter.port, alerts_to=port)
        stack.callback(server.stop)
        yield agent


def _incidents(agent: Agent) -> list[dict[str, object]]:
    found: list[dict[str, object]] = httpx.get(f"{agent.url}/api/v1/incidents").json()["incidents"]
    return found


def test_what_really_broke_is_mended_and_resolved_because_the_source_says_so(
    watched: Agent, redis: RedisServer
) -> None:
    _fill(redis)
    wait_until(lambda: _incidents(watched), "the alert has come in")
    ended = wait_until(
        lambda: [each for each in _incidents(watched) if each["status"] in ("resolved", "escalated")],
        "it has ended",
    )
    (incident,) = ended
    assert (incident["status"], incident["source"]) == ("resolved", "alertmanager")
    assert incident["runbook"] == "cache-full"
    assert redis.cli("SET", "after", "1") == "OK"
    shown = httpx.get(f"{watched.url}/api/v1/incidents/{incident['id']}").json()
    told = [event["text"] for event in shown["timeline"]]
    assert "📣 alertmanager says that it is over" in told
    assert "✅ Incident resolved automatically: alertmanager says that it is over" in told
    assert watched.pagerduty.pages() == []
    assert watched.pagerduty.requests("/incidents") == []
