"""The database is locked, full, read-only or gone: webhooks are refused and come again, nothing is lost."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.outage_disks import SmallDisk, small_disk
from tests.acceptance.outage_rows import row
from tests.acceptance.test_outage_stop import changing
from tests.acceptance.test_webhook_answers import event, signed
from tests.postgres import PostgresServer

#: PagerDuty gives a webhook so long (documentation "Webhooks", page "Behavior").
PAGERDUTY_WAITS_S = 5.0

#: How long the trouble lasts: longer than one write waits, and than all tries of one step.
TROUBLE_S, LONG_TROUBLE_S = 5.0, 60.0


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process has the one lock for writing, as a copy of the file or a forgotten shell has."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def database(agent: Agent) -> Path:
    return agent.directory / "oncall.db"


def trigger(number: int) -> dict[str, object]:
    made = event(source_id=f"P{number}")
    made["event"]["data"]["title"] = f"Redis connection timeout n{number}"
    made["event"]["data"]["service"]["summary"] = f"service-{number}"
    return made


def delivered(agent: Agent, number: int, row_id: str = "") -> int:
    """PagerDuty tries; the status it sees. A refusal says what the row says."""
    began = time.monotonic()
    answer = signed(agent, trigger(number), **{"X-Webhook-Id": f"w-{number}"})
    assert time.monotonic() - began < PAGERDUTY_WAITS_S
    if row_id and answer.status_code == 503:
        assert answer.json()["error"] == row(row_id).told
    return answer.status_code


def delivered_again(agent: Agent, number: int) -> None:
    """PagerDuty tries until it is taken."""
    wait_until(lambda: delivered(agent, number) == 202, "the webhook is taken")


def runs_on(agent: Agent, redis: RedisServer, *, seconds: float = 3) -> None:
    """A command that changes something is under way."""
    agent.runbook("redis-connection-timeout", changing(redis, seconds))
    agent.start()
    assert delivered(agent, 1) == 202
    wait_until(lambda: redis.cli("GET", "begun") == "1", "the command runs")


def nothing_ran_twice(agent: Agent, redis: RedisServer, number: int = 1) -> None:
    incident = agent.ended(f"P{number}", deadline_s=90)
    assert incident["status"] == "resolved", incident["timeline"][-3:]
    assert redis.cli("GET", "begun") == str(number)


def hold_the_lock(agent: Agent, redis: RedisServer, seconds: float) -> None:
    """One incident is in the middle of a command, another one has only just been taken."""
    runs_on(agent, redis)
    assert delivered(agent, 2) == 202
    with locked(database(agent)):
        assert delivered(agent, 3, "database-locked") == 503
        assert httpx.get(f"{agent.url}/health").status_code == 200
        time.sleep(seconds)
    delivered_again(agent, 3)
    for number in (1, 2, 3):
        assert agent.ended(f"P{number}", deadline_s=90)["status"] == "resolved"
    assert redis.cli("GET", "begun") == "3"
    assert agent.cli("audit", "verify").returncode == 0


def test_a_locked_database_refuses_webhooks_in_time_and_holds_what_runs(
    agent: Agent, redis: RedisServer
) -> None:
    hold_the_lock(agent, redis, TROUBLE_S)


@pytest.mark.soak
def test_a_database_that_is_locked_for_long_is_waited_for(agent: Agent, redis: RedisServer) -> None:
    hold_the_lock(agent, redis, LONG_TROUBLE_S)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path) as mounted:
        yield mounted


@pytest.fixture
def on_disk(disk: SmallDisk, pagerduty: PagerDutySimulator, slack: SlackSimulator) -> Iterator[Agent]:
    """An agent with everything of its own on the small disk: database, audit log, its log."""
    directory = disk.path / "agent"
    directory.mkdir()
    agent = Agent(directory, pagerduty, slack)
    pagerduty.subscribe(agent.webhook_url)
    yield agent
    agent.kill()


def audit_lines(agent: Agent) -> list[str]:
    return (agent.directory / "audit.jsonl").read_text().splitlines(keepends=True)


def test_a_full_disk_refuses_webhooks_and_goes_on_when_there_is_room(
    on_disk: Agent, disk: SmallDisk, redis: RedisServer
) -> None:
    runs_on(on_disk, redis, seconds=1)
    disk.fill()
    wait_until(lambda: delivered(on_disk, 2, "database-full") == 503, "the database is full too")
    assert httpx.get(f"{on_disk.url}/health").status_code == 200
    time.sleep(TROUBLE_S)
    assert delivered(on_disk, 3, "database-full") == 503
    disk.free()
    nothing_ran_twice(on_disk, redis)
    for number in (2, 3):
        delivered_again(on_disk, number)
        nothing_ran_twice(on_disk, redis, number)
    wait_until(lambda: on_disk.cli("audit", "verify").returncode == 0, "file and database agree")
    assert all(line.endswith("\n") for line in audit_lines(on_disk))


@pytest.mark.soak
def test_a_disk_that_the_kernel_gave_up_on_refuses_webhooks_and_the_heartbeat_says_why(
    on_disk: Agent, disk: SmallDisk, redis: RedisServer, tmp_path: Path
) -> None:
    beat = tmp_path / "heartbeat.json"
    on_disk.overrides["heartbeat"] = {"every_s": 1, "file": str(beat)}
    runs_on(on_disk, redis, seconds=1)
    disk.give_up()
    refused = "nothing can be written any more"
    wait_until(lambda: delivered(on_disk, 2, "database-read-only") == 503, refused)
    assert httpx.get(f"{on_disk.url}/health").status_code == 200
    wait_until(lambda: "the store cannot be written" in beat.read_text(), "the heartbeat says so")
    assert redis.cli("GET", "begun") == "1"


@pytest.mark.soak
def test_an_audit_log_on_a_full_disk_is_completed_when_there_is_room(
    agent: Agent, disk: SmallDisk, redis: RedisServer
) -> None:
    agent.overrides["audit"] = {"path": str(disk.path / "audit.jsonl")}
    agent.start()
    disk.fill()
    assert signed(agent, event()).status_code == 202
    assert agent.ended("P777")["status"] == "escalated"
    words = row("audit-full").told.replace("<path>", str(disk.path / "audit.jsonl"))
    wait_until(lambda: words in agent.log(), "the log says so")
    disk.free()
    wait_until(lambda: agent.cli("audit", "verify").returncode == 0, "the file is complete")


@pytest.fixture
def on_postgres(agent: Agent, postgres_url: str, tmp_path: Path) -> Agent:
    agent.overrides["database"] = {"url": postgres_url}
    agent.overrides["audit"] = {"path": str(tmp_path / "audit.jsonl")}
    return agent


def is_back(agent: Agent) -> bool:
    try:
        return httpx.get(f"{agent.url}/ready", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def outlives(
    agent: Agent, redis: RedisServer, row_id: str, trouble: contextlib.AbstractContextManager[object]
) -> None:
    """What runs goes on, what comes is refused in time, and afterwards everything is taken."""
    runs_on(agent, redis)
    with trouble:
        assert delivered(agent, 2, row_id) == 503
        assert httpx.get(f"{agent.url}/health").status_code == 200
        time.sleep(TROUBLE_S)
        assert delivered(agent, 2) == 503
    wait_until(lambda: is_back(agent), "it is ready again", deadline_s=60)
    nothing_ran_twice(agent, redis)
    delivered_again(agent, 2)
    nothing_ran_twice(agent, redis, 2)
    assert agent.process is not None
    assert agent.process.poll() is None


@contextlib.contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    server.stop(at_once=True)
    try:
        yield
    finally:
        server.start()


def test_postgresql_gone_refuses_webhooks_and_goes_on_when_it_is_back(
    on_postgres: Agent, postgres_server: PostgresServer, redis: RedisServer
) -> None:
    outlives(on_postgres, redis, "postgresql-gone", stopped(postgres_server))


@pytest.mark.soak
def test_postgresql_that_hangs_refuses_webhooks_in_time_and_goes_on(
    on_postgres: Agent, postgres_server: PostgresServer, redis: RedisServer
) -> None:
    outlives(on_postgres, redis, "postgresql-hangs", postgres_server.paused())
