"""What the analysis says that a kubectl command may reach is what the real kubectl needs, no less."""

from __future__ import annotations

import shlex
from pathlib import Path

import httpx
import pytest
from cluster_step import PROGRAMS, OpenStep, step_with

from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.credentials import credentials
from agent.adapters.proxies.gateways import LiveGateways
from agent.config.sections import Kubernetes
from agent.domain.access import Access, ChangeForm, ClusterRight
from agent.domain.command import Refusal
from agent.safety.effects import EffectTables
from agent.simulators.kubernetes.simulator import KubernetesSimulator

pytestmark = pytest.mark.usefixtures("needs_kubectl")
TABLES = EffectTables.load()


def _access(command: str, kubeconfig: Path) -> Access:
    found = credentials(Kubernetes(kubeconfig=str(kubeconfig)), environment={})
    assert found is not None
    analysis = TABLES.analyse(shlex.split(command), counter=KubernetesCounting(KubernetesApi(found)))  # type: ignore[arg-type]
    assert not isinstance(analysis, Refusal), str(analysis)
    return analysis.access


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get pods -n production",
        "kubectl get pods -A",
        "kubectl get deploy/api -n production -o name",
        "kubectl get nodes",
        "kubectl describe deploy/api -n production",
        "kubectl describe pods -n production",
        "kubectl describe node node-a",
        "kubectl logs deploy/api -n production",
        "kubectl logs -l app=api -n production",
        "kubectl rollout status deploy/api -n production",
        "kubectl rollout history deploy/api -n production",
        "kubectl wait --for=condition=Available deploy/api -n production",
        "kubectl auth can-i create pods --subresource=exec -n production",
        "kubectl version",
        "kubectl api-resources",
        "kubectl rollout restart deploy/api -n production",
        "kubectl rollout restart sts/db -n production",
        "kubectl scale deploy/api --replicas=6 -n production",
        "kubectl scale deploy/api --replicas=4 --current-replicas=5 -n production",
        "kubectl delete pods -l app=api -n production",
        "kubectl delete pod db-0 -n production",
        "kubectl cordon node-a",
        "kubectl drain node-a --ignore-daemonsets",
    ],
)
def test_a_priced_command_gets_through(
    cluster: KubernetesSimulator, kubeconfig: Path, open_step: OpenStep, command: str
) -> None:
    cluster.add_stateful_set("production", "db", replicas=1)
    with open_step(_access(command, kubeconfig)) as step:
        ran = step.run(*shlex.split(command))
        refused = [line for line in step.opening.told() if line.startswith("refused")]
    assert ran.returncode == 0, ran.stderr
    assert refused == []


@pytest.mark.usefixtures("needs_websocket_exec")
@pytest.mark.parametrize("target", ["deploy/api", "sts/db", "db-0", "svc/api", "db-0 -c db"])
def test_a_priced_exec_gets_through(
    cluster: KubernetesSimulator, kubeconfig: Path, open_step: OpenStep, target: str
) -> None:
    cluster.add_stateful_set("production", "db", replicas=1, programs=PROGRAMS)
    service = {"selector": {"app": "api"}, "ports": [{"port": 80}]}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "production"}}
        | {"spec": service}
    )
    command = f"kubectl exec -n production {target} -- echo hello"
    with open_step(_access(command, kubeconfig)) as step:
        ran = step.run(*shlex.split(command))
    assert (ran.returncode, ran.stdout) == (0, "hello\n"), ran.stderr


def test_an_undo_that_was_priced_gets_through(
    cluster: KubernetesSimulator, kubeconfig: Path, open_step: OpenStep
) -> None:
    for command in ("kubectl rollout restart deploy/api", "kubectl rollout undo deploy/api"):
        whole = f"{command} -n production"
        with open_step(_access(whole, kubeconfig)) as step:
            ran = step.run(*shlex.split(whole))
        assert ran.returncode == 0, ran.stderr
    assert len(cluster.changes()) == 2


def _rule(right: ClusterRight, verbs: tuple[str, ...] = ()) -> dict[str, object]:
    resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    names = {"resourceNames": [right.name]} if right.name else {}
    return {
        "apiGroups": [right.group],
        "resources": [resource],
        "verbs": list(verbs or (right.verb,)),
        **names,
    }


def _rules(access: Access) -> list[dict[str, object]]:
    exec_rule = _rule(ClusterRight("create", "pods", subresource="exec"), ("create", "get"))
    changes = (
        exec_rule if change.form is ChangeForm.EXEC else _rule(change.right) for change in access.changes
    )
    return [*map(_rule, access.cluster), *changes]


@pytest.mark.usefixtures("needs_websocket_exec")
@pytest.mark.parametrize(
    "command",
    [
        "kubectl rollout restart deploy/api -n production",
        "kubectl scale deploy/api --replicas=6 -n production",
        "kubectl scale deploy/api --replicas=4 --current-replicas=5 -n production",
        "kubectl delete pods -l app=api -n production",
        "kubectl delete pod db-0 -n production",
        "kubectl exec -n production deploy/api -- echo hello",
        "kubectl exec -n production sts/db -- echo hello",
        "kubectl exec -n production db-0 -- echo hello",
        "kubectl cordon node-a",
        "kubectl drain node-a --ignore-daemonsets",
        "kubectl rollout undo deploy/api -n production",
    ],
)
def test_the_proxy_itself_needs_no_right_that_the_command_does_not_need(
    cluster: KubernetesSimulator, kubeconfig: Path, tmp_path: Path, command: str
) -> None:
    cluster.add_stateful_set("production", "db", replicas=1, programs=PROGRAMS)
    restart = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-03-01T10:00:00Z"}}}
    _patch(cluster, {"spec": {"template": restart}})
    access = _access(command, kubeconfig)
    role = {"kind": "ClusterRole", "name": "least"}
    subject = {"kind": "ServiceAccount", "name": "weak", "namespace": "oncall"}
    group = "rbac.authorization.k8s.io"
    for document in (
        {"kind": "ClusterRole", "metadata": {"name": "least"}, "rules": _rules(access)},
        {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "least"},
            "roleRef": {**role, "apiGroup": group},
            "subjects": [subject],
        },
    ):
        cluster.apply({"apiVersion": f"{group}/v1", **document})
    weak = cluster.kubeconfig(tmp_path / "weak", token=cluster.add_service_account("oncall", "weak"))
    home = tmp_path / "home"
    home.mkdir()
    with step_with(LiveGateways(Kubernetes(kubeconfig=str(weak))), access, home) as step:
        ran = step.run(*shlex.split(command))
    assert ran.returncode == 0, ran.stderr


def _patch(cluster: KubernetesSimulator, body: object) -> None:
    path = "/apis/apps/v1/namespaces/production/deployments/api"
    headers = {"content-type": "application/merge-patch+json"}
    assert httpx.patch(f"{cluster.url}{path}", json=body, headers=headers).status_code == 200
