"""The simulated Jira is steered from a terminal and tells of it as Jira does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from flask import Flask, Response, request

from agent.simulators.jira import EMAIL, TOKEN, JiraSimulator
from agent.simulators.server import Simulator
from tests.integration.jira.conftest import TICKET, tracker_at


@pytest.fixture
def listener() -> Iterator[tuple[Simulator, list[int]]]:
    """Takes webhooks, after it has answered as it was told to."""
    statuses: list[int] = []
    app = Flask("listener")

    @app.post("/webhook/jira")
    def take() -> Response:
        assert request.get_data()
        return Response(status=statuses.pop(0) if statuses else 202)

    with Simulator(app) as running:
        yield running, statuses


def wait(sim: JiraSimulator, count: int) -> list[int]:
    for _ in range(200):
        if len(sim.hooks.statuses) >= count:
            break
        httpx.get(f"{sim.url}/_sim/issues", trust_env=False)
    return sim.hooks.statuses


def test_an_issue_is_moved_from_a_terminal_and_the_webhook_follows(
    jira: JiraSimulator, listener: tuple[Simulator, list[int]]
) -> None:
    jira.hooks.url, jira.hooks.pause_s = f"{listener[0].url}/webhook/jira", 0.0
    tracker_at(jira).open(TICKET, mark="oncall-1")
    asked = json.dumps({"status": "Resolved", "resolution": "Done"})
    answer = httpx.post(f"{jira.url}/_sim/issues/AIGOV-1/move", content=asked, trust_env=False)
    assert answer.json()["fields"]["status"]["name"] == "Resolved"
    assert wait(jira, 1) == [202]
    assert httpx.post(f"{jira.url}/_sim/issues/NO-1/move", trust_env=False).status_code == 404


def test_only_the_cloud_sends_again_what_was_not_taken(
    jira: JiraSimulator, listener: tuple[Simulator, list[int]]
) -> None:
    listener[1].extend([503, 503])
    jira.hooks.url, jira.hooks.pause_s = f"{listener[0].url}/webhook/jira", 0.0
    tracker_at(jira).open(TICKET, mark="oncall-1")
    jira.move_as_human("AIGOV-1", "Resolved")
    assert wait(jira, 3 if jira.is_cloud else 1) == ([503, 503, 202] if jira.is_cloud else [503])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"description": "h2. text"}, "Atlassian Document"),
        (
            {"description": {"type": "doc", "version": 1, "content": [{"type": "text", "text": "x"}]}},
            "Atlassian",
        ),
        ({"labels": ["a b"]}, "contains spaces"),
        ({"summary": "a\nb"}, "newline"),
        ({"summary": "x" * 256}, "255"),
        ({"priority": {"name": "P1"}}, "priority"),
        ({"status": {"name": "Resolved"}}, "cannot be set"),
        ({"customfield_10100": 7}, "must be a string"),
        ({"issuetype": {"name": "Incident"}}, "issue type"),
        ({"project": {"key": "NONE"}}, "project"),
    ],
)
def test_what_jira_refuses_it_refuses(cloud: JiraSimulator, fields: dict[str, object], words: str) -> None:
    good = {"project": {"key": "AIGOV"}, "summary": "x", "issuetype": {"name": "Bug"}}
    answer = httpx.post(
        f"{cloud.url}/rest/api/3/issue", json={"fields": good | fields}, auth=(EMAIL, TOKEN), trust_env=False
    )
    assert answer.status_code == 400
    assert words in answer.text
    assert not cloud.issues()


def test_the_old_search_is_gone_from_the_cloud(cloud: JiraSimulator) -> None:
    answer = httpx.get(f"{cloud.url}/rest/api/3/search", auth=(EMAIL, TOKEN), trust_env=False)
    assert answer.status_code == 410
