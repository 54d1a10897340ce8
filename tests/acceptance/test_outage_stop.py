"""SIGTERM at every moment: what runs ends or is stopped, the rest is handed over, the process is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from agent.simulators.server import Fault
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.outage_rows import matches, proves, row
from tests.acceptance.runbooks import redis_runbook
from tests.acceptance.test_outages import story_is_complete
from tests.acceptance.test_webhook_answers import event, signed

#: Starting and stopping take this long on a busy machine, beside what is being waited for.
BUSY_S = 12.0

CHANGING = """# Runbook: Redis Connection Timeout

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- max_cache_operations: 1
- requires_human_approval: false

## Steps

### Step 1: Flush
```bash
redis-cli -h 127.0.0.1 -p PORT INCR begun && sleep SECONDS && redis-cli -h 127.0.0.1 -p PORT PING
```
Expected output: contains "PONG"
"""


def changing(redis: RedisServer, seconds: float) -> str:
    return CHANGING.replace("PORT", str(redis.port)).replace("SECONDS", str(seconds))


def terminate(agent: Agent) -> None:
    assert agent.process is not None
    agent.process.send_signal(signal.SIGTERM)


def is_told(agent: Agent, source_id: str, row_id: str) -> bool:
    """Whether the row's line stands in the incident's timeline."""
    incident = agent.incident(source_id)
    assert incident is not None
    return any(matches(row(row_id).told, entry["text"]) for entry in incident["timeline"])


def gone_within(agent: Agent, seconds: float) -> int:
    """Its exit code."""
    assert agent.process is not None
    code = agent.process.wait(timeout=seconds)
    agent.process = None
    return code


def in_the_middle(agent: Agent, redis: RedisServer, *, seconds: float, grace_s: float) -> None:
    """A command runs that changes something."""
    agent.runbook("redis-connection-timeout", changing(redis, seconds))
    agent.overrides["server"] = {"stop_grace_s": grace_s}
    agent.start()
    assert signed(agent, event()).status_code == 202
    wait_until(lambda: redis.cli("GET", "begun") == "1", "the command runs")


def test_a_step_that_ends_within_the_grace_is_finished(agent: Agent, redis: RedisServer) -> None:
    in_the_middle(agent, redis, seconds=1, grace_s=30)
    terminate(agent)
    assert gone_within(agent, 1 + BUSY_S) == 0
    agent.start()
    assert agent.ended("P777")["status"] == "resolved"
    assert is_told(agent, "P777", "stop-finishes")
    assert redis.cli("GET", "begun") == "1"


def test_a_step_that_does_not_end_is_stopped_and_settled_at_the_next_start(
    agent: Agent, redis: RedisServer
) -> None:
    in_the_middle(agent, redis, seconds=60, grace_s=0.5)
    terminate(agent)
    assert gone_within(agent, 0.5 + BUSY_S) == 0
    assert '"event": "attempts_cut_off"' in agent.log()
    agent.start()
    incident = agent.ended("P777")
    assert incident["status"] == "escalated"
    assert incident["escalation"]["trigger"] == "outcome_unknown"
    assert is_told(agent, "P777", "stop-cuts-off")
    assert redis.cli("GET", "begun") == "1"
    wait_until(agent.pagerduty.pages, "a human is paged")


def test_a_second_signal_waits_for_nothing(agent: Agent, redis: RedisServer) -> None:
    in_the_middle(agent, redis, seconds=60, grace_s=300)
    terminate(agent)
    wait_until(lambda: '"event": "stopping"' in agent.log(), "it is stopping")
    terminate(agent)
    assert gone_within(agent, BUSY_S) == 0
    assert f'"event": "{row("stop-twice").told}"' in agent.log()


@pytest.mark.soak
def test_waiting_for_approval_holds_no_stop_up_and_goes_on_afterwards(
    agent: Agent, redis: RedisServer
) -> None:
    asks = changing(redis, 0).replace("approval: false", "approval: true")
    agent.runbook("redis-connection-timeout", asks)
    agent.overrides["server"] = {"stop_grace_s": 300}
    agent.start()
    assert signed(agent, event()).status_code == 202
    wait_until(lambda: (agent.incident("P777") or {})["status"] == "awaiting_approval", "it waits")
    terminate(agent)
    assert gone_within(agent, BUSY_S) == 0
    agent.start()
    waiting = agent.incident("P777")
    assert waiting is not None
    assert waiting["status"] == "awaiting_approval"
    assert agent.cli("approve", waiting["id"]).returncode == 0
    assert agent.ended("P777")["status"] == "resolved"
    assert is_told(agent, "P777", "stop-approval")
    assert redis.cli("GET", "begun") == "1"


@pytest.mark.soak
def test_a_stop_while_the_thread_is_told_loses_no_line_and_says_none_twice(
    agent: Agent, redis: RedisServer
) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    agent.slack.misbehave(Fault(0, path="/api/chat.postMessage", times=-1, delay_s=0.4))
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    wait_until(agent.slack.roots, "the thread is begun")
    terminate(agent)
    assert gone_within(agent, BUSY_S) == 0
    agent.slack.behave()
    agent.start()
    assert agent.ended(page.id)["status"] == "resolved"
    wait_until(lambda: story_is_complete(agent), "the thread is complete and in order")
    said = Counter(line for message in agent.thread()[1:] for line in message.splitlines())
    told = [entry["text"].splitlines()[0] for entry in agent.incident(page.id)["timeline"]]  # type: ignore[index]
    assert [line for line in told if said[line] > 1] == []
    assert said[row("stop-delivering").told] == 1


def test_a_webhook_that_comes_during_a_stop_is_answered_or_never_stored(agent: Agent) -> None:
    agent.overrides["slack"] = None
    agent.start()
    outcomes: Counter[str] = Counter()
    stored: list[str] = []
    refused: set[str] = set()
    unanswered: set[str] = set()
    over = threading.Event()

    def deliver(number: int) -> None:
        trigger = event(source_id=f"P{number}")
        trigger["event"]["data"]["title"] = f"nobody knows case n{number}"
        try:
            answer = signed(agent, trigger, **{"X-Webhook-Id": f"w-{number}"})
        except httpx.ConnectError:
            outcomes["nobody listens"] += 1  # so nothing was sent
            return
        except httpx.HTTPError:  # in the kernel's queue when the door was shut: nobody has read it
            unanswered.add(f"pagerduty:w-{number}")
            return
        outcomes[str(answer.status_code)] += 1
        if answer.status_code == 202:
            stored.append(f"P{number}")
        if answer.status_code == 503:
            refused.add(answer.json()["error"])

    def keep_delivering(start: int) -> None:
        for number in range(start, start + 10_000):
            if over.is_set():
                return
            deliver(number)

    with ThreadPoolExecutor(8) as pool:
        for start in range(8):
            pool.submit(keep_delivering, start * 10_000)
        wait_until(lambda: len(stored) > 40, "webhooks are being taken")
        terminate(agent)
        assert gone_within(agent, BUSY_S + 10) == 0
        over.set()
    assert set(outcomes) <= {"202", "503", "nobody listens"}, outcomes
    assert refused <= {row("stop-webhooks").told}
    with contextlib.closing(sqlite3.connect(agent.directory / "oncall.db")) as connection:
        known = {each for (each,) in connection.execute("SELECT source_id FROM incidents")}
        deliveries = {each for (each,) in connection.execute("SELECT id FROM deliveries")}
    assert set(stored) <= known
    assert unanswered & deliveries == set()


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_agent_is_gone_at_once(agent: Agent, number: signal.Signals) -> None:
    agent.start()
    assert agent.process is not None
    began = time.monotonic()
    os.kill(agent.process.pid, number)
    assert gone_within(agent, BUSY_S) == 0
    assert time.monotonic() - began < BUSY_S


NEVER_ENDS = """
import os, signal, threading, time, types
from agent import daemon

daemon._STOP_AT_MOST_S = 0.5
server = types.SimpleNamespace(stop_grace_s=0.0)
stuck = types.SimpleNamespace(
    _stopping=threading.Event(),
    context=types.SimpleNamespace(config=types.SimpleNamespace(server=server)),
    stop=lambda: time.sleep(600),
)
stuck._signalled = stuck._stopping.set
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
daemon.Daemon.run_until_signalled(stuck)
"""


@proves("stop-bound")
def test_a_stop_that_does_not_end_is_ended() -> None:
    code = subprocess.run([sys.executable, "-c", NEVER_ENDS], timeout=60).returncode
    assert code == 70
