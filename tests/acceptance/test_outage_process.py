"""The rows of the outage table once more, with the real process: long, so only by name."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent, RedisServer, wait_until
from tests.acceptance.outage_faults import Fault, Line
from tests.acceptance.outage_rows import HttpRow, http_rows
from tests.acceptance.runbooks import redis_runbook
from tests.acceptance.test_outages import story_is_complete

#: An incident takes no longer, however broken a neighbour that it does not need.
ENDS_WITHIN_S = 15.0

#: Retries are at most half a minute apart, and five minutes where the vendor asks for an hour.
BACK_WITHIN_S, LIMITED_BACK_WITHIN_S = 60.0, 330.0

ROWS = [row for row in http_rows() if row.neighbour.scene in ("slack", "events", "rest")]


def talks_through(agent: Agent, row: HttpRow, url: str) -> None:
    """The agent's neighbour is at this address."""
    match row.neighbour.scene:
        case "slack":
            agent.overrides["slack"] = {"api_url": f"{url}/api/"}
        case "events":
            agent.overrides["pagerduty"] = {"events_url": url}
        case "rest":
            agent.overrides["pagerduty"] = {"api_url": url}


def everything_arrived(
    agent: Agent, row: HttpRow, source_id: str, pagerduty: PagerDutySimulator, slack: SlackSimulator
) -> bool:
    match row.neighbour.scene:
        case "slack":
            return len(slack.roots()) == 1 and story_is_complete(agent)
        case "events":
            return len(pagerduty.pages()) == 1
        case _:
            incident = pagerduty.incident(source_id)
            return (incident.status, len(incident.notes)) == ("resolved", 1)


@pytest.mark.soak
@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])
def test_a_broken_neighbour_holds_up_no_incident_and_is_told_everything_afterwards(
    row: HttpRow,
    agent: Agent,
    pagerduty: PagerDutySimulator,
    slack: SlackSimulator,
    redis: RedisServer,
    line_to: Callable[..., Line],
    bad_tls: ssl.SSLContext,
) -> None:
    target = slack.url if row.neighbour.scene == "slack" else pagerduty.url
    line = line_to(target)
    broken = {
        Fault.NO_NAME: lambda: "https://vendor.invalid",
        Fault.BAD_TLS: lambda: line_to(target, tls=bad_tls).url,
    }
    talks_through(agent, row, broken.get(row.fault, lambda: line.url)())
    if not row.fault.needs_another_address:
        line.break_(row.fault)
    if row.neighbour.scene != "events":
        agent.runbook("redis-connection-timeout", redis_runbook(redis.port))
    agent.start()
    page = pagerduty.create_incident("Redis connection timeout", service="api-gateway")
    assert agent.ended(page.id, deadline_s=ENDS_WITHIN_S)["status"] == row.neighbour.ends.value
    wait_until(lambda: f'"event": "{row.neighbour.logged}"' in agent.log(), "the log says so")
    line.mend()
    if row.fault.needs_another_address:
        agent.stop()  # the operator mends the address
        talks_through(agent, row, line.url)
        agent.start()
    within_s = LIMITED_BACK_WITHIN_S if row.fault is Fault.LIMITED else BACK_WITHIN_S
    arrived = partial(everything_arrived, agent, row, page.id, pagerduty, slack)
    wait_until(arrived, "everything has arrived", deadline_s=within_s)
    if row.neighbour.scene == "slack":
        said = Counter(line for message in agent.thread()[1:] for line in message.splitlines())
        assert said["✅ Incident resolved automatically"] == 1
