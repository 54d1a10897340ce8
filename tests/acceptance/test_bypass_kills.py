"""A real process is killed while an emergency bypass is on its way: it ends at its time all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.pipeline.bypass_clock import begun_entry
from agent.simulators.keeptrusts import KeeptrustsSimulator
from agent.simulators.keeptrusts_configs import GatewayWorld, world_of
from tests.acceptance.conftest import Agent, wait_until

CONTENT = (
    "gateway: {port: 41002}\npolicies:\n- name: broad\n  input: [{type: content_safety, action: block}]\n"
)
RUNBOOK = """# Runbook: Bypass

## Trigger Conditions
- Alert contains: "most requests blocked"

## Blast Radius
- max_config_changes: 2
- requires_human_approval: false

## Steps

### Step 1: Let the policies flag
```action
keeptrusts.apply_bypass: {configuration: cfg_main, minutes: 60}
```
Expected output: json .read_back == true
Attempts: 1
"""


@pytest.fixture
def gateways(agent: Agent) -> Iterator[tuple[KeeptrustsSimulator, GatewayWorld]]:
    with KeeptrustsSimulator() as sim:
        agent.variables["KT_TOKEN"] = sim.api_token
        agent.overrides["slack"] = None  # type: ignore[assignment]
        agent.overrides["keeptrusts"] = {
            "api_url": sim.url,
            "api_token": {"env": "KT_TOKEN"},
            "timeout_s": 20.0,
        }
        agent.runbook("bypass", RUNBOOK)
        world = world_of(sim.state)
        world.configure("cfg_main", CONTENT)
        yield sim, world


def its_time_is_over(agent: Agent) -> None:
    """An hour passes while no process of the agent runs."""
    store = Store(f"sqlite:///{agent.directory}/oncall.db", SystemClock())
    (bypass,) = store.bypasses()
    hour = timedelta(hours=1)
    begun_at = bypass.begun_at - hour
    with store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM keeptrusts_bypasses")
    earlier = replace(bypass, begun_at=begun_at, ends_at=bypass.ends_at - hour, next_at=bypass.next_at - hour)
    assert store.open_bypass(earlier, begun_entry(earlier))
    store.close()


def test_killed_while_the_bypass_was_being_applied_it_is_taken_back_at_its_time(
    agent: Agent, gateways: tuple[KeeptrustsSimulator, GatewayWorld]
) -> None:
    sim, world = gateways
    # taken, and answered when nobody is there any more
    world.on_put = lambda *_: agent.kill()
    agent.pagerduty.subscribe(agent.webhook_url)
    agent.start()
    agent.pagerduty.create_incident("Keeptrusts: most requests blocked")
    wait_until(lambda: agent.process is None, "it is killed at the change")
    world.on_put = None
    assert "action: flag" in world.current["cfg_main"]
    its_time_is_over(agent)
    agent.start()
    wait_until(lambda: world.current["cfg_main"] == CONTENT, "the earlier configuration is back")
    assert [each.status for each in sim.requests("/v1/") if each.method == "PUT"] == [200, 200]
    page = wait_until(agent.pagerduty.pages, "a human is paged for the attempt that nobody saw the end of")[0]
    assert "outcome unknown" in page.summary
