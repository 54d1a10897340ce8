from __future__ import annotations

from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.runbooks import redis_runbook


def test_a_signed_page_ends_as_a_resolved_incident_with_its_thread(agent: Agent, redis: RedisServer) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")

    incident = agent.ended(page.id)

    assert incident["status"] == "resolved"
    assert incident["runbook"] == "redis-connection-timeout"
    assert incident["charges"] == {"cache_operation": 1}
    assert [step["status"] for step in incident["steps"]] == ["succeeded", "succeeded"]
    assert redis.cli("GET", "runs") == "1"
    wait_until(lambda: agent.pagerduty.incident(page.id).status == "resolved", "resolved at PagerDuty")
    wait_until(lambda: "Incident Summary" in agent.thread()[-1], "the summary is in the thread")
    assert agent.pagerduty.pages() == []
