"""The rights that an analysis states are what real kubectl asks of the cluster: enough, and none to spare."""

import shlex
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from agent.safety.effects import EffectTables
from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

TABLES = EffectTables.load()
RBAC = "rbac.authorization.k8s.io"


class Counts:
    """Counts in the simulator."""

    def __init__(self, sim):
        self._sim = sim

    def workload_pods(self, namespace, kind, name):
        return 3

    def workload_replicas(self, namespace, kind, name):
        return 3

    def selected_pods(self, namespace, labels, fields):
        return tuple(self._sim.pod_names(namespace, labels))

    def node_pods(self, node):
        pods = [pod for pod in self._sim.pods("prod") if pod["spec"].get("nodeName") == node]
        return tuple((pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods)


@contextmanager
def a_cluster(before=""):
    """A cluster of its own, in which one kubectl command was run before."""
    with KubernetesSimulator(tls=True, instant=True, nodes=("node-a",)) as simulator:
        simulator.add_deployment("prod", "api", replicas=3)
        simulator.add_stateful_set("prod", "db", replicas=2)
        simulator.add_daemon_set("prod", "agent")
        simulator.add_pod("prod", "lone", labels={"app": "lone"})
        df = ContainerPrograms(programs={"df": ("/usr/bin/df",)}, path=("/usr/bin",), env={})
        simulator.set_programs("prod", df)
        if before:
            subprocess.run([KUBECTL, "-s", simulator.url, *before.split()], check=True, capture_output=True)
        yield simulator


def rights_of(sim, command):
    """What the analysis says that the command needs."""
    access = TABLES.analyse(shlex.split(command), counter=Counts(sim)).access
    return tuple(dict.fromkeys((*access.cluster, *(r for change in access.changes for r in change.rights))))


def rules_for(rights):
    """One Role and binding a namespace, and a ClusterRole for what is not in one."""
    for namespace in {"" if right.namespace == "*" else right.namespace for right in rights}:
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": "least", **({"namespace": namespace} if namespace else {})}
        rules = [rule_of(each) for each in rights if each.namespace in (namespace, "" if namespace else "*")]
        yield {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules}
        yield {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": "least"},
            "subjects": [{"kind": "ServiceAccount", "name": "step", "namespace": "prod"}],
        }


def rule_of(right):
    """One rule of a Role."""
    resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
    names = {"resourceNames": [right.name]} if right.name else {}
    return {"apiGroups": [right.group], "resources": [resource], "verbs": [right.verb], **names}


def run_with(sim, rights, command, tmp_path):
    """Run real kubectl as somebody who has these rights and no other; what was denied."""
    token = sim.add_service_account("prod", "step")
    for document in rules_for(rights):
        sim.apply(document)
    config = sim.kubeconfig(tmp_path / "kubeconfig", token=token, namespace="", server=sim.tls_url)
    sim.forget_calls()
    environment = {"KUBECONFIG": str(config), "HOME": str(tmp_path)}
    argv = [KUBECTL, *shlex.split(command)[1:]]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30)
    return done, [f"{call.verb} {call.path}" for call in sim.calls() if call.status == 403]


ENOUGH = [
    "kubectl get pods -n prod",
    "kubectl get pod lone -n prod",
    "kubectl get deploy,svc -n prod",
    "kubectl get nodes",
    "kubectl get pods -A",
    "kubectl describe deploy/api -n prod",
    "kubectl describe node node-a",
    "kubectl logs -l app=api -n prod",
    "kubectl wait --for=condition=Ready pod/lone -n prod --timeout=5s",
    "kubectl rollout history sts/db -n prod",
    "kubectl delete pod lone -n prod",
    "kubectl delete pod -l app=api -n prod",
    "kubectl cordon node-a",
    "kubectl uncordon node-a",
    "kubectl cluster-info",
    "kubectl auth whoami",
]
#: (command, what is done before): of these every single right is needed.
EXACT = [
    ("kubectl logs deploy/api -n prod", ""),
    ("kubectl rollout status deploy/api -n prod --timeout=1s", ""),
    ("kubectl rollout restart deploy/api -n prod", ""),
    ("kubectl rollout undo deploy/api -n prod", "rollout restart deploy/api -n prod"),
    ("kubectl rollout undo sts/db -n prod", "rollout restart sts/db -n prod"),
    ("kubectl scale deploy/api --replicas=4 -n prod", ""),
    ("kubectl scale deploy/api --replicas=4 --current-replicas=3 -n prod", ""),
    ("kubectl exec -n prod deploy/api -- df", ""),
    ("kubectl drain node-a --ignore-daemonsets", "delete pod lone -n prod"),
]


@pytest.mark.parametrize("command", ENOUGH)
def test_kubectl_is_denied_nothing_that_it_asks_for(command, tmp_path):
    with a_cluster() as sim:
        done, denied = run_with(sim, rights_of(sim, command), command, tmp_path)
    assert denied == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("command", "before"), EXACT, ids=[row[0] for row in EXACT])
def test_every_right_is_needed_and_all_together_are_enough(command, before, tmp_path):
    with a_cluster(before) as sim:
        rights = rights_of(sim, command)
        done, denied = run_with(sim, rights, command, tmp_path)
    assert denied == []
    assert done.returncode == 0, done.stderr
    for spare in rights:
        with a_cluster(before) as sim:
            others = [right for right in rights if right != spare]
            _, denied = run_with(sim, others, command, tmp_path)
        assert denied, f"not needed: {spare}"
