"""The simulated cluster answers the real kubectl as a real one does."""

import json
import subprocess

import pytest
from kubernetes_words import Kubectl, budget, lines

from agent.simulators.kubernetes.objects import DEPLOYMENTS, NODES
from agent.simulators.kubernetes.simulator import Disturbance, KubernetesSimulator


def names(sim: KubernetesSimulator, selector: str = "app=api") -> set[str]:
    return set(sim.pod_names("production", selector))


def test_get_prints_the_tables_that_people_know(cluster, kubectl):
    pods = lines(kubectl("get", "pods"))
    assert pods[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [line.split()[1:3] for line in pods[1:]] == [["1/1", "Running"]] * 3
    assert kubectl("get", "deploy", "api").split()[6] == "3/3"
    assert "node-a" in kubectl("get", "pods,nodes", "-o", "wide")


def test_get_as_json_gives_whole_objects_and_selectors_choose_among_them(cluster, kubectl):
    cluster.add_pod("production", "lonely", labels={"tier": "batch"})
    found = json.loads(kubectl("get", "pods", "-l", "tier in (batch),tier!=web", "-o", "json"))
    assert [(each["kind"], each["metadata"]["name"]) for each in found["items"]] == [("Pod", "lonely")]
    by_field = kubectl("get", "pods", "--field-selector", "metadata.name=lonely", "-o", "name")
    assert by_field == "pod/lonely\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("get", "pod", "nosuch"), 'pods "nosuch" not found'),
        (("get", "widgets"), 'the server doesn\'t have a resource type "widgets"'),
        (("create", "ns", "production"), 'namespaces "production" already exists'),
        (("scale", "deploy/api", "--replicas=4", "--current-replicas=9"), "Expected replicas to be 9, was 3"),
        (("top", "pods"), "Metrics API not available"),
        (("logs", "api", "-c", "x"), 'pods "api" not found'),
        (("patch", "deploy", "api", "-p", '{"spec":{"replicas":-1}}'), "must be greater than or equal to 0"),
    ],
)
def test_refusals_have_the_real_servers_words(cluster, kubectl, argv, words):
    assert words in kubectl.refused(*argv)


def test_describe_shows_conditions_and_events(cluster, kubectl):
    deployment = kubectl("describe", "deploy", "api")
    assert "3 desired | 3 updated | 3 total | 3 available | 0 unavailable" in deployment
    assert "ScalingReplicaSet" in deployment
    pod = kubectl("describe", "pod", cluster.pod_names("production")[0])
    assert "Controlled By:  ReplicaSet/api-" in pod


def test_rollout_restart_replaces_every_pod_by_a_new_one(cluster, kubectl):
    before = names(cluster)
    kubectl("rollout", "restart", "deploy/api")
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/api", "--timeout=5s")
    assert len(names(cluster)) == 3
    assert not before & names(cluster)
    [patch] = cluster.changes()
    assert (patch.verb, patch.resource, patch.name) == ("patch", "deployments", "api")
    assert "kubectl.kubernetes.io/restartedAt" in str(patch.body)


def test_rollout_undo_brings_the_old_template_back_as_the_newest_revision(cluster, kubectl):
    kubectl("set", "image", "deploy/api", "api=registry.example.com/api:2.0")
    assert image(cluster).endswith(":2.0")
    kubectl("rollout", "undo", "deploy/api")
    assert image(cluster).endswith(":1.0")
    revisions = [line.split()[0] for line in lines(kubectl("rollout", "history", "deploy/api"))[2:]]
    assert revisions == ["2", "3"]


def image(cluster: KubernetesSimulator) -> str:
    return cluster.pods("production", "app=api")[0]["spec"]["containers"][0]["image"]


