"""The kill switch of the real process: in force within a second, over kills and hangs, until it is lifted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.test_webhook_answers import event, signed

STORM = 48

MARK = re.compile(rb"ONCALL_AGENT_ATTEMPT=([^/]+)/")

#: Each incident begins a step, runs for a while, and would begin another one.
RUNBOOK = """# Runbook: Slow Redis

## Trigger Conditions
- Alert contains: "redis"

## Parameters
- key: title /case ([a-z0-9]+)/; pattern /^[a-z0-9]+$/

## Blast Radius
- max_cache_operations: 2
- requires_human_approval: false

## Steps

### Step 1: Begin
```bash
redis-cli -h 127.0.0.1 -p PORT RPUSH begun {{ key }} && sleep SECONDS
```

### Step 2: Go on
```bash
redis-cli -h 127.0.0.1 -p PORT RPUSH begun {{ key }}
```
"""


@pytest.fixture
def slow(agent: Agent, redis: RedisServer) -> Agent:
    agent.runbook("slow-redis", RUNBOOK.replace("PORT", str(redis.port)).replace("SECONDS", "4"))
    return agent


def deliver(agent: Agent, number: int) -> None:
    trigger = event(source_id=f"P{number}")
    trigger["event"]["data"]["title"] = f"redis case n{number}"
    trigger["event"]["data"]["service"]["summary"] = f"service-{number}"
    assert signed(agent, trigger, **{"X-Webhook-Id": f"w-{number}"}).status_code == 202


def running(agent: Agent) -> list[str]:
    """Processes that carry the mark of an attempt of one of this agent's incidents."""
    with contextlib.closing(sqlite3.connect(agent.directory / "oncall.db")) as connection:
        ids = {row[0].encode() for row in connection.execute("SELECT id FROM incidents")}
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            marked = MARK.search((place / "environ").read_bytes())
            if marked and marked[1] in ids:
                found.append(place.name)
    return found


def begun(redis: RedisServer) -> int:
    return int(redis.cli("LLEN", "begun") or 0)


def nothing_new(redis: RedisServer, *, for_s: float) -> bool:
    before = begun(redis)
    time.sleep(for_s)
    return begun(redis) == before


def trigger_of(agent: Agent, number: int) -> str | None:
    ended = agent.ended(f"P{number}", deadline_s=60)
    return ended["escalation"]["trigger"] if ended["escalation"] else None


def test_a_stop_in_the_middle_of_a_storm(slow: Agent, redis: RedisServer) -> None:
    slow.overrides["limits"] = {"concurrent_incidents": 8}
    slow.start()
    for number in range(STORM):
        deliver(slow, number)
    wait_until(lambda: begun(redis) >= 4 and running(slow), "the storm is under way")
    typed = time.monotonic()
    stopped = slow.cli("stop", "--reason", "it makes it worse", "--by", "alice", "--end-running")
    at = time.monotonic()
    print(f"\nthe command took {at - typed:.2f} s")  # noqa: T201
    assert stopped.returncode == 0, stopped.stderr
    wait_until(lambda: not running(slow), "what ran is ended", deadline_s=5)
    print(f"ended {time.monotonic() - at:.2f} s after the stop was written")  # noqa: T201
    time.sleep(max(0.0, 1.0 - (time.monotonic() - at)))
    assert nothing_new(redis, for_s=2)
    after_the_stop = begun(redis)
    assert after_the_stop < 2 * STORM

    slow.kill()
    slow.start()
    triggers = [trigger_of(slow, number) for number in range(STORM)]
    assert set(triggers) <= {"kill_switch", "outcome_unknown", None}
    assert triggers.count("kill_switch") > STORM // 2
    assert begun(redis) == after_the_stop
    deliver(slow, 900)
    assert trigger_of(slow, 900) == "kill_switch"
    assert begun(redis) == after_the_stop
    wait_until(lambda: len(slow.pagerduty.pages()) >= triggers.count("kill_switch"), "humans are paged")
    reasons = "\n".join(page.summary for page in slow.pagerduty.pages())
    assert "stopped by alice" in reasons

    assert slow.cli("resume").returncode == 0
    deliver(slow, 901)
    assert slow.ended("P901", deadline_s=60)["status"] == "resolved"
    assert slow.cli("audit", "verify").returncode == 0


def test_a_running_attempt_is_finished_when_nobody_asks_to_end_it(slow: Agent, redis: RedisServer) -> None:
    slow.start()
    deliver(slow, 1)
    wait_until(lambda: begun(redis) == 1, "it runs")
    assert slow.cli("stop", "--service", "service-1", "--reason", "migration").returncode == 0
    ended = slow.ended("P1")
    assert ended["escalation"]["trigger"] == "kill_switch"
    assert [attempt["end"] for attempt in ended["steps"][0]["attempts"]] == ["succeeded"]
    assert begun(redis) == 1
    deliver(slow, 2)
    assert slow.ended("P2")["status"] == "resolved"


