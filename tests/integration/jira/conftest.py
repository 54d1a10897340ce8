"""The real adapter before a simulated Jira, of either kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.adapters.jira_client import JiraClient
from agent.adapters.jira_tracker import Closing, JiraTracker
from agent.config.jira import FIELD_NAMES
from agent.domain.outbox import OpenTicket
from agent.simulators.jira import EMAIL, TOKEN, JiraSimulator

FIELD_IDS = {name: f"customfield_{10_100 + at}" for at, name in enumerate(FIELD_NAMES.values())}

CLOSING = Closing(
    finish=("Resolved", "Done", "Closed"),
    on_the_way=("In Progress", "Under Review"),
    false_positive=("False Positive",),
    resolutions={"allow": "False Positive"},
    otherwise="Done",
)

TICKET = OpenTicket(
    key="escalation-esc-kt-1",
    project="AIGOV",
    issue_type="Task",
    summary="AI Escalation: phi-detection",
    heading="AI Governance Escalation",
    priority="High",
    labels=("ai-governance", "keeptrusts", "phi detection"),
    fields={
        "Escalation ID": "esc_1",
        "Model": "gpt-4o",
        "Console URL": "https://console.example.com/e/esc_1",
    },
    facts=(("Policy", "phi-detection"), ("Action", "escalate")),
    text="What is known.",
    steps=("Open the console link above", "Update this ticket with findings"),
    links=(("https://console.example.com/e/esc_1", "View in Keeptrusts Console"),),
)


def tracker_at(
    sim: JiraSimulator,
    *,
    token: str = TOKEN,
    timeout_s: float = 5.0,
    closing: Closing = CLOSING,
    url: str = "",
) -> JiraTracker:
    email = EMAIL if sim.is_cloud else ""
    client = JiraClient(
        url or sim.url, email=email, token=lambda: token, is_cloud=sim.is_cloud, timeout_s=timeout_s
    )
    return JiraTracker(client, closing=closing, field_ids=FIELD_IDS)


@pytest.fixture(params=["cloud", "data center"])
def jira(request: pytest.FixtureRequest) -> Iterator[JiraSimulator]:
    with JiraSimulator(is_cloud=request.param == "cloud") as sim:
        yield sim


@pytest.fixture
def cloud() -> Iterator[JiraSimulator]:
    with JiraSimulator() as sim:
        yield sim
