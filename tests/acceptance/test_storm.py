"""A storm of one alert is one incident, whatever happens meanwhile; nothing of it is lost."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from agent.simulators.pagerduty import PagerDutySimulator
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.runbooks import redis_runbook
from tests.acceptance.test_webhook_answers import event, signed

TITLE, SERVICE = "Redis connection timeout", "api-gateway"

SOURCES, DELIVERIES = 200, 5


@pytest.fixture
def waiting(agent: Agent, redis: RedisServer) -> Agent:
    """Its runbook waits for a yes."""
    text = redis_runbook(redis.port).replace("approval: false", "approval: true")
    agent.runbook("redis-connection-timeout", text)
    agent.start()
    return agent


def open_at_source(pagerduty: PagerDutySimulator, url: str, count: int) -> list[str]:
    """Incidents that the source has and does not tell of: the test does, as often as it likes."""
    pagerduty.subscribe(url).disabled = True
    return [pagerduty.create_incident(TITLE, service=SERVICE).id for _ in range(count)]


def deliver(agent: Agent, source_id: str, number: int) -> None:
    """As PagerDuty does: again and again, with pauses, until it is taken."""
    for _ in range(600):
        with contextlib.suppress(httpx.HTTPError):
            answer = signed(agent, event(source_id=source_id), **{"X-Webhook-Id": f"{source_id}-{number}"})
            if answer.status_code == 202:
                return
        time.sleep(0.2)
    raise AssertionError(f"the webhook of {source_id} was never taken")


def deliver_all(agent: Agent, sources: Sequence[str]) -> None:
    webhooks = [(source_id, number) for number in range(DELIVERIES) for source_id in sources]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda webhook: deliver(agent, *webhook), webhooks))


def statuses(agent: Agent) -> dict[str, tuple[str, str]]:
    """By its id at the source: where it stands, and what it was folded into."""
    with sqlite3.connect(agent.directory / "oncall.db") as connection:
        rows = connection.execute("SELECT source_id, status, folded_into FROM incidents").fetchall()
    connection.close()
    return {source_id: (status, folded_into) for source_id, status, folded_into in rows}


def lines_about_it(agent: Agent) -> list[str]:
    said = [line for message in agent.thread() for line in message.splitlines()]
    return [line for line in said if line.startswith("🔁 Same alert again")]


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(False, id="undisturbed", marks=pytest.mark.soak),
        pytest.param(True, id="killed in the middle"),
    ],
)
def test_a_thousand_deliveries_of_one_alert_run_once_and_close_everything(
    waiting: Agent, redis: RedisServer, killed: bool
) -> None:
    agent = waiting
    sources = open_at_source(agent.pagerduty, agent.webhook_url, SOURCES)
    deliver(agent, sources[0], 0)
    first = wait_until(lambda: agent.incident(sources[0]), "the first is there")["id"]
    with ThreadPoolExecutor(1) as pool:
        storm = pool.submit(deliver_all, agent, sources)
        if killed:
            wait_until(lambda: len(statuses(agent)) > SOURCES // 4, "the storm is under way")
            agent.kill()
            agent.start()
        storm.result()

    found = statuses(agent)
    assert sorted(found) == sorted(sources)
    assert {found[each] for each in sources[1:]} == {("ignored", first)}
    shown = wait_until(
        lambda: (
            (incident := agent.incident(sources[0]))
            and incident["status"] == "awaiting_approval"
            and incident
        ),
        "it waits for a yes",
    )
    assert shown["alert_count"] == SOURCES
    assert agent.cli("approve", first).returncode == 0
    assert agent.ended(sources[0])["status"] == "resolved"
    assert redis.cli("GET", "runs") == "1"
    wait_until(
        lambda: {agent.pagerduty.incident(each).status for each in sources} == {"resolved"},
        "all of them are closed at the source",
        deadline_s=120,
    )
    assert agent.pagerduty.pages() == []
    assert len(agent.slack.roots()) == 1
    assert 3 <= len(lines_about_it(agent)) <= 8
    assert "(×200)" in agent.story()
    assert agent.cli("audit", "verify").returncode == 0


def test_a_storm_that_no_runbook_answers_wakes_one_human_once(agent: Agent) -> None:
    agent.start()
    sources = open_at_source(agent.pagerduty, agent.webhook_url, 40)
    deliver_all(agent, sources)
    wait_until(agent.pagerduty.pages, "a human is paged")
    found = statuses(agent)
    assert sorted(found) == sorted(sources)
    worked_on = [source_id for source_id, (_, folded_into) in found.items() if not folded_into]
    assert len(worked_on) == 1
    assert agent.ended(worked_on[0])["status"] == "escalated"
    assert agent.incident(worked_on[0])["alert_count"] == 40  # type: ignore[index]
    assert len(agent.pagerduty.pages()) == 1
