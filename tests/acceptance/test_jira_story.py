"""Keeptrusts, the real process, Jira: one ticket through a kill, and its end goes all the way back."""

from __future__ import annotations

import httpx

from agent.simulators.jira import EMAIL, TOKEN, WEBHOOK_SECRET, JiraSimulator
from agent.simulators.keeptrusts import API_TOKEN, KeeptrustsSimulator
from tests.acceptance.conftest import Agent, wait_until


def test_one_ticket_whatever_dies_and_closed_there_everything_is_over(agent: Agent) -> None:
    with JiraSimulator() as jira, KeeptrustsSimulator() as keeptrusts:
        agent.variables |= {
            "JIRA_API_TOKEN": TOKEN,
            "JIRA_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "KEEPTRUSTS_API_TOKEN": API_TOKEN,
        }
        agent.overrides["jira"] = {
            "url": jira.url,
            "email": EMAIL,
            "api_token": {"env": "JIRA_API_TOKEN"},
            "webhook_secrets": [{"env": "JIRA_WEBHOOK_SECRET"}],
            "search_lag_s": 0.5,
        }
        agent.overrides["keeptrusts"] = {
            "api_url": keeptrusts.url,
            "api_token": {"env": "KEEPTRUSTS_API_TOKEN"},
            "allow_unsigned_webhooks": True,
        }
        jira.hooks.url = f"{agent.url}/webhook/jira"
        keeptrusts.subscribe(f"{agent.url}/webhook/keeptrusts")
        jira.loses_answers = 1
        agent.start()
        told = keeptrusts.escalate(action="block", policy_name="phi-detection")
        wait_until(jira.issues, "a ticket is opened, and its answer lost")
        agent.kill()

        agent.start()
        page = wait_until(agent.pagerduty.pages, "a human is paged")[0]
        story = f"{agent.url}/api/v1/escalations/esc-kt-{told.escalation_id}"
        wait_until(lambda: "found again" in httpx.get(story).text, "it is found again")
        (issue,) = jira.issues()
        assert issue.fields["issuetype"] == {"name": "Bug"}

        jira.move_as_human(issue.key, "Resolved", "False Positive")
        wait_until(lambda: keeptrusts.escalation(told.escalation_id).status == "resolved", "Keeptrusts hears")
        ended = keeptrusts.escalation(told.escalation_id)
        assert ended.resolution == "allow"
        assert f"Resolved via Jira {issue.key}" in ended.notes
        wait_until(lambda: page.status == "resolved", "the page is cleared")
        # Keeptrusts tells us of our own answer, Jira of nothing more: nobody answers an answer
        assert keeptrusts.wait_until_delivered()
        assert len(jira.issues()) == len(jira.hooks.told) == 1
        assert issue.comments == []
