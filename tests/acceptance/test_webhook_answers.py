"""What a webhook is answered, and that nothing starts which should not."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.runbooks import redis_runbook

SECRET = "simulated-webhook-secret"


def signature(body: bytes, secret: str = SECRET) -> str:
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def event(event_type: str = "incident.triggered", source_id: str = "P777") -> dict[str, Any]:
    return {
        "event": {
            "id": f"01{event_type}",
            "event_type": event_type,
            "occurred_at": "2026-01-05T04:17:23.000Z",
            "agent": None,
            "client": None,
            "data": {
                "id": source_id,
                "type": "incident",
                "title": "Redis connection timeout",
                "urgency": "high",
                "service": {"id": "PS", "summary": "api-gateway", "type": "service_reference"},
            },
        }
    }


def post(agent: Agent, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(agent.webhook_url, content=body, headers=headers)


def signed(agent: Agent, data: Any, **headers: str) -> httpx.Response:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return post(agent, body, **{"X-PagerDuty-Signature": signature(body), **headers})


@pytest.fixture
def running(agent: Agent) -> Agent:
    agent.start()
    return agent


def nothing_started(agent: Agent) -> bool:
    return httpx.get(f"{agent.url}/api/v1/incidents").json() == {"incidents": []}


def test_a_signed_trigger_is_answered_with_202_and_its_incident(running: Agent) -> None:
    answer = signed(running, event())
    assert answer.status_code == 202
    assert answer.json()["received"] is True
    assert answer.json()["incident"].startswith("inc-")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("missing", None),
        ("empty", ""),
        ("truncated", signature(json.dumps(event()).encode())[:-1]),
        ("of another secret", signature(json.dumps(event()).encode(), "another-secret")),
        ("of another body", signature(b"{}")),
        ("without its version", signature(json.dumps(event()).encode()).removeprefix("v1=")),
    ],
)
def test_a_signature_that_is_wrong_is_401_and_starts_nothing(
    running: Agent, name: str, header: str | None
) -> None:
    headers = {} if header is None else {"X-PagerDuty-Signature": header}
    assert post(running, json.dumps(event()).encode(), **headers).status_code == 401
    assert nothing_started(running)
    assert "not genuine" in running.log()


def test_during_rotation_either_signature_is_enough(running: Agent) -> None:
    body = json.dumps(event()).encode()
    header = f"{signature(body, 'the-new-secret')},{signature(body)}"
    assert post(running, body, **{"X-PagerDuty-Signature": header}).status_code == 202


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000]
)
def test_signed_junk_is_400_and_starts_nothing(running: Agent, junk: bytes) -> None:
    assert signed(running, junk).status_code == 400
    assert nothing_started(running)
    assert "malformed" in running.log()


def test_a_body_of_10_mb_is_413_and_starts_nothing(running: Agent) -> None:
    body = b'{"event": "' + b"x" * 10_000_000 + b'"}'
    with contextlib.suppress(httpx.WriteError):  # it may hang up before it has read everything
        assert signed(running, body).status_code == 413
    assert nothing_started(running)


@pytest.mark.parametrize("event_type", ["incident.workflow.completed", "service.updated", "something.new"])
def test_an_event_that_means_nothing_to_the_agent_is_202(running: Agent, event_type: str) -> None:
    assert signed(running, event(event_type)).status_code == 202
    assert nothing_started(running)


def test_the_test_event_of_pagerduty_is_202(running: Agent) -> None:
    ping = {"event": {"id": "01P", "event_type": "pagey.ping", "data": {"message": "Hello", "type": "ping"}}}
    assert signed(running, ping).status_code == 202
    assert nothing_started(running)


def test_the_simple_form_is_accepted_when_signed(running: Agent) -> None:
    simple = {"incident": {"id": "PSIMPLE", "title": "Redis connection timeout", "urgency": "high"}}
    assert signed(running, simple).status_code == 202
    assert running.ended("PSIMPLE")["title"] == "Redis connection timeout"


def test_the_simple_form_without_a_signature_is_401(running: Agent) -> None:
    simple = {"incident": {"id": "PSIMPLE", "title": "Redis connection timeout", "urgency": "high"}}
    assert post(running, json.dumps(simple).encode()).status_code == 401


def test_the_simple_form_without_a_signature_is_accepted_where_config_allows_it(agent: Agent) -> None:
    agent.overrides["pagerduty"] = {"allow_unsigned_webhooks": True}
    agent.start()
    simple = {"incident": {"id": "PSIMPLE", "title": "Redis connection timeout", "urgency": "high"}}
    assert post(agent, json.dumps(simple).encode()).status_code == 202
    wrong = {"X-PagerDuty-Signature": "v1=00"}
    assert post(agent, json.dumps(simple).encode(), **wrong).status_code == 401


def test_another_delivery_of_the_same_trigger_is_202_and_no_second_incident(running: Agent) -> None:
    first = signed(running, event(), **{"X-Webhook-Id": "one"}).json()
    again = signed(running, event(), **{"X-Webhook-Id": "two"}).json()
    assert (again["outcome"], again["incident"]) == ("known incident", first["incident"])


def test_the_source_is_down_and_the_page_is_still_worked_on(running: Agent) -> None:
    assert signed(running, event(source_id="PUNKNOWN")).status_code == 202
    incident = running.ended("PUNKNOWN")
    assert incident["status"] == "escalated"
    wait_until(running.pagerduty.pages, "a human is paged")


def test_the_same_webhook_five_times_at_once_is_one_run(agent: Agent, redis: RedisServer) -> None:
    agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: signed(agent, event(), **{"X-Webhook-Id": "one"}), range(5)))
    assert [each.status_code for each in answers] == [202] * 5
    assert sorted(each.json()["outcome"] for each in answers) == ["accepted"] + ["duplicate"] * 4
    assert agent.ended("P777")["status"] == "resolved"
    assert redis.cli("GET", "runs") == "1"
