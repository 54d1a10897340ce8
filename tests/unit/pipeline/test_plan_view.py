"""A plan as JSON and for people: what would run, what it costs, what it reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cli import plan_view
from agent.domain.access import Access, Capability, Network
from agent.domain.decisions import Plan
from agent.pipeline.planning import plan
from tests.unit.pipeline.conftest import ALERT, Pods, PreparedActions, World, runbook, step

RESTART = """### Step 2: Restart
```action
action: kubernetes.rollout_restart
namespace: production
deployment: api
```
"""
LIMITS = "- max_cache_operations: 3\n- max_rollouts: 1\n- max_pod_restarts: 2\n- max_commands: 5"


@pytest.fixture
def planned(world: World) -> Plan:
    world.counter, world.actions = Pods(), PreparedActions()
    world.counter.pods["production/deployment/api"] = 2
    world.configure(limits={"per_hour": {"cache_operations": 4}, "per_day": {"scales": 1}})
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB") + RESTART, limits=LIMITS))
    return plan(world.context, world.context.library.runbooks["redis-connection-timeout"], ALERT)


def test_a_plan_tells_what_it_asks_of_each_limit(planned: Plan) -> None:
    asked = {
        each["limit"]: (each["maximum"], each["asked"], each["left"])
        for each in plan_view.as_json(planned)["limits"]
    }
    assert asked == {
        "max_cache_operations": (3, 1, 2),
        "max_rollouts": (1, 1, 0),
        "max_pod_restarts": (2, 2, 0),
        "max_commands": (5, 2, 3),
        "limits.per_hour.cache_operations": (4, 1, 3),
    }


def test_a_typed_action_is_one_command_in_words(planned: Plan) -> None:
    _, restart = plan_view.as_json(planned)["steps"]
    assert restart["action"] == "kubernetes.rollout_restart"
    (command,) = restart["commands"]
    assert command["argv"] == ["kubernetes.rollout_restart", "namespace=production", "deployment=api"]
    assert [(each["class"], each["count"]) for each in command["effects"]] == [
        ("rollout", 1),
        ("pod_restart", 2),
    ]
    assert command["verdict"] == "allow"


def test_people_see_namespaces_limits_and_reach(planned: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    plan_view.show(planned)
    shown = capsys.readouterr().out
    assert "pod_restart × 2  production/" in shown
    assert "max_cache_operations: 1 of 3" in shown
    assert "reaches localhost:6379 directly" in shown


def test_a_step_that_waits_for_a_captured_value_says_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = step(1, "redis-cli INFO", keys="Capture: key from /hot: (\\S+)/") + step(
        2, "redis-cli GET {{ key }}"
    )
    world.runbook(runbook(steps=steps, more="## Parameters\n- key: captured; pattern /^[a-z]+$/\n"))
    planned = plan(world.context, world.context.library.runbooks["redis-connection-timeout"], ALERT)
    assert plan_view.as_json(planned)["steps"][1]["waits_for"] == ["key"]
    plan_view.show(planned)
    assert "bound and priced when key is captured" in capsys.readouterr().out


def test_what_a_command_keeps_of_roots_power_is_told() -> None:
    access = Access(lists=("/srv/app",), keeps_user=True, capabilities=(Capability.CHOWN,))
    assert plan_view.reach_in_words(access) == "/srv/app (names only), the agent's own user, root's chown"


def test_what_a_command_reaches_leaves_out_the_systems_own_files() -> None:
    access = Access(
        Network.EGRESS,
        hosts=("api.example.com:443",),
        reads=("/etc/hosts", "/var/log/app"),
        writes=("/var/lib/app",),
        local_sockets=True,
    )
    assert plan_view.reach_in_words(access) == (
        "api.example.com:443 through the egress proxy, /var/lib/app (writes), /var/log/app, UNIX sockets"
    )
    assert (
        plan_view.reach_in_words(
            replace(access, network=Network.NONE, reads=(), writes=(), local_sockets=False)
        )
        == ""
    )
