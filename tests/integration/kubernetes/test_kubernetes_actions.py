"""Typed actions change exactly what was charged, once, and say what they did."""

import json

import pytest
from adapter_world import AdapterWorld

from agent.adapters.fake_clock import FakeClock
from agent.domain.command import PricedCommand, Refusal
from agent.domain.runbook import Action
from agent.simulators.kubernetes.objects import DEPLOYMENTS, NODES
from agent.simulators.kubernetes.simulator import Disturbance, KubernetesSimulator

RESTART = {"namespace": "production", "deployment": "api"}


@pytest.fixture
def sim():
    with KubernetesSimulator() as simulator:
        simulator.add_deployment("production", "api", replicas=3, labels={"tier": "web"})
        simulator.add_stateful_set("production", "redis", replicas=2)
        simulator.add_daemon_set("production", "agent")
        simulator.forget_calls()
        yield simulator


@pytest.fixture
def world(sim):
    return AdapterWorld(sim)


def told(result):
    assert result.exit_code == 0, result
    return json.loads(result.stdout)


def written(sim):
    return [(call.verb, call.resource, call.name) for call in sim.changes()]


# Restart


@pytest.mark.parametrize(("kind", "name", "pods"), [("deployment", "api", 3), ("statefulset", "redis", 2)])
def test_a_restart_replaces_every_pod_once(sim, world, kind, name, pods):
    before = set(sim.pod_names("production", f"app={name}"))
    uids = {pod["metadata"]["uid"] for pod in sim.pods("production", f"app={name}")}
    result = world.run("kubernetes.rollout_restart", namespace="production", **{kind: name})
    after = sim.pods("production", f"app={name}")
    assert len(after) == len(before) == pods
    assert not uids & {pod["metadata"]["uid"] for pod in after}
    assert written(sim) == [("patch", f"{kind}s", name)]
    changed = told(result)["changed"]
    assert [(each["name"], each["pods"]) for each in changed] == [(name, pods)]
    assert changed[0]["resource_version"]


def test_a_restart_is_tried_dry_before_it_is_done(sim, world):
    world.run("kubernetes.rollout_restart", **RESTART)
    assert ["dryRun" in call.query for call in sim.calls(verb="patch")] == [True, False]


def test_a_deployment_scaled_up_since_the_plan_is_refused_before_anything_happens(sim, world):
    action, command = world.priced("kubernetes.rollout_restart", **RESTART)
    sim.scale("production", "api", 5)
    sim.forget_calls()
    result = world.run_priced(action, command)
    assert result.exit_code == 1
    assert "has 5 pods now, 3 were charged; plan again" in result.stderr
    assert result.problem == result.stderr
    assert sim.calls(verb="patch") == []


def test_a_deployment_changed_between_look_and_write_is_looked_at_again(sim, world):
    sim.disturb(Disturbance(409, verb="patch", resource="deployments", times=2))
    told(world.run("kubernetes.rollout_restart", **RESTART))
    assert written(sim) == [("patch", "deployments", "api")]


def test_a_deployment_that_never_holds_still_is_given_up(sim, world):
    sim.disturb(Disturbance(409, verb="patch", resource="deployments", times=-1))
    result = world.run("kubernetes.rollout_restart", **RESTART)
    assert (result.exit_code, sim.changes()) == (1, [])
    assert "is being changed all the time" in result.stderr


def test_the_write_is_bound_to_the_version_that_was_judged(sim, world):
    """Scaled between our look and our write: the API server itself says no, and the next look refuses."""
    action, command = world.priced("kubernetes.rollout_restart", **RESTART)
    stops = iter([False, "scale"])

    def should_stop():
        if next(stops, False) == "scale":
            sim.scale("production", "api", 5)
        return False

    result = world.run_priced(action, command, should_stop=should_stop)
    assert result.exit_code == 1
    assert "has 5 pods now" in result.stderr
    assert not [call for call in sim.changes() if call.resource == "deployments"]


def test_a_paused_deployment_is_not_restarted(sim, world):
    found = sim.state.get(DEPLOYMENTS, "production", "api")
    sim.state.update(DEPLOYMENTS, {**found, "spec": {**found["spec"], "paused": True}})
    sim.forget_calls()
    result = world.run("kubernetes.rollout_restart", **RESTART)
    assert (result.exit_code, sim.calls(verb="patch")) == (1, [])
    assert "is paused" in result.stderr