def test_stateful_and_daemon_sets_restart_and_undo_too(cluster, kubectl):
    cluster.add_stateful_set("production", "db", replicas=2)
    cluster.add_daemon_set("production", "agent")
    before = {pod["metadata"]["uid"] for pod in cluster.pods("production", "app in (db,agent)")}
    kubectl("rollout", "restart", "sts/db", "ds/agent")
    assert "rolling update complete" in kubectl("rollout", "status", "sts/db", "--timeout=5s")
    assert "successfully rolled out" in kubectl("rollout", "status", "ds/agent", "--timeout=5s")
    after = cluster.pods("production", "app in (db,agent)")
    assert not before & {pod["metadata"]["uid"] for pod in after}
    assert cluster.pod_names("production", "app=db") == ["db-0", "db-1"]
    kubectl("rollout", "undo", "sts/db")
    kubectl("rollout", "undo", "ds/agent")
    assert all(
        "annotations" not in pod["metadata"] for pod in cluster.pods("production", "app in (db,agent)")
    )


def test_scale_makes_and_removes_pods(cluster, kubectl):
    kubectl("scale", "deploy/api", "--replicas=5")
    assert len(names(cluster)) == 5
    kubectl("scale", "deploy/api", "--replicas=1", "--current-replicas=5")
    assert len(names(cluster)) == 1
    assert {call.resource for call in cluster.changes()} == {"deployments/scale"}


def test_a_deleted_pod_is_replaced_and_kubectl_sees_it_go(cluster, kubectl):
    victim = cluster.pod_names("production")[0]
    assert "deleted" in kubectl("delete", "pod", victim)
    assert victim not in names(cluster)
    assert len(names(cluster)) == 3


def test_delete_by_selector_sends_one_delete_per_pod(cluster, kubectl):
    before = names(cluster)
    kubectl("delete", "pods", "-l", "tier=web")
    deletes = cluster.calls(verb="delete", resource="pods")
    assert {call.name for call in deletes} == before
    assert not before & names(cluster)
    assert len(names(cluster)) == 3


def test_a_pod_of_nobody_stays_away_when_deleted(cluster, kubectl):
    cluster.add_pod("production", "lonely")
    kubectl("delete", "pod", "lonely", "--grace-period=0", "--force")
    assert "lonely" not in cluster.pod_names("production")


def test_deleting_a_deployment_takes_its_pods_along_unless_they_are_orphaned(cluster, kubectl):
    cluster.add_deployment("production", "web", replicas=2)
    kubectl("delete", "deploy", "api")
    kubectl("delete", "deploy", "web", "--cascade=orphan")
    assert not names(cluster)
    assert len(names(cluster, "app=web")) == 2


def test_cordon_keeps_new_pods_away_and_drain_evicts_the_old_ones(cluster, kubectl):
    cluster.add_daemon_set("production", "agent")
    kubectl("cordon", "node-a")
    assert cluster.state.get(NODES, "", "node-a")["spec"]["unschedulable"] is True
    assert "SchedulingDisabled" in kubectl("get", "node", "node-a")
    kubectl("drain", "node-a", "--ignore-daemonsets")
    assert {pod["spec"]["nodeName"] for pod in cluster.pods("production", "app=api")} == {"node-b"}
    assert {call.resource for call in cluster.changes()} == {"nodes", "pods/eviction"}
    kubectl("uncordon", "node-a")
    assert not cluster.state.get(NODES, "", "node-a")["spec"].get("unschedulable")


def test_drain_stops_at_a_disruption_budget(cluster, kubectl):
    cluster.apply(budget("api", min_available=3))
    refused = kubectl.refused("drain", "node-a", "--timeout=1s")
    assert "would violate the pod's disruption budget" in refused
    assert {call.status for call in cluster.calls(resource="pods/eviction")} == {429}


def test_logs_are_what_the_pod_was_said_to_write(cluster, kubectl):
    pod = cluster.pod_names("production")[0]
    cluster.set_log("production", "one\ntwo\nthree\n", selector="app=api")
    cluster.set_log("production", "before the crash\n", pod=pod, previous=True)
    assert kubectl("logs", pod, "--tail=2") == "two\nthree\n"
    assert kubectl("logs", "deploy/api").endswith("three\n")
    assert kubectl("logs", pod, "--previous") == "before the crash\n"


