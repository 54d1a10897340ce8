"""Backup and restore, and retention, with the real process under load."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.test_kills import RUNBOOK, deliver


@pytest.fixture
def working(agent: Agent, redis: RedisServer) -> Agent:
    agent.runbook("redis-connection-timeout", RUNBOOK.replace("PORT", str(redis.port)))
    agent.overrides["slack"] = None
    agent.start()
    return agent


def counts(redis: RedisServer, number: int) -> list[int]:
    return [int(redis.cli("GET", f"{step}-n{number}") or 0) for step in ("first", "third")]


def test_a_backup_under_load_restored_after_a_crash_runs_nothing_twice_and_loses_no_incident(
    working: Agent, redis: RedisServer
) -> None:
    agent = working
    for number in range(4):
        deliver(agent, number)
    for number in range(4):
        agent.ended(f"P{number}")
    load = threading.Thread(target=lambda: [deliver(agent, number) for number in range(4, 24)])
    load.start()
    wait_until(lambda: agent.incident("P8"), "the load is under way")
    done = agent.cli("backup", "oncall.tar.gz", "--json")
    assert done.returncode == 0, done.stderr
    refused = agent.cli("restore", "oncall.tar.gz")
    assert refused.returncode == 2
    assert "stop it first" in refused.stderr
    load.join()
    agent.ended("P23", deadline_s=60)
    agent.kill()
    before = [counts(redis, number) for number in range(24)]

    result = agent.cli("restore", "oncall.tar.gz", "--json")
    assert result.returncode == 0, result.stderr
    restored = json.loads(result.stdout)
    agent.start()
    # PagerDuty sends what it has no answer to again; here everything comes in once more
    for number in range(24):
        deliver(agent, number)
    for number in range(24):
        incident = agent.ended(f"P{number}", deadline_s=60)
        assert incident["status"] in ("resolved", "escalated")
        if incident["id"] in restored["incidents"]:
            assert "restored from a backup" in incident["result"]
    assert [counts(redis, number) for number in range(24)] == before
    assert max(max(each) for each in before) == 1
    for incident_id in restored["incidents"]:
        key = f"oncall-agent-{incident_id}"
        wait_until(lambda k=key: _paged(agent, k), f"a human is paged for {key}")
    assert agent.cli("audit", "verify").returncode == 0

    assert agent.cli("resume", restored["stop"]).returncode == 0
    deliver(agent, 99)
    assert agent.ended("P99")["status"] == "resolved"


def _paged(agent: Agent, key: str) -> bool:
    return any(page.alert_key == key for page in agent.pagerduty.pages())


def test_archiving_by_hand_beside_a_working_daemon_disturbs_nobody(
    working: Agent, redis: RedisServer
) -> None:
    agent = working
    for number in range(30):
        deliver(agent, number)
    for number in range(30):
        agent.ended(f"P{number}", deadline_s=60)
    _make_older(agent.directory / "oncall.db", days=100)
    load = threading.Thread(target=lambda: [deliver(agent, number) for number in range(30, 50)])
    load.start()
    done = agent.cli("archive", "--json")
    load.join()
    assert done.returncode == 0, done.stderr
    # the last ten runs of the runbook stay
    assert json.loads(done.stdout)["incidents"] >= 20
    for number in range(30, 50):
        assert agent.ended(f"P{number}", deadline_s=60)["status"] == "resolved"
        assert counts(redis, number) == [1, 1]
    assert agent.incident("P0") is None
    wait_until(
        lambda: agent.cli("audit", "verify", "--archives").returncode == 0, "the audit log has caught up"
    )
    assert httpx.get(f"{agent.url}/ready").status_code == 200


def _make_older(database: Path, *, days: int) -> None:
    """The clock cannot be turned: what has ended is said to have ended before."""
    with sqlite3.connect(database, timeout=10) as connection:
        connection.execute(
            "UPDATE incidents SET ended_at = strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', ended_at, ?) "
            "WHERE ended_at IS NOT NULL",
            (f"-{days} days",),
        )
    connection.close()