def test_what_was_not_priced_is_not_done(sim, world):
    action = Action("kubernetes.rollout_restart", RESTART)
    result = world.run_priced(action, PricedCommand(("kubernetes.rollout_restart",)))
    assert (result.exit_code, sim.calls(verb="patch")) == (1, [])
    assert "was not priced" in result.stderr


def test_what_was_refused_is_not_done(sim, world):
    action, command = world.priced("kubernetes.rollout_restart", **RESTART)
    refused = PricedCommand(command.argv, command.effects, Refusal("too much"), command.access)
    sim.forget_calls()
    assert world.run_priced(action, refused).exit_code == 1
    assert sim.calls() == []


# Failures of the API


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "was refused (400)"),
        (401, "credentials are not accepted"),
        (403, "your Role misses patch on deployments.apps in production"),
        (404, "there is none"),
        (422, "was refused (422)"),
        (429, "is not allowed now"),
        (500, "was answered 500"),
        (503, "was answered 503"),
    ],
)
def test_a_failed_dry_run_is_a_failure_with_nothing_written(sim, world, status, words):
    sim.disturb(Disturbance(status, verb="patch", resource="deployments"))
    result = world.run("kubernetes.rollout_restart", **RESTART)
    assert (result.exit_code, result.timed_out) == (1, False)
    assert words in result.stderr
    assert sim.changes() == []


def after_the_dry_run(sim, disturbance):
    sim.disturb(Disturbance(0, verb="patch", resource="deployments"))
    sim.disturb(disturbance)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429])
def test_a_write_that_was_refused_is_a_failure(sim, world, status):
    after_the_dry_run(sim, Disturbance(status, verb="patch", resource="deployments"))
    result = world.run("kubernetes.rollout_restart", **RESTART)
    assert (result.exit_code, result.timed_out, sim.changes()) == (1, False, [])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_write_that_the_server_failed_on_has_an_unknown_outcome(sim, world, status):
    after_the_dry_run(sim, Disturbance(status, verb="patch", resource="deployments"))
    result = world.run("kubernetes.rollout_restart", **RESTART)
    assert (result.exit_code, result.timed_out) == (None, True)
    assert result.problem.startswith("outcome unknown")
    assert len(sim.calls(verb="patch")) == 2


def test_a_write_that_is_not_answered_in_time_has_an_unknown_outcome_and_is_not_repeated(sim):
    world = AdapterWorld(sim, timeout_s=1.0)
    after_the_dry_run(sim, Disturbance(0, verb="patch", resource="deployments", delay_s=3.0))
    result = world.run("kubernetes.rollout_restart", **RESTART)
    assert (result.exit_code, result.timed_out) == (None, True)
    assert result.problem.startswith("outcome unknown")


def test_a_role_that_misses_a_right_is_told_which(sim):
    token = sim.add_service_account("production", "reader")
    sim.apply(READER)
    action, command = AdapterWorld(sim).priced("kubernetes.rollout_restart", **RESTART)
    result = AdapterWorld(sim, token=token).run_priced(action, command)
    assert result.exit_code == 1
    assert "your Role misses patch on deployments.apps in production" in result.stderr
    assert token not in result.stderr


READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: production}
rules:
- {apiGroups: [apps, ""], resources: [deployments, pods], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: production}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: production}]
"""


# Scale


def test_a_scale_sets_the_replicas(sim, world):
    result = world.run("kubernetes.scale", namespace="production", deployment="api", replicas=5)
    assert len(sim.pods("production", "app=api")) == 5
    assert written(sim) == [("patch", "deployments/scale", "api")]
    changed = told(result)["changed"][0]
    assert (changed["from_replicas"], changed["replicas"]) == (3, 5)


def test_a_scale_from_a_stated_count_uses_the_right_that_was_priced(sim, world):
    arguments = {"namespace": "production", "deployment": "api", "replicas": 4, "from_replicas": 3}
    told(world.run("kubernetes.scale", **arguments))
    assert written(sim) == [("update", "deployments/scale", "api")]
    assert len(sim.pods("production", "app=api")) == 4


def test_a_scale_is_refused_when_somebody_scaled_before(sim, world):
    action, command = world.priced("kubernetes.scale", namespace="production", deployment="api", replicas=4)
    sim.scale("production", "api", 9)
    sim.forget_calls()
    result = world.run_priced(action, command)
    assert (result.exit_code, sim.changes()) == (1, [])
    assert "has 9 replicas now, it was planned from 3" in result.stderr


# Delete


def test_a_pod_is_deleted_by_name(sim, world):
    name = sim.pod_names("production", "app=api")[0]
    result = world.run("kubernetes.delete_pod", namespace="production", pod=name)
    assert written(sim) == [("delete", "pods", name)]
    assert name not in sim.pod_names("production", "app=api")
    assert told(result)["changed"][0]["uid"]


def test_pods_are_deleted_by_selector_one_request_each(sim, world):
    names = sim.pod_names("production", "app=api")
    told(world.run("kubernetes.delete_pod", namespace="production", selector="tier=web"))
    assert sorted(written(sim)) == sorted(("delete", "pods", name) for name in names)


def test_a_selector_that_finds_more_than_was_charged_deletes_nothing(sim, world):
    action, command = world.priced("kubernetes.delete_pod", namespace="production", selector="tier=web")
    sim.scale("production", "api", 4)
    sim.forget_calls()
    result = world.run_priced(action, command)
    assert (result.exit_code, sim.changes()) == (1, [])
    assert "was not there when it was planned" in result.stderr


def test_a_right_that_is_missing_for_the_last_pod_is_found_before_the_first_goes(sim, world):
    for _ in range(2):
        sim.disturb(Disturbance(0, verb="delete", resource="pods"))
    sim.disturb(Disturbance(403, verb="delete", resource="pods"))
    result = world.run("kubernetes.delete_pod", namespace="production", selector="tier=web")
    assert (result.exit_code, sim.changes()) == (1, [])
    assert "your Role misses delete on pods in production" in result.stderr


def test_a_deletion_that_fails_halfway_tells_how_far_it_came(sim, world):
    for _ in range(4):
        sim.disturb(Disturbance(0, verb="delete", resource="pods"))
    sim.disturb(Disturbance(403, verb="delete", resource="pods"))
    result = world.run("kubernetes.delete_pod", namespace="production", selector="tier=web")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["changed"]) == len(sim.changes()) == 1


def test_a_human_who_takes_over_stops_it_between_two_pods(sim, world):
    action, command = world.priced("kubernetes.delete_pod", namespace="production", selector="tier=web")
    result = world.run_priced(action, command, should_stop=lambda: bool(sim.changes()))
    assert (result.exit_code, result.interrupted) == (None, True)
    assert len(json.loads(result.stdout)["changed"]) == len(sim.changes()) == 1


def test_a_pod_that_is_gone_is_a_failure(sim, world):
    action, command = world.priced("kubernetes.delete_pod", namespace="production", pod="api-gone")
    result = world.run_priced(action, command)
    assert (result.exit_code, sim.changes()) == (1, [])
    assert "there is none" in result.stderr


# Nodes


def test_a_node_is_cordoned_and_let_on_again(sim, world):
    told(world.run("kubernetes.cordon", node="node-a"))
    assert sim.state.get(NODES, "", "node-a")["spec"]["unschedulable"] is True
    told(world.run("kubernetes.uncordon", node="node-a"))
    assert not sim.state.get(NODES, "", "node-a")["spec"].get("unschedulable")
    assert written(sim) == [("patch", "nodes", "node-a")] * 2


def evicted(sim):
    return sorted(call.name for call in sim.changes() if call.resource == "pods/eviction")


def test_a_drain_evicts_exactly_the_charged_pods(sim, world):
    charged = sorted(name for _, name in world.counter.node_pods("node-a"))
    result = world.run("kubernetes.drain", node="node-a")
    assert evicted(sim) == charged
    assert told(result)["evicted"] == len(charged)
    assert world.counter.node_pods("node-a") == ()
    assert sim.state.get(NODES, "", "node-a")["spec"]["unschedulable"] is True


def test_a_drain_with_a_pod_that_was_not_charged_changes_nothing(sim, world):
    action, command = world.priced("kubernetes.drain", node="node-a")
    sim.add_deployment("production", "newcomer", replicas=2)
    sim.forget_calls()
    result = world.run_priced(action, command)
    assert (result.exit_code, sim.changes()) == (1, [])
    assert "newcomer" in result.stderr


def test_a_drain_spares_a_pod_that_nothing_would_start_elsewhere(sim, world):
    sim.add_pod("production", "by-hand")
    node = next(
        pod["spec"]["nodeName"] for pod in sim.pods("production") if pod["metadata"]["name"] == "by-hand"
    )
    sim.forget_calls()
    result = world.run("kubernetes.drain", node=node)
    assert (result.exit_code, sim.changes()) == (1, [])
    assert "has no controller" in result.stderr


def test_a_drain_waits_for_a_disruption_budget_until_its_time_is_over(sim):
    sim.apply(BUDGET)
    result = AdapterWorld(sim, clock=FakeClock()).run("kubernetes.drain", node="node-a", timeout_s=60.0)
    assert (result.exit_code, result.timed_out, result.problem) == (None, True, "")
    assert evicted(sim)
    assert not [name for name in evicted(sim) if name.startswith("api-")]
    refused = [call.at for call in sim.calls(verb="create", resource="pods/eviction") if call.status == 429]
    assert 10 <= len(refused) <= 40  # every 5 s of a minute, and once dry


def test_a_drain_goes_on_when_the_budget_lets_it(sim, world):
    pods = len(world.counter.node_pods("node-a"))
    sim.disturb(Disturbance(429, verb="create", resource="pods/eviction", times=2 * pods + 1))
    told(AdapterWorld(sim, clock=FakeClock()).run("kubernetes.drain", node="node-a", timeout_s=60.0))
    assert len(evicted(sim)) == pods


BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api, namespace: production}
spec: {minAvailable: 3, selector: {matchLabels: {app: api}}}
"""


