"""A real process between Keeptrusts and PagerDuty is killed: one incident, closed, answered once."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from agent.simulators.keeptrusts import KeeptrustsSimulator
from agent.simulators.keeptrusts_delivery import Teller
from agent.simulators.server import Fault
from tests.acceptance.conftest import Agent, wait_until


@pytest.fixture
def keeptrusts(agent: Agent) -> Iterator[KeeptrustsSimulator]:
    """It sends again for as long as the agent is away."""
    with KeeptrustsSimulator(teller=Teller(tries=400, backoff_s=0.05)) as sim:
        agent.variables |= {"KT_TOKEN": sim.api_token, "KT_WEBHOOK": "canary", "OWN_TOKEN": "own-canary"}
        agent.overrides["server"] = {"api_token": {"env": "OWN_TOKEN"}}
        agent.overrides["slack"] = None  # type: ignore[assignment]
        agent.overrides["keeptrusts"] = {
            "api_url": sim.url,
            "api_token": {"env": "KT_TOKEN"},
            "webhook_tokens": [{"env": "KT_WEBHOOK"}],
        }
        sim.subscribe(f"{agent.url}/webhook/keeptrusts?token=canary")
        yield sim


def test_killed_between_the_webhook_and_the_page_it_still_pages_answers_and_clears(
    agent: Agent, keeptrusts: KeeptrustsSimulator
) -> None:
    keeptrusts.teller.copies = 3
    agent.pagerduty.misbehave(Fault(500, "/v2/", times=-1))
    agent.start()
    made = keeptrusts.escalate(action="block")
    wait_until(lambda: agent.pagerduty.requests("/v2/"), "a page was tried")
    agent.kill()
    agent.pagerduty.behave()
    agent.start()
    wait_until(agent.pagerduty.pages, "the page is there")
    answer = httpx.post(
        f"{agent.url}/api/v1/escalations/esc-kt-{made.escalation_id}/resolve",
        json={"action": "block", "note": "harmful", "by": "reviewer"},
        headers={"Authorization": "Bearer own-canary"},
    )
    assert answer.status_code == 200, answer.text
    wait_until(lambda: made.status == "resolved", "Keeptrusts has the answer")
    wait_until(lambda: agent.pagerduty.incidents()[0].status == "resolved", "the incident is over")
    assert keeptrusts.wait_until_delivered(30)
    assert made.notes == "harmful (reviewer)"
    assert [page.alert_key for page in agent.pagerduty.pages()] == [f"keeptrusts-{made.escalation_id}"]
    assert len(keeptrusts.requests("/v1/escalations")) == 1
