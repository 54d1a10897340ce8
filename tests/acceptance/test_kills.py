"""`kill -9` at random moments: nothing is lost, nothing runs twice, unknown outcomes page a human."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.simulators.pagerduty import PagerDutySimulator
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.test_webhook_answers import event, signed

RUNBOOK = """# Runbook: Redis Connection Timeout

## Trigger Conditions
- Alert contains: "redis"

## Parameters
- key: title /case ([a-z0-9]+)/; pattern /^[a-z0-9]+$/

## Blast Radius
- max_cache_operations: 2
- requires_human_approval: false

## Steps

### Step 1: Count
```bash
redis-cli -h 127.0.0.1 -p PORT INCR first-{{ key }}
```
Expected output: "1"
Attempts: 1

### Step 2: Look
```bash
redis-cli -h 127.0.0.1 -p PORT GET first-{{ key }}
```
Expected output: "1"

### Step 3: Count again
```bash
redis-cli -h 127.0.0.1 -p PORT INCR third-{{ key }}
```
Expected output: "1"
Attempts: 1
"""


#: Kills make outcomes unknown, which escalates; after enough of them the runbook would be held for incomplete
#: and wait for an approval. It is the agent that is tried here, not the runbook, so nothing is held for that.
KILLED = {"slack": None, "matching": {"incomplete": {"escalated_share": 1.0}}}


@dataclass
class Outcome:
    """What became of everything that was sent."""

    kills: int = 0
    resolved: int = 0
    unknown: int = 0
    twice: int = 0
    lost: int = 0


def deliver(agent: Agent, number: int) -> None:
    """As PagerDuty does: again and again, until it is taken."""
    trigger = event(source_id=f"P{number}")
    trigger["event"]["data"]["title"] = f"redis case n{number}"  # a number alone makes no other alert
    trigger["event"]["data"]["service"]["summary"] = f"service-{number % 7}"

    def taken() -> bool:
        try:
            return signed(agent, trigger, **{"X-Webhook-Id": f"w-{number}"}).status_code == 202
        except httpx.HTTPError:
            return False

    wait_until(taken, "the webhook is taken")


def kill_at_random(agent: Agent, redis: RedisServer, *, kills: int, each: int, seed: int) -> Outcome:
    chance = random.Random(seed)
    agent.runbook("redis-connection-timeout", RUNBOOK.replace("PORT", str(redis.port)))
    agent.overrides |= KILLED
    agent.start()
    sent = 0
    for _ in range(kills):
        for _ in range(each):
            deliver(agent, sent)
            sent += 1
        time.sleep(chance.uniform(0.0, 0.25))
        agent.kill()
        agent.start()
    return judge(agent, redis, sent, kills)


def judge(agent: Agent, redis: RedisServer, sent: int, kills: int) -> Outcome:
    outcome = Outcome(kills=kills)
    for number in range(sent):
        incident = agent.ended(f"P{number}", deadline_s=60)
        counts = [int(redis.cli("GET", f"{step}-n{number}") or 0) for step in ("first", "third")]
        outcome.twice += sum(count > 1 for count in counts)
        if incident["status"] == "resolved":
            outcome.resolved += 1
            outcome.lost += counts != [1, 1]
            continue
        assert incident["escalation"]["trigger"] == "outcome_unknown", incident["escalation"]
        outcome.unknown += 1
        key = f"oncall-agent-{incident['id']}"
        wait_until(lambda k=key: _paged(agent.pagerduty, k), f"a human is paged for {key}")
    return outcome


def _paged(pagerduty: PagerDutySimulator, key: str) -> bool:
    return any(page.alert_key == key for page in pagerduty.pages())


def test_random_kills_lose_nothing_and_run_nothing_twice(agent: Agent, redis: RedisServer) -> None:
    outcome = kill_at_random(agent, redis, kills=5, each=4, seed=417)
    assert (outcome.twice, outcome.lost) == (0, 0)
    assert outcome.resolved + outcome.unknown == 20
    assert agent.cli("audit", "verify").returncode == 0


SLOW = """# Runbook: Slow write

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- max_cache_operations: 1
- requires_human_approval: false

## Steps

### Step 1: Count slowly
```bash
redis-cli -h 127.0.0.1 -p PORT INCR begun && sleep 30 && redis-cli -h 127.0.0.1 -p PORT GET begun
```
"""


def commands_of(incident_id: str) -> list[str]:
    """Processes that carry the mark of an attempt of the incident."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (place / "environ").read_bytes()
            if f"ONCALL_AGENT_ATTEMPT={incident_id}/".encode() in environment:
                found.append(place.name)
    return found