def test_wait_returns_when_the_condition_holds_and_fails_when_it_does_not(cluster, kubectl):
    pod = cluster.pod_names("production")[0]
    assert "condition met" in kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=5s")
    cluster.set_ready("production", "app=api", ready=False)
    late = kubectl.refused("wait", "--for=condition=Available", "deploy/api", "--timeout=1s")
    assert "timed out" in late


def test_a_dry_run_is_answered_in_full_and_changes_nothing(cluster, kubectl):
    before = cluster.state.version
    argv = ("patch", "deploy", "api", "-p", '{"spec":{"replicas":7}}', "--dry-run=server", "-o", "json")
    assert json.loads(kubectl(*argv))["spec"]["replicas"] == 7
    kubectl("delete", "deploy", "api", "--dry-run=server")
    assert cluster.state.version == before
    assert cluster.changes() == []


def test_objects_are_created_and_applied_from_files(cluster, kubectl, tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text(
        """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{port: 80}]}
"""
    )
    assert kubectl("create", "-f", str(path)).count("created") == 2
    path.write_text(path.read_text().replace("blue", "green"))
    assert "configmap/settings configured" in kubectl("apply", "-f", str(path))
    assert kubectl("get", "cm", "settings", "-o", "jsonpath={.data.colour}") == "green"
    assert kubectl("get", "endpoints", "api", "-o", "json").count('"ip"') == 3


def test_every_form_of_patch_reaches_the_deployment(cluster, kubectl):
    add = '[{"op":"add","path":"/metadata/labels/a~1b","value":"c"}]'
    kubectl("patch", "deploy", "api", "--type=json", "-p", add)
    kubectl("patch", "deploy", "api", "--type=merge", "-p", '{"metadata":{"labels":{"d":"e"}}}')
    environment = (
        '{"spec":{"template":{"spec":{"containers":[{"name":"api","env":[{"name":"A","value":"1"}]}]}}}}'
    )
    kubectl("patch", "deploy", "api", "-p", environment)
    found = cluster.state.get(DEPLOYMENTS, "production", "api")
    assert found["metadata"]["labels"] == {"app": "api", "tier": "web", "a/b": "c", "d": "e"}
    [container] = found["spec"]["template"]["spec"]["containers"]
    assert (container["image"][-4:], container["env"]) == (":1.0", [{"name": "A", "value": "1"}])


def test_kubectl_retries_when_the_server_is_told_to_be_busy(cluster, kubectl):
    cluster.disturb(Disturbance(status=429, verb="patch", resource="deployments", retry_after_s=0))
    kubectl("rollout", "restart", "deploy/api")
    assert [call.status for call in cluster.calls(verb="patch")] == [429, 200]


def test_kubectl_waits_while_a_rollout_and_a_deletion_take_their_time(tmp_path, kubectl_here):
    with KubernetesSimulator(instant=False) as sim:
        sim.add_deployment("production", "api", replicas=3)
        sim.settle()
        kubectl = Kubectl(tmp_path, sim.kubeconfig(tmp_path / "kubeconfig", namespace="production"))
        kubectl("rollout", "restart", "deploy/api")
        with kubectl.begin("rollout", "status", "deploy/api") as watching:
            told = watching.stdout.readline()
            until_ended(watching, sim)
            told += watching.stdout.read()
        assert "Waiting for deployment" in told
        assert "successfully rolled out" in told
        sim.settle()
        victim = sim.pod_names("production")[0]
        with kubectl.begin("delete", "pod", victim) as deleting:
            until_ended(deleting, sim)
        assert victim not in sim.pod_names("production")


def until_ended(process: subprocess.Popen[str], sim: KubernetesSimulator) -> None:
    """Let the cluster's time go on as long as kubectl waits for it."""
    for _ in range(200):
        try:
            assert process.wait(timeout=0.05) == 0
        except subprocess.TimeoutExpired:
            sim.tick()
        else:
            return
    process.kill()
    raise AssertionError("kubectl did not end")


def test_an_error_of_the_server_reaches_the_user(cluster, kubectl):
    cluster.disturb(Disturbance(status=500, verb="delete", resource="pods", message="etcd is full"))
    assert "etcd is full" in kubectl.refused("delete", "pod", cluster.pod_names("production")[0])