# Logs and readiness


def test_logs_are_the_last_lines_as_they_are(sim, world):
    sim.set_log("production", "".join(f"line {n}\n" for n in range(1, 9)), selector="app=api")
    result = world.run("kubernetes.logs", namespace="production", deployment="api", tail=2)
    assert (result.exit_code, result.stdout) == (0, "line 7\nline 8\n")


def test_waiting_ends_when_everything_is_ready(world):
    result = world.run("kubernetes.wait_ready", namespace="production", deployment="api")
    assert told(result)["ready"] is True


def test_waiting_for_what_never_gets_ready_ends_in_time(sim):
    sim.set_ready("production", "app=api", ready=False)
    world = AdapterWorld(sim, clock=FakeClock())
    result = world.run("kubernetes.wait_ready", namespace="production", deployment="api", timeout_s=5)
    assert (result.exit_code, result.timed_out, result.problem) == (None, True, "")
    assert json.loads(result.stdout)["ready"] is False


def test_a_rollout_that_was_given_up_is_a_failure_at_once(sim, world):
    found = sim.state.get(DEPLOYMENTS, "production", "api")
    gave_up = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "stuck",
    }
    status = {**found["status"], "updatedReplicas": 1, "conditions": [gave_up]}
    sim.state.update(DEPLOYMENTS, {**found, "status": status})
    result = world.run("kubernetes.wait_ready", namespace="production", deployment="api")
    assert (result.exit_code, result.stderr) == (1, "the rollout has failed: stuck")


def test_of_very_many_logs_the_end_is_kept(sim, world):
    sim.set_log("production", "x" * 200_000 + "\nthe end\n", selector="app=api")
    result = world.run("kubernetes.logs", namespace="production", deployment="api")
    assert result.stdout.startswith("… ")
    assert result.stdout.endswith("\nthe end\n")
    assert len(result.stdout) < 70_000


def test_a_human_who_takes_over_spares_the_node(sim, world):
    asked = iter([False])
    result = world.run("kubernetes.cordon", node="node-a", should_stop=lambda: next(asked, True))
    assert (result.exit_code, result.interrupted, sim.changes()) == (None, True, [])


def test_waiting_ends_at_once_when_a_human_takes_over(sim, world):
    sim.set_ready("production", "app=api", ready=False)
    asked = iter([False, False])
    result = world.run(
        "kubernetes.wait_ready",
        namespace="production",
        deployment="api",
        should_stop=lambda: next(asked, True),
    )
    assert (result.exit_code, result.interrupted) == (None, True)


def test_a_pod_is_waited_for(sim, world):
    name = sim.pod_names("production", "app=api")[0]
    assert told(world.run("kubernetes.wait_ready", namespace="production", pod=name))["ready"] is True