def test_a_daemon_that_hangs_or_is_gone_is_stopped_all_the_same(slow: Agent, redis: RedisServer) -> None:
    slow.start()
    assert slow.process is not None
    os.kill(slow.process.pid, signal.SIGSTOP)  # wherever it is, in the middle of a write too
    hung = slow.cli("stop", "--reason", "it hangs", "--json")
    os.kill(slow.process.pid, signal.SIGCONT)
    assert hung.returncode == 0, hung.stderr
    deliver(slow, 1)
    assert trigger_of(slow, 1) == "kill_switch"
    slow.kill()
    assert slow.cli("resume").returncode == 0
    assert slow.cli("stop", "--reason", "it is gone").returncode == 0
    slow.start()
    deliver(slow, 2)
    assert trigger_of(slow, 2) == "kill_switch"
    assert begun(redis) == 0


def test_a_stop_is_put_while_a_process_that_hangs_holds_the_database(slow: Agent, redis: RedisServer) -> None:
    slow.start()
    holder = sqlite3.connect(slow.directory / "oncall.db", isolation_level=None)
    wait_until(lambda: holds(holder), "the database is held")
    stopped = slow.cli("stop", "--reason", "it hangs", "--json")
    holder.close()
    assert stopped.returncode == 0, stopped.stderr
    deliver(slow, 1)
    assert trigger_of(slow, 1) == "kill_switch"
    wait_until(lambda: not (slow.directory / "oncall.db.stops").exists(), "the database took it over")
    wait_until(lambda: any("is stopped" in each.text for each in slow.slack.roots()), "the channel is told")
    assert slow.cli("audit", "verify").returncode == 0
    assert slow.cli("resume").returncode == 0
    deliver(slow, 2)
    assert slow.ended("P2")["status"] == "resolved"


def holds(connection: sqlite3.Connection) -> bool:
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("BEGIN IMMEDIATE")
        return True
    return False


def test_a_stop_is_told_in_the_channel_and_in_the_threads_that_it_touches(agent: Agent) -> None:
    agent.runbook("look", LOOK)
    agent.start()
    deliver(agent, 1)
    wait_until(lambda: "Approval needed" in agent.story(), "it waits for a yes")
    assert agent.cli("stop", "--reason", "bad deploy", "--by", "alice").returncode == 0
    wait_until(lambda: "⛔ Stopped by alice" in agent.story(), "the thread is told")
    roots = wait_until(
        lambda: [each.text for each in agent.slack.roots() if "is stopped" in each.text], "root"
    )
    assert "bad deploy" in roots[0]
    refused = agent.cli("approve", "P1")
    assert refused.returncode == 1
    assert "is stopped by alice" in refused.stderr
    wait_until(lambda: httpx.get(f"{agent.url}/health").json().get("stopped") == ["everything"], "health")
    assert agent.cli("resume", "--by", "bob").returncode == 0
    wait_until(lambda: "▶️ Resumed by bob" in agent.story(), "the thread is told")
    assert agent.cli("approve", "P1").returncode == 0
    assert agent.ended("P1")["status"] == "resolved"
    texts = "\n".join(each.text for each in agent.slack.roots())
    assert "was stopped and goes on" in texts


LOOK = """---
autonomy: approve
---
# Runbook: Look

## Trigger Conditions
- Alert contains: "redis"

## Steps

### Step 1: Look
```bash
echo hello
```
"""


def test_a_change_by_api_takes_the_token_and_is_in_force_at_once(agent: Agent) -> None:
    agent.runbook("look", LOOK)
    (agent.directory / "token").write_text("api-token")
    agent.overrides["server"] = {"api_token": {"file": str(agent.directory / "token")}}
    agent.start()
    token = {"Authorization": "Bearer api-token"}
    stop = {"by": "alice", "reason": "bad deploy", "scope": "runbook", "name": "look"}
    assert httpx.post(f"{agent.url}/api/v1/stops", json=stop).status_code == 401
    put = httpx.post(f"{agent.url}/api/v1/stops", json=stop, headers=token)
    assert put.status_code == 201
    resume = f"{agent.url}/api/v1/stops/{put.json()['id']}/resume"
    assert httpx.post(resume, json={"by": "alice"}, headers=token).status_code == 200
    deliver(agent, 1)

    def asked() -> dict[str, str] | None:
        rows = httpx.get(f"{agent.url}/api/v1/escalations", headers=token).json()["escalations"]
        return rows[0] if rows else None

    waits = wait_until(asked, "it waits for a yes")
    yes = {"by": "carol", "plan_hash": waits["decides"]}
    approve = f"{agent.url}/api/v1/incidents/{waits['incident_id']}/approve"
    assert httpx.post(approve, json=yes, headers=token).status_code == 200

    def resolved() -> bool:
        shown = httpx.get(f"{agent.url}/api/v1/incidents/{waits['incident_id']}", headers=token).json()
        return bool(shown["status"] == "resolved")

    wait_until(resolved, "it is resolved")
