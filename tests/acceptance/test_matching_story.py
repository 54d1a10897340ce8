"""Matching that can be trusted, as the real process does it: a human chooses, the pattern is drawn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.simulators.anthropic import AnthropicSimulator
from tests.acceptance.conftest import Agent, wait_until


def _runbook(title: str, said: str) -> str:
    return f"""# Runbook: {title}

## Trigger Conditions
- Alert contains: "redis"

## Blast Radius
- requires_human_approval: false

## Steps

### Step 1: Say so
```bash
echo {said}
```
Expected output: "{said}"
"""


FAILING = _runbook("Redis Down", "PONG").replace('Expected output: "PONG"', 'Expected output: "never"')


def _asked(agent: Agent, source_id: str) -> dict[str, Any] | None:
    found = agent.incident(source_id)
    return found if found is not None and found["status"] == "awaiting_approval" else None


def test_a_human_is_paged_chooses_a_runbook_and_the_incident_goes_on_with_it(agent: Agent) -> None:
    agent.runbook("one", _runbook("Redis", "alpha"))
    agent.runbook("two", _runbook("Redis", "beta"))
    agent.start()
    page = agent.pagerduty.create_incident("redis is slow", service="api-gateway")
    asked = wait_until(lambda: _asked(agent, page.id), "it asks which one")
    (woken,) = wait_until(agent.pagerduty.pages, "a human is paged")
    assert "More than one runbook matches: one, two" in woken.summary
    agent.kill()
    agent.start()

    refused = agent.cli("choose", page.id, "three")
    assert refused.returncode == 1
    assert "three is not offered; choose one of one, two" in refused.stderr + refused.stdout
    chosen = agent.cli("choose", page.id, "two")
    assert chosen.returncode == 0, chosen.stderr

    ended = agent.ended(page.id)
    assert (ended["status"], ended["runbook"]) == ("resolved", "two")
    told = [event["text"] for event in ended["timeline"]]
    assert any("chose two" in text for text in told)
    assert any("beta" in text for text in told)
    assert not any("alpha" in text for text in told)
    assert agent.cli("choose", page.id, "one").returncode == 1
    assert "chose two" in agent.cli("show", asked["id"]).stdout
    wait_until(lambda: agent.pagerduty.incident(page.id).status == "resolved", "it is resolved at PagerDuty")


def test_the_same_alert_for_the_third_time_runs_nothing_and_draws_the_pattern(agent: Agent) -> None:
    agent.runbook("redis-down", FAILING)
    # else it would belong to the page that is open, for five minutes
    agent.overrides["intake"] = {"storm_s": 0}
    agent.start()

    def again() -> dict[str, Any]:
        page = agent.pagerduty.create_incident("redis is down", service="cache", alert_key="redis-down")
        return agent.ended(page.id)

    first, second, third = again(), again(), again()
    assert [each["escalation"]["trigger"] for each in (first, second)] == ["step_failed"] * 2
    assert third["escalation"]["trigger"] == "flapping"
    assert third["runbook"] is None
    assert third["steps"] == []
    drawn = next(event["text"] for event in third["timeline"] if event["kind"] == "recurring")
    assert drawn.count("redis-down: step 1 failed") == 2
    wait_until(lambda: "flapping" in agent.story(), "the thread says so")
    wait_until(lambda: len(agent.pagerduty.pages()) == 3, "a human is paged for each")
    assert "flapping" in agent.pagerduty.pages()[-1].summary


def test_an_alert_that_was_fixed_and_is_back_is_a_symptom(agent: Agent) -> None:
    agent.runbook("redis-down", _runbook("Redis Down", "PONG"))
    agent.start()

    def again() -> dict[str, Any]:
        page = agent.pagerduty.create_incident("redis is down", service="cache", alert_key="redis-down")
        return agent.ended(page.id)

    assert again()["status"] == "resolved"
    second = again()
    assert second["escalation"]["trigger"] == "recurrence"
    assert "symptom, not cause: redis-down fixed it at" in second["result"]
    assert second["steps"] == []


def test_an_advisor_is_asked_when_several_could_answer_and_its_key_is_told_nowhere(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AnthropicSimulator() as model:
        monkeypatch.setenv("ANTHROPIC_API_KEY", model.api_key)
        agent.overrides["llm"] = {
            "provider": "anthropic",
            "model": "claude-haiku-4-5",
            "base_url": model.url,
            "api_key": {"env": "ANTHROPIC_API_KEY"},
        }
        agent.runbook("flush", _runbook("Redis cache eviction storm", "alpha"))
        agent.runbook("failover", _runbook("Redis replica lost its primary", "beta"))
        agent.start()
        page = agent.pagerduty.create_incident("redis replica lost its primary", service="api-gateway")
        incident = wait_until(
            lambda: _asked(agent, page.id) or (agent.incident(page.id) or {}).get("match"), "it is decided"
        )
        assert incident
        wait_until(lambda: model.requests("/v1/messages"), "the advisor was asked")
        told = json.dumps(agent.incident(page.id))
        assert "failover" in told
        assert model.api_key not in told
