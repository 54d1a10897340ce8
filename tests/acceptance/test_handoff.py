"""Two agents as they run: one cannot mend it and is killed while it waits, the other one mends it."""

from __future__ import annotations

from pathlib import Path

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent, RedisServer, wait_until

_MENDS = """# Runbook: Redis connections

## Trigger Conditions
- Alert contains: "redis", "connection"
- Label handoff_from: tier-1

## Blast Radius
- max_cache_operations: 1

## Steps

### Step 1: Drop the stale sessions
```bash
redis-cli -h 127.0.0.1 -p {port} DEL sessions
```
Expected output: "1"
Failure action: escalate
"""


def _agent(directory: Path, pagerduty: PagerDutySimulator, slack: SlackSimulator) -> Agent:
    directory.mkdir()
    agent = Agent(directory, pagerduty, slack)
    agent.variables = {"HANDOFF_KEY": "handoff-key-canary"}
    return agent


def test_an_agent_that_is_killed_while_another_has_its_incident_hears_of_it_all_the_same(
    tmp_path: Path, pagerduty: PagerDutySimulator, slack: SlackSimulator, redis: RedisServer
) -> None:
    redis.cli("SET", "sessions", "stale")
    with SlackSimulator() as their_slack, PagerDutySimulator() as their_pagerduty:
        tier1 = _agent(tmp_path / "tier-1", pagerduty, slack)
        platform = _agent(tmp_path / "platform", their_pagerduty, their_slack)
        secret = {"env": "HANDOFF_KEY"}
        target = {"url": f"{platform.url}/api/v1/handoffs", "secret": secret, "deadline": "5m"}
        rest = {"name": "rest", "match": {"any": True}, "route_to": "handoff:platform"}
        tier1.overrides = {
            "handoff": {"name": "tier-1", "targets": {"platform": target}},
            "escalation": {"routing": [rest]},
        }
        platform.overrides = {
            "handoff": {"name": "platform", "accept_from": {"tier-1": {"url": tier1.url, "secret": secret}}},
        }
        platform.runbook("redis", _MENDS.format(port=redis.port))
        pagerduty.subscribe(tier1.webhook_url)
        try:
            tier1.start(ready=False)
            platform.start()
            wait_until(tier1.is_ready, "tier-1 is ready")
            made = pagerduty.create_incident("Redis connection timeout", service="sessions", severity="error")
            wait_until(lambda: platform.log().count("handoff_taken"), "platform has it")
            tier1.kill()
            tier1.start()
            ended = tier1.ended(made.id)
            assert ended["status"] == "resolved", tier1.log()[-3000:] + platform.log()[-3000:]
            assert "platform says: it is resolved" in str(ended["timeline"])
            assert redis.cli("EXISTS", "sessions") == "0"
            wait_until(lambda: pagerduty.incident(made.id).status == "resolved", "resolved at its source")
            assert not pagerduty.pages() + their_pagerduty.pages()
        finally:
            tier1.kill()
            platform.kill()
