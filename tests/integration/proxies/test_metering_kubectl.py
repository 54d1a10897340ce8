"""The real kubectl can do through the metering proxy what its step was priced for, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from cluster_step import OpenStep

from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight, Network
from agent.simulators.kubernetes.objects import DEPLOYMENTS
from agent.simulators.kubernetes.simulator import Disturbance, KubernetesSimulator

pytestmark = pytest.mark.usefixtures("needs_kubectl")

API = "/apis/apps/v1/namespaces/production/deployments/api"
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
WHEN = b'{"kubectl.kubernetes.io/restartedAt": "2026-03-01T10:00:00Z"}'
RESTART = b'{"spec": {"template": {"metadata": {"annotations": ' + WHEN + b"}}}}"
PATCH_API = ClusterRight("patch", "deployments", "apps", namespace="production", name="api")


def _access(*changes: ClusterChange, reads: tuple[ClusterRight, ...] = ()) -> Access:
    return Access(network=Network.CLUSTER, cluster=reads, changes=changes)


def _pods(verb: str, **more: str) -> ClusterRight:
    return ClusterRight(verb, "pods", namespace="production", **more)


def _restart(pods: int) -> ClusterChange:
    return ClusterChange(PATCH_API, ChangeForm.RESTART, pods=pods)


def test_a_restart_priced_for_two_pods_of_five_changes_nothing(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    before = cluster.pod_names("production")
    with open_step(_access(_restart(2))) as step:
        ran = step.kubectl("rollout", "restart", "-n", "production", "deploy/api")
        lines = step.opening.told()
    assert ran.returncode == 1
    assert "the deployment api has 5 pods now, the attempt was charged for 2" in ran.stderr
    assert cluster.pod_names("production") == before
    assert cluster.changes() == []
    assert [line for line in lines if "5 pods now" in line]


def test_a_restart_priced_for_five_replaces_five_once(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    before = set(cluster.pod_names("production"))
    with open_step(_access(_restart(5))) as step:
        ran = step.kubectl("rollout", "restart", "-n", "production", "deploy/api")
        again = httpx.patch(f"{step.url}{API}", content=RESTART, headers=STRATEGIC)
        lines = step.opening.told()
    assert ran.returncode == 0, ran.stderr
    assert not before & set(cluster.pod_names("production"))
    assert "charged for one restart once, and has used it" in again.text
    assert len(cluster.changes()) == 1
    assert lines[0] == "sent to the cluster: patch deployments.apps api in production → 200"


def test_a_deployment_scaled_up_since_the_plan_is_not_restarted(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    with open_step(_access(_restart(5))) as step:
        cluster.scale("production", "api", 6)
        cluster.forget_calls()
        ran = step.kubectl("rollout", "restart", "-n", "production", "deploy/api")
    assert "has 6 pods now, the attempt was charged for 5" in ran.stderr
    assert cluster.changes() == []


def test_an_undo_puts_back_what_was_there_and_nothing_else(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    reads = (ClusterRight("list", "replicasets", "apps", namespace="production"),)
    undo = ClusterChange(PATCH_API, ChangeForm.UNDO, pods=5)
    with open_step(_access(_restart(5), undo, reads=reads)) as step:
        assert step.kubectl("rollout", "restart", "-n", "production", "deploy/api").returncode == 0
        ran = step.kubectl("rollout", "undo", "-n", "production", "deploy/api")
        assert ran.returncode == 0, ran.stderr
    template = cluster.state.get(DEPLOYMENTS, "production", "api")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" not in template["metadata"].get("annotations", {})


@pytest.mark.parametrize("form", [ChangeForm.RESTART, ChangeForm.UNDO])
def test_a_template_of_the_steps_own_making_is_refused(
    cluster: KubernetesSimulator, open_step: OpenStep, form: ChangeForm
) -> None:
    patch = '[{"op": "replace", "path": "/spec/template", "value": {"spec": {"containers": []}}}]'
    with open_step(_access(ClusterChange(PATCH_API, form, pods=5))) as step:
        ran = step.kubectl("patch", "-n", "production", "deploy/api", "--type=json", "-p", patch)
    assert "refused by oncall-agent" in ran.stderr
    assert cluster.changes() == []


@pytest.mark.parametrize("kind", ["statefulset", "daemonset"])
def test_other_workloads_are_restarted_and_undone_too(
    cluster: KubernetesSimulator, open_step: OpenStep, kind: str
) -> None:
    add = cluster.add_stateful_set if kind == "statefulset" else cluster.add_daemon_set
    add("production", "db")
    right = ClusterRight("patch", f"{kind}s", "apps", namespace="production", name="db")
    changes = [ClusterChange(right, form, pods=2) for form in (ChangeForm.RESTART, ChangeForm.UNDO)]
    reads = (
        ClusterRight("list", "controllerrevisions", "apps", namespace="production"),
        ClusterRight("get", f"{kind}s", "apps", namespace="production"),
    )
    with open_step(_access(*changes, reads=reads)) as step:
        restarted = step.kubectl("rollout", "restart", "-n", "production", f"{kind}/db")
        undone = step.kubectl("rollout", "undo", "-n", "production", f"{kind}/db")
    assert restarted.returncode == 0, restarted.stderr
    assert undone.returncode == 0, undone.stderr


SCALE = ClusterChange(replace(PATCH_API, subresource="scale"), ChangeForm.SCALE, replicas=6, from_replicas=5)


@pytest.mark.parametrize("condition", [(), ("--current-replicas=5",)])
def test_a_scale_goes_from_what_was_counted_to_what_was_priced(
    cluster: KubernetesSimulator, open_step: OpenStep, condition: tuple[str, ...]
) -> None:
    with open_step(_access(SCALE)) as step:
        other = step.kubectl("scale", "-n", "production", "deploy/api", "--replicas=9")
        ran = step.kubectl("scale", "-n", "production", "deploy/api", "--replicas=6", *condition)
    assert "refused by oncall-agent" in other.stderr
    assert ran.returncode == 0, ran.stderr
    assert len(cluster.pods("production")) == 6


def test_a_scale_from_another_number_is_refused(cluster: KubernetesSimulator, open_step: OpenStep) -> None:
    cluster.scale("production", "api", 4)
    with open_step(_access(SCALE)) as step:
        ran = step.kubectl("scale", "-n", "production", "deploy/api", "--replicas=6")
    assert "has 4 replicas now, the attempt was charged from 5" in ran.stderr
    assert len(cluster.pods("production")) == 4


def test_a_delete_by_selector_gets_the_pods_that_were_counted(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    names = tuple(cluster.pod_names("production")[:2])
    change = ClusterChange(_pods("delete"), ChangeForm.DELETE, at_most=2, names=names)
    with open_step(_access(change, reads=(_pods("list"),))) as step:
        ran = step.kubectl("delete", "pods", "-n", "production", "-l", "app=api", "--wait=false")
    assert ran.returncode == 1
    assert [call.name for call in cluster.changes()] == list(names)
    assert ran.stderr.count("refused by oncall-agent") == 3


def test_deleting_waits_until_the_pod_is_gone(cluster: KubernetesSimulator, open_step: OpenStep) -> None:
    name = cluster.pod_names("production")[0]
    change = ClusterChange(_pods("delete", name=name), ChangeForm.DELETE)
    with open_step(_access(change)) as step:
        ran = step.kubectl("delete", "pod", "-n", "production", name)
        forced = step.kubectl("delete", "pod", "-n", "production", name, "--force", "--grace-period=0")
    assert ran.returncode == 0, ran.stderr
    assert forced.returncode == 1
    assert len(cluster.changes()) == 1


def test_a_whole_list_is_never_deleted(cluster: KubernetesSimulator, open_step: OpenStep) -> None:
    change = ClusterChange(_pods("delete"), ChangeForm.DELETE, at_most=9, names=("a",))
    with open_step(_access(change)) as step:
        answer = httpx.delete(f"{step.url}/api/v1/namespaces/production/pods")
    assert answer.status_code == 403
    assert "deleting a whole list is never sent on" in answer.json()["message"]
    assert len(cluster.pods("production")) == 5


def _exec(right: ClusterRight, *argv: str) -> ClusterChange:
    return ClusterChange(right, ChangeForm.EXEC, argv=argv)


IN_API = replace(PATCH_API, verb="create", subresource="exec")
EXEC_READS = (_pods("list"), _pods("get"), replace(PATCH_API, verb="get"))


@pytest.mark.usefixtures("needs_websocket_exec")
def test_exec_runs_its_argv_in_a_pod_of_the_workload_once(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    with open_step(_access(_exec(IN_API, "say", "a b", "&c"), reads=EXEC_READS)) as step:
        ran = step.kubectl("exec", "-n", "production", "deploy/api", "--", "say", "a b", "&c")
        again = step.kubectl("exec", "-n", "production", "deploy/api", "--", "say", "a b", "&c")
    assert (ran.returncode, ran.stdout) == (0, "a b &c\n"), ran.stderr
    assert "charged for one exec once, and has used it" in again.stderr
    assert [each.argv for each in cluster.executions()] == [("say", "a b", "&c")]


@pytest.mark.usefixtures("needs_websocket_exec")
@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy/api", "--", "say", "other"),
        ("deploy/api", "--", "say", "hello", "more"),
        ("deploy/api", "-i", "--", "say", "hello"),
        ("deploy/api", "-c", "sidecar", "--", "say", "hello"),
        ("lonely", "--", "say", "hello"),
    ],
)
def test_any_other_exec_is_refused(
    cluster: KubernetesSimulator, open_step: OpenStep, arguments: tuple[str, ...]
) -> None:
    cluster.add_pod("production", "lonely", labels={"app": "api"})
    with open_step(_access(_exec(IN_API, "say", "hello"), reads=EXEC_READS)) as step:
        ran = step.kubectl("exec", "-n", "production", *arguments)
    assert ran.returncode != 0
    assert cluster.executions() == []


@pytest.mark.usefixtures("needs_websocket_exec")
def test_an_exec_that_the_cluster_forbids_names_the_missing_rule_and_is_charged_once(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    cluster.disturb(Disturbance(status=403, resource="pods/exec", times=2))
    with open_step(_access(_exec(IN_API, "say", "hello"), reads=EXEC_READS)) as step:
        ran = step.kubectl("exec", "-n", "production", "deploy/api", "--", "say", "hello")
        assert ran.returncode != 0
        assert "your Role misses create on pods/exec in production" in ran.stderr
        again = step.kubectl("exec", "-n", "production", "deploy/api", "--", "say", "hello")
    assert again.returncode == 0, again.stderr
    assert len(cluster.executions()) == 1


def test_secrets_are_not_read(cluster: KubernetesSimulator, open_step: OpenStep) -> None:
    cluster.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "production"}}
    )
    cluster.forget_calls()
    with open_step(_access(reads=(_pods("list"), _pods("get")))) as step:
        ran = step.kubectl("get", "secrets", "-n", "production")
        one = step.kubectl("get", "secret", "s", "-n", "production", "-o", "yaml")
        pods = step.kubectl("get", "pods", "-n", "production", "-o", "name")
    assert "this attempt was not priced for list secrets in production" in ran.stderr
    assert one.returncode == 1
    assert pods.stdout.count("pod/api-") == 5
    assert cluster.calls(resource="secrets") == []


def test_a_watch_streams_while_it_goes_on(cluster: KubernetesSimulator, open_step: OpenStep) -> None:
    with open_step(_access(reads=(_pods("list"), _pods("watch")))) as step:
        process = step.start("kubectl", "get", "pods", "-n", "production", "-w", "-o", "name")
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(5)]
        cluster.add_pod("production", "latecomer")
        assert all(line.startswith("pod/api-") for line in first)
        assert process.stdout.readline() == "pod/latecomer\n"
        process.terminate()
        process.communicate(timeout=10)


def test_rollout_status_and_logs_go_through(cluster: KubernetesSimulator, open_step: OpenStep) -> None:
    cluster.set_log("production", "one line\n", selector="app=api")
    own = [replace(PATCH_API, verb=verb) for verb in ("get", "list", "watch")]
    reads = (*own, _pods("list"), _pods("get"), _pods("get", subresource="log"))
    with open_step(_access(reads=reads)) as step:
        status = step.kubectl("rollout", "status", "-n", "production", "deploy/api")
        logs = step.kubectl("logs", "-n", "production", "deploy/api")
    assert "successfully rolled out" in status.stdout, status.stderr
    assert "one line" in logs.stdout, logs.stderr


def test_a_node_is_cordoned_drained_of_its_counted_pods_and_uncordoned(
    cluster: KubernetesSimulator, open_step: OpenStep
) -> None:
    node = ClusterRight("patch", "nodes", name="node-a")
    here = [
        pod["metadata"]["name"] for pod in cluster.pods("production") if pod["spec"]["nodeName"] == "node-a"
    ]
    eviction = _pods("create", subresource="eviction")
    changes = (
        ClusterChange(node, ChangeForm.CORDON),
        ClusterChange(eviction, ChangeForm.EVICT, at_most=len(here), names=tuple(here)),
        ClusterChange(node, ChangeForm.UNCORDON),
    )
    reads = (
        ClusterRight("list", "pods", namespace="*"),
        ClusterRight("get", "daemonsets", "apps", namespace="*"),
    )
    with open_step(_access(*changes, reads=(*reads, _pods("get")))) as step:
        drained = step.kubectl("drain", "node-a")
        back = step.kubectl("uncordon", "node-a")
        again = step.kubectl("cordon", "node-a")
    assert drained.returncode == 0, drained.stderr
    assert back.returncode == 0, back.stderr
    assert "refused by oncall-agent" in again.stderr
    assert len(cluster.calls(verb="create", resource="pods/eviction")) == len(here)


def test_asking_for_our_own_rights_goes_through(open_step: OpenStep) -> None:
    right = ClusterRight("create", "selfsubjectaccessreviews", "authorization.k8s.io")
    with open_step(_access(reads=(right,))) as step:
        ran = step.kubectl("auth", "can-i", "create", "pods", "--subresource=exec", "-n", "production")
    assert ran.stdout == "yes\n", ran.stderr


AS_ITSELF = "a step speaks with the agent's rights, as the method and the path that it writes"


def test_acting_as_somebody_else_is_refused(cluster: KubernetesSimulator, open_step: OpenStep) -> None:
    with open_step(_access(reads=(_pods("list"),))) as step:
        ran = step.kubectl("get", "pods", "-n", "production", "--as=system:admin")
        lines = step.opening.told()
    assert ran.returncode == 1
    assert lines == ("refused: GET: the header impersonate-user is not sent on; " + AS_ITSELF,)
    assert cluster.calls(resource="pods") == []


def test_describe_shows_what_it_was_given(open_step: OpenStep) -> None:
    events = ClusterRight("list", "events", namespace="production")
    sets = ClusterRight("list", "replicasets", "apps", namespace="production")
    with open_step(_access(reads=(replace(PATCH_API, verb="get"), events, sets))) as step:
        ran = step.kubectl("describe", "-n", "production", "deploy/api")
    assert "5 desired" in ran.stdout, ran.stderr
