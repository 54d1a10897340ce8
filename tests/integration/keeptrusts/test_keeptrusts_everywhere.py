"""Told five times out of order while PagerDuty and Jira are down: one incident, one ticket, both over."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.adapters.jira_setup import tracker_from
from agent.delivery.tickets import TicketSender
from agent.domain.queue import QueueFilter, QueueStatus
from agent.simulators.jira import EMAIL, TOKEN, JiraSimulator
from agent.simulators.keeptrusts_delivery import Told
from agent.simulators.server import Fault
from tests.integration.keeptrusts.conftest import Between


def as_told(told: Sequence[Told]) -> Sequence[Told]:
    return told


def backwards(told: Sequence[Told]) -> Sequence[Told]:
    return told[::-1]


@pytest.mark.parametrize("order", [as_told, backwards])
def test_with_both_down_meanwhile_there_is_one_incident_and_one_ticket_and_both_are_over(
    between: Between, order: object
) -> None:
    with JiraSimulator() as jira:
        between.site.settings["jira"] = {
            "url": jira.url,
            "email": EMAIL,
            "api_token": between.site.secret("jira", TOKEN),
            "webhook_secrets": [between.site.secret("jira-hook", "canary")],
        }
        between.subscribe()
        section = between.config.jira
        assert section is not None
        tracker = tracker_from(section)
        tickets = TicketSender(between.world.context, between.store, tracker, between.store, search_lag_s=90)
        between.keeptrusts.teller.copies = 5
        between.keeptrusts.hold_webhooks()
        made = between.keeptrusts.escalate(action="block")
        between.keeptrusts.resolve_as_human(made.escalation_id, "block", "harmful")
        between.keeptrusts.release_webhooks(order)  # type: ignore[arg-type]
        down = Fault(503, times=-1)
        between.pagerduty.misbehave(down)
        jira.misbehave(down)
        between.told()
        between.deliver(rounds=2)
        between.world.clock.sleep(tickets.deliver())
        assert (between.pagerduty.incidents(), jira.issues()) == ([], [])
        between.pagerduty.behave()
        jira.behave()
        for _ in range(4):
            between.world.clock.sleep(120)
            between.deliver()
            between.world.clock.sleep(tickets.deliver())
        (incident,) = between.pagerduty.incidents()
        (ticket,) = jira.issues()
        assert incident.status == "resolved"
        assert ticket.status == "Resolved"
        (item,) = between.store.queue_page(QueueFilter(settled=True)).items
        assert item.status is QueueStatus.RESOLVED
