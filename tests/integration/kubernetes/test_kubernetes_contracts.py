"""What every counter and every carrier-out of actions promises, over the real ones and the fakes."""

import json

import pytest
from adapter_world import AdapterWorld

from agent.adapters.fake_actions import FakeActions
from agent.adapters.fake_counter import FakeCounter
from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight
from agent.domain.command import PricedCommand, Refusal
from agent.domain.runbook import Action
from agent.simulators.kubernetes.simulator import KubernetesSimulator

API = ("production", "deployment", "api")
RESTART = Action("kubernetes.rollout_restart", {"namespace": "production", "deployment": "api"})
RIGHT = ClusterRight("patch", "deployments", "apps", namespace="production", name="api")
PRICED = PricedCommand(
    ("kubernetes.rollout_restart",),
    access=Access(changes=(ClusterChange(RIGHT, ChangeForm.RESTART, pods=3),)),
)


@pytest.fixture
def sim():
    with KubernetesSimulator(nodes=("node-a",)) as simulator:
        simulator.add_deployment("production", "api", replicas=3)
        simulator.add_daemon_set("production", "agent")
        yield simulator


@pytest.fixture(params=["real", "fake"])
def counter(request, sim):
    names = tuple(sim.pod_names("production", "app=api"))
    fake = FakeCounter(
        workloads={API: 3, ("production", "daemonset", "agent"): 1},
        pods={
            ("production", "app=api", ""): tuple(reversed(names)),
            ("production", "app=none", ""): (),
            ("production", "app=api", f"metadata.name={names[0]}"): names[:1],
        },
        nodes={"node-a": tuple(("production", name) for name in reversed(names))},
        releases={("production", "none"): ()},
    )
    return AdapterWorld(sim).counter if request.param == "real" else fake


def test_a_workload_has_pods_and_replicas(counter):
    assert counter.workload_pods(*API) == 3
    assert counter.workload_replicas(*API) == 3


def test_a_daemonset_has_pods_and_no_replicas(counter):
    assert counter.workload_pods("production", "daemonset", "agent") == 1
    assert counter.workload_replicas("production", "daemonset", "agent") is None


def test_pods_are_told_in_order(counter, sim):
    names = tuple(sim.pod_names("production", "app=api"))
    assert counter.selected_pods("production", "app=api", "") == tuple(sorted(names))
    assert counter.selected_pods("production", "app=api", f"metadata.name={names[0]}") == names[:1]
    assert counter.node_pods("node-a") == tuple(sorted(("production", name) for name in names))


def test_nothing_found_is_not_the_same_as_nobody_can_tell(counter):
    assert counter.selected_pods("production", "app=none", "") == ()
    assert counter.release_workloads("production", "none") == ()
    assert counter.workload_pods("production", "deployment", "none") is None
    assert counter.workload_replicas("production", "deployment", "none") is None
    assert counter.autoscaling_instances("eu-west-1", "none") is None
    assert counter.service_tasks("eu-west-1", "none", "none") is None


@pytest.fixture(params=["real", "fake"])
def actions(request, sim):
    fake = FakeActions()
    fake.prepare(RESTART.name)
    return AdapterWorld(sim).actions if request.param == "real" else fake


def run(actions, *, action=RESTART, command=PRICED, timeout_s=5.0, should_stop=lambda: False):
    return actions.run(
        action, command=command, marker="inc/steps/1/1", timeout_s=timeout_s, should_stop=should_stop
    )


def has_done(actions, sim):
    return bool(sim.changes()) or bool(getattr(actions, "carried", ()))


def test_what_was_priced_is_done_and_told_as_json(actions, sim):
    result = run(actions)
    assert (result.exit_code, result.problem, result.timed_out, result.interrupted) == (0, "", False, False)
    assert json.loads(result.stdout)["action"] == RESTART.name
    assert isinstance(json.loads(result.stdout)["changed"], list)
    assert has_done(actions, sim)


def test_an_action_that_is_not_known_is_a_failure(actions, sim):
    sim.forget_calls()
    result = run(actions, action=Action("kubernetes.explode", {}))
    assert (result.exit_code, has_done(actions, sim)) == (1, False)
    assert "kubernetes.explode is not known here" in result.problem
    assert result.stderr == result.problem


def test_a_refused_action_is_not_done(actions, sim):
    sim.forget_calls()
    result = run(actions, command=PricedCommand(PRICED.argv, refusal=Refusal("too much")))
    assert (result.exit_code, has_done(actions, sim)) == (1, False)
    assert result.problem == "refused before anything was changed: too much"


def test_nothing_is_begun_after_a_human_took_over(actions, sim):
    sim.forget_calls()
    result = run(actions, should_stop=lambda: True)
    assert (result.exit_code, result.interrupted, has_done(actions, sim)) == (None, True, False)
    assert json.loads(result.stdout)["changed"] == []


def test_nothing_is_begun_without_time(actions, sim):
    sim.forget_calls()
    result = run(actions, timeout_s=0.0)
    assert (result.exit_code, result.timed_out, has_done(actions, sim)) == (None, True, False)
