"""Vendors that are slow, refuse, or are gone: nothing is lost, nothing waits for them."""

from __future__ import annotations

import pytest

from agent.simulators.server import Fault
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.runbooks import redis_runbook


@pytest.fixture
def ready(agent: Agent, redis: RedisServer) -> Agent:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    return agent


def story_is_complete(agent: Agent) -> bool:
    if not agent.slack.roots():
        return False
    story = agent.story()
    lines = [
        "🚨 Incident received", "📋 Matched runbook", "▶️ Step 1", "✅ Step 1 succeeded", "▶️ Step 2",
        "✅ Step 2 succeeded", "✅ Incident resolved", "📋 Incident Summary",
    ]  # fmt: skip
    places = [story.find(line) for line in lines]
    return all(place >= 0 for place in places) and places == sorted(places)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, path="/api/", times=2, headers={"Retry-After": "1"}),
        Fault(500, path="/api/", times=2),
        Fault(0, path="/api/", times=1, delay_s=1.5),
        Fault(200, path="/api/", times=2, body="<html>"),
    ],
    ids=["429", "500", "no answer", "no JSON"],
)
def test_slack_failing_holds_up_nothing_and_loses_no_line(ready: Agent, fault: Fault) -> None:
    ready.slack.misbehave(fault)
    page = ready.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    assert ready.ended(page.id, deadline_s=10)["status"] == "resolved"
    wait_until(lambda: story_is_complete(ready), "the thread is complete and in order")


def test_slack_gone_for_the_whole_incident_is_told_everything_afterwards(ready: Agent) -> None:
    ready.slack.misbehave(Fault(503, path="/api/", times=-1))
    page = ready.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    assert ready.ended(page.id, deadline_s=10)["status"] == "resolved"
    assert ready.slack.roots() == []
    ready.slack.behave()
    wait_until(lambda: story_is_complete(ready), "the thread is complete and in order", deadline_s=60)
    said = [line for message in ready.thread() for line in message.splitlines()]
    assert said.count("✅ Incident resolved automatically") == 1


def test_a_line_that_slack_lost_with_the_process_is_told_after_the_restart(ready: Agent) -> None:
    ready.slack.misbehave(Fault(503, path="/api/", times=-1))
    page = ready.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    ready.ended(page.id)
    ready.kill()
    ready.slack.behave()
    ready.start()
    wait_until(lambda: story_is_complete(ready), "the thread is complete and in order", deadline_s=60)


def test_pagerdutys_rest_api_down_the_runbook_still_runs_and_the_rest_follows(
    ready: Agent, redis: RedisServer
) -> None:
    ready.pagerduty.misbehave(Fault(500, path="/incidents", times=-1))
    page = ready.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    assert ready.ended(page.id)["status"] == "resolved"
    assert redis.cli("GET", "runs") == "1"
    assert ready.pagerduty.incident(page.id).status == "triggered"
    ready.pagerduty.behave()
    wait_until(lambda: ready.pagerduty.incident(page.id).status == "resolved", "resolved", deadline_s=60)
    assert len(ready.pagerduty.incident(page.id).notes) == 1


def test_the_events_api_down_the_page_is_tried_until_it_is_taken_and_wakes_once(ready: Agent) -> None:
    ready.pagerduty.misbehave(Fault(500, path="/v2/enqueue", times=2))
    page = ready.pagerduty.create_incident("Nobody knows this", service="billing")
    assert ready.ended(page.id)["status"] == "escalated"
    (alert,) = wait_until(ready.pagerduty.pages, "a human is paged", deadline_s=60)
    assert alert.alert_key.startswith("oncall-agent-")
    assert len(ready.pagerduty.requests("/v2/enqueue")) == 3
    wait_until(lambda: "could not be delivered yet" in ready.story(), "the thread says so")


def test_a_page_survives_a_restart(ready: Agent) -> None:
    ready.pagerduty.misbehave(Fault(503, path="/v2/enqueue", times=-1))
    page = ready.pagerduty.create_incident("Nobody knows this", service="billing")
    assert ready.ended(page.id)["status"] == "escalated"
    ready.kill()
    ready.pagerduty.behave()
    ready.start()
    wait_until(ready.pagerduty.pages, "a human is paged", deadline_s=60)


def test_an_incoming_webhook_alone_tells_the_whole_story(agent: Agent, redis: RedisServer) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.overrides["slack"] = {"bot_token": None, "webhook_url": agent.slack.webhook_url}
    agent.start()
    page = agent.pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    assert agent.ended(page.id)["status"] == "resolved"
    wait_until(
        lambda: "Incident Summary" in "\n".join(each.text for each in agent.slack.messages()), "the summary"
    )