def test_a_command_that_was_running_when_the_agent_was_killed_is_ended_and_never_run_again(
    agent: Agent, redis: RedisServer
) -> None:
    agent.runbook("slow", SLOW.replace("PORT", str(redis.port)))
    agent.start()
    deliver(agent, 1)
    wait_until(lambda: redis.cli("GET", "begun") == "1", "the command runs")
    marked = agent.incident("P1")["id"]  # type: ignore[index]
    wait_until(lambda: commands_of(marked), "its processes carry the incident's mark")
    agent.kill()
    wait_until(lambda: not commands_of(marked), "nothing of it is left, before the agent is back")
    agent.start()
    incident = agent.ended("P1")
    assert incident["status"] == "escalated"
    assert incident["escalation"]["trigger"] == "outcome_unknown"
    assert redis.cli("GET", "begun") == "1"
    wait_until(agent.pagerduty.pages, "a human is paged")


WANDERER = """#!/bin/sh
setsid sleep 300 < /dev/null > /dev/null 2>&1 &
echo gone
sleep 300
"""

WANDERING = """# Runbook: A script whose child goes its own way

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- max_service_restarts: 1
- requires_human_approval: false

## Steps

### Step 1: Restart
```bash
SCRIPT
```
"""


def tree_of(pid: int) -> list[int]:
    """A process and everything that it started, directly or not, as far as it is still known."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def programs_of(incident_id: str) -> list[str]:
    """What runs with the incident's mark, by the names of the programs."""
    names = []
    for pid in commands_of(incident_id):
        with contextlib.suppress(OSError):
            names.append((Path("/proc") / pid / "comm").read_text().strip())
    return sorted(names)


def wandering(agent: Agent, directory: Path) -> str:
    """A command runs whose child has made a session of its own; gives the incident's id."""
    script = directory / "restart.sh"
    script.write_text(WANDERER)
    script.chmod(0o755)
    sha256 = hashlib.sha256(script.read_bytes()).hexdigest()
    tables = directory / "tables.yaml"
    effect = "{class: service_restart, target: shop}"
    tables.write_text(f"scripts:\n  {script}:\n    sha256: '{sha256}'\n    effect: {effect}\n")
    agent.overrides["execution"] = {"effect_tables": [str(tables)]}
    agent.runbook("wandering", WANDERING.replace("SCRIPT", str(script)))
    agent.start()
    deliver(agent, 1)
    found = wait_until(lambda: agent.incident("P1"), "it is received")
    incident_id: str = found["id"]
    wait_until(lambda: programs_of(incident_id).count("sleep") == 2, "both run")
    return incident_id


def was_ended_once(agent: Agent) -> bool:
    incident = agent.ended("P1")
    trigger = incident["escalation"]["trigger"]
    return (incident["status"], trigger) == ("escalated", "outcome_unknown")


def test_a_child_that_made_a_session_of_its_own_ends_with_the_agent(agent: Agent, tmp_path: Path) -> None:
    incident_id = wandering(agent, tmp_path)
    agent.kill()
    wait_until(lambda: not commands_of(incident_id), "nothing of it is left, before the agent is back")
    agent.start()
    assert was_ended_once(agent)


def test_an_orphan_that_survived_the_whole_tree_is_ended_at_the_next_start(
    agent: Agent, tmp_path: Path
) -> None:
    incident_id = wandering(agent, tmp_path)
    assert agent.process is not None
    wanderer = [int(pid) for pid in commands_of(incident_id) if os.getsid(int(pid)) == int(pid)]
    doomed = tree_of(agent.process.pid)
    for pid in doomed:  # nobody gets to clean up after anybody
        os.kill(pid, signal.SIGSTOP)
    for pid in doomed:
        if pid not in wanderer or (Path(f"/proc/{pid}/comm").read_text().strip() != "sleep"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    agent.kill()
    for pid in wanderer:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    assert programs_of(incident_id) == ["sleep"]
    agent.start()
    assert commands_of(incident_id) == []
    assert was_ended_once(agent)


READING = """# Runbook: Slow look

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- requires_human_approval: false

## Steps

### Step 1: Look slowly
```bash
sleep 2 && redis-cli -h 127.0.0.1 -p PORT PING
```
Expected output: "PONG"
"""


def test_a_command_that_only_reads_is_run_again_after_a_kill(agent: Agent, redis: RedisServer) -> None:
    agent.runbook("look", READING.replace("PORT", str(redis.port)))
    agent.start()
    deliver(agent, 1)
    wait_until(lambda: agent.incident("P1")["steps"], "it is planned")  # type: ignore[index]
    agent.kill()
    agent.start()
    assert agent.ended("P1")["status"] == "resolved"


#: How many, for those who have an hour.
KILLS = int(os.environ.get("SOAK_KILLS", "60"))


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_many_random_kills(agent: Agent, redis: RedisServer, request: Any, database: str) -> None:
    if database == "postgresql":
        agent.overrides["database"] = {"url": request.getfixturevalue("postgres_url")}
    seed = int(os.environ.get("SOAK_SEED", "0")) or int(time.time())
    outcome = kill_at_random(agent, redis, kills=KILLS, each=5, seed=seed)
    print(f"\n{database}, seed {seed}: {outcome}")  # noqa: T201  (the figure is what the soak is for)
    assert (outcome.twice, outcome.lost) == (0, 0)
    assert outcome.resolved + outcome.unknown == KILLS * 5
    assert agent.cli("audit", "verify").returncode == 0
