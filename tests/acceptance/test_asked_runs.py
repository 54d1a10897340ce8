"""A run that is asked for in Slack, with the real process: it asks, runs once, and touches no page."""

from __future__ import annotations

import json

import pytest

from agent.simulators.slack_presses import buttons
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.test_slack_presses import ALICE, BOB, Office


@pytest.fixture
def office(agent: Agent, redis: RedisServer) -> Office:
    return Office(agent, redis)


def test_a_run_is_asked_for_approved_and_done_once_although_the_process_is_killed(office: Office) -> None:
    agent = office.agent
    agent.config = office.config  # type: ignore[method-assign]
    agent.start()
    assert "takes the role approver" in office.hands.type(BOB, "run redis-connection-timeout").words
    wire = office.hands.typing(ALICE, "run redis-connection-timeout Redis is slow")
    answers = [office.hands.send(wire).words for _ in range(2)]
    assert answers[0] == answers[1]
    incident_id = answers[0].split()[0]
    card = office.question()
    agent.kill()
    agent.start()
    assert office.hands.press(ALICE, card.ts, "oncall:approve").status == 200

    def shown() -> dict[str, object]:
        found: dict[str, object] = json.loads(agent.cli("show", incident_id, "--json").stdout)
        return found

    wait_until(lambda: shown()["status"] == "resolved", "it is resolved")
    assert office.redis.cli("GET", "runs") == "1"
    wait_until(lambda: not [each for each in agent.slack.messages() if buttons(each)], "no buttons")
    assert any("Redis is slow" in each.shown for each in agent.slack.messages())
    assert (agent.pagerduty.incidents(), agent.pagerduty.pages()) == ([], [])
    assert "did not take" not in agent.cli("show", incident_id).stdout
    assert agent.cli("audit", "verify").returncode == 0
