"""Every kind of step: the Role made from it lets it be counted and done, by kubectl and by typed action."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.kubernetes.actions import KubernetesActions
from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.live_actions import LiveActions
from agent.domain.command import PricedCommand, Refusal
from agent.domain.effects import BlastRadius, EffectClass
from agent.domain.runbook import Action, Runbook, Step
from agent.domain.trigger import Trigger
from agent.safety import actions, language, least_role
from agent.safety.effects import EffectTables
from agent.safety.least_rights import rights_of
from agent.safety.policy import Guard
from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator

TABLES = EffectTables.load()
EVERYTHING = BlastRadius(dict.fromkeys(EffectClass, 100))

COMMANDS = [
    "kubectl rollout restart deploy/web -n production",
    "kubectl rollout restart statefulset/db -n production",
    "kubectl rollout restart daemonset/probe -n production",
    "kubectl rollout status deploy/web -n production --timeout=2s",
    "kubectl rollout status statefulset/db -n production --timeout=2s",
    "kubectl rollout history deploy/web -n production",
    "kubectl rollout undo deploy/web -n production",
    "kubectl scale deploy/web -n production --replicas=3",
    "kubectl scale deploy/web -n production --replicas=3 --current-replicas=2",
    "kubectl delete pod NAME -n production",
    "kubectl delete pods -l app=web -n production",
    "kubectl exec -n production deploy/web -- redis-cli PING",
    "kubectl exec -n production NAME -- redis-cli PING",
    "kubectl cordon node-a",
    "kubectl uncordon node-a",
    "kubectl drain node-a --ignore-daemonsets",
    "kubectl get pods -n production",
    "kubectl get pods -A",
    "kubectl get pod NAME -n production -o wide",
    "kubectl get nodes",
    "kubectl describe deploy web -n production",
    "kubectl describe pods -n production",
    "kubectl describe node node-a",
    "kubectl logs deploy/web -n production --tail=5",
    "kubectl logs -l app=web -n production --tail=5",
    "kubectl wait pod -n production -l app=web --for=condition=Ready --timeout=2s",
    "kubectl auth can-i create pods --subresource=exec -n production",
]

ACTIONS = [
    Action("kubernetes.rollout_restart", {"namespace": "production", "deployment": "web"}),
    Action("kubernetes.rollout_restart", {"namespace": "production", "statefulset": "db"}),
    Action("kubernetes.scale", {"namespace": "production", "deployment": "web", "replicas": 3}),
    Action("kubernetes.delete_pod", {"namespace": "production", "pod": "NAME"}),
    Action("kubernetes.delete_pod", {"namespace": "production", "selector": "app=web"}),
    Action(
        "kubernetes.exec",
        {"namespace": "production", "deployment": "web", "command": ["redis-cli", "PING"]},
    ),
    Action("kubernetes.cordon", {"node": "node-a"}),
    Action("kubernetes.uncordon", {"node": "node-a"}),
    Action("kubernetes.drain", {"node": "node-a"}),
    Action("kubernetes.logs", {"namespace": "production", "deployment": "web"}),
    Action("kubernetes.logs", {"namespace": "production", "pod": "NAME"}),
    Action("kubernetes.wait_ready", {"namespace": "production", "deployment": "web"}),
    Action("kubernetes.wait_ready", {"namespace": "production", "pod": "NAME"}),
]


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    programs = ContainerPrograms(programs={"redis-cli": ("/bin/echo", "PONG")})
    with KubernetesSimulator(tls=True) as simulator:
        simulator.add_deployment("production", "web", replicas=2, programs=programs)
        simulator.add_stateful_set("production", "db", replicas=2)
        simulator.add_daemon_set("production", "probe")
        yield simulator


def role_for(cluster: KubernetesSimulator, step: Step) -> str:
    """The least Role for the step is applied; gives the token of its ServiceAccount."""
    token = cluster.add_service_account("oncall-agent", "oncall-agent")
    runbook = Runbook("book", "Book", "book.md", "", "", Trigger(), (step,), EVERYTHING)
    rights = rights_of([runbook], lambda each: Guard(TABLES, each.blast_radius))
    assert rights.not_granted == ()
    for document in least_role.as_yaml(rights, least_role.Identity()).split("\n---\n"):
        if "\nkind: ServiceAccount\n" not in document:
            cluster.apply(document)
    cluster.forget_calls()
    return token


def denied(cluster: KubernetesSimulator) -> list[str]:
    return [f"{call.verb} {call.path}" for call in cluster.calls() if call.status == 403]


def counter(cluster: KubernetesSimulator, token: str) -> KubernetesCounting:
    return KubernetesCounting(api(cluster, token))


def api(cluster: KubernetesSimulator, token: str) -> KubernetesApi:
    return KubernetesApi(ClusterCredentials(cluster.url, static_token=token))


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_can_be_counted_and_run(cluster: KubernetesSimulator, tmp_path: Path, text: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed; `make packages` installs it")
    command = text.replace("NAME", cluster.pod_names("production", "app=web")[0])
    if " undo " in command:
        before = cluster.kubeconfig(tmp_path / "admin")
        restart = ["kubectl", "rollout", "restart", "deploy/web", "-n", "production"]
        subprocess.run(
            restart,
            env={"KUBECONFIG": str(before), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            check=True,
        )
    token = role_for(cluster, Step(1, "Do", 1, command=command))
    script = language.bind(language.parse(command), {})  # type: ignore[arg-type]
    (only,) = script.commands()  # type: ignore[union-attr]
    found = TABLES.analyse(only.argv, counter=counter(cluster, token))  # type: ignore[arg-type]
    assert not isinstance(found, Refusal), found
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", token=token)
    environment = {"HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin"}
    subprocess.run(only.argv, env=environment, capture_output=True, timeout=20)
    assert cluster.calls() != []
    assert denied(cluster) == []


@pytest.mark.parametrize("action", ACTIONS, ids=lambda each: f"{each.name}-{list(each.arguments)[-1]}")
def test_an_action_can_be_counted_and_done(cluster: KubernetesSimulator, action: Action) -> None:
    pod = cluster.pod_names("production", "app=web")[0]
    named = {key: pod if value == "NAME" else value for key, value in action.arguments.items()}
    action = Action(action.name, named)
    token = role_for(cluster, Step(1, "Do", 1, action=action))
    found = actions.analyse(action, TABLES, counter=counter(cluster, token))  # type: ignore[arg-type]
    assert not isinstance(found, Refusal), found
    argv, analysis = found
    live = LiveActions(KubernetesActions(api(cluster, token)).handlers(), clock=SystemClock())
    priced = PricedCommand(argv, analysis.effects, None, analysis.access)
    result = live.run(action, command=priced, marker="m", timeout_s=10, should_stop=lambda: False)
    assert denied(cluster) == []
    assert result.exit_code == 0, result
