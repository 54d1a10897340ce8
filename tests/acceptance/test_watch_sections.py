"""A daemon that looks by itself: it raises, its own runbook answers, and the watch says that it is over."""

from __future__ import annotations

from typing import Any

import httpx

from agent.simulators.prometheus import PrometheusSimulator
from tests.acceptance.conftest import Agent, wait_until

RUNBOOK = """---
autonomy: auto
---
# Runbook: Escalation backlog

## Trigger Conditions
- Alert contains: "backlog"
- Service: keeptrusts

## Blast Radius
- requires_human_approval: false

## Watch
- waiting: promql `sum(keeptrusts_pending)`; every 10s; warning > 20; critical > 50; clears < 15

## Steps

### Step 1: Call who can
```bash
echo called
```
Expected output: "called"
Failure action: escalate
"""


def test_a_backlog_is_seen_answered_and_over_when_the_watch_says_so(agent: Agent) -> None:
    agent.runbook("backlog", RUNBOOK)

    def incident(status: str) -> dict[str, Any] | None:
        found = httpx.get(f"{agent.url}/api/v1/incidents").json()["incidents"]
        return next((each for each in found if each["status"] == status), None)

    with PrometheusSimulator() as prometheus:
        prometheus.vector("sum(keeptrusts_pending)", "57")
        agent.overrides["prometheus"] = {"url": prometheus.url}
        agent.start()
        verifying = wait_until(lambda: incident("verifying"), "the runbook has run")
        assert (verifying["source"], verifying["runbook"]) == ("watch", "backlog")
        assert verifying["title"] == "Escalation backlog: waiting is 57 (critical > 50)"
        prometheus.vector("sum(keeptrusts_pending)", "3")
        resolved = wait_until(lambda: incident("resolved"), "the watch says that it is over")
    assert resolved["id"] == verifying["id"]
    assert agent.pagerduty.requests("/v2/enqueue") == [], "nobody was paged"
