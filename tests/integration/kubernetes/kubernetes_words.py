"""Small objects that several tests of the simulated cluster write, and two clients."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubernetes import client
from kubernetes.stream import stream

from agent.simulators.kubernetes.simulator import ContainerPrograms, KubernetesSimulator

PROGRAMS = ContainerPrograms(path=("/usr/bin", "/bin"), env={"POD_VARIABLE": "from the pod"})


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The real program with a HOME of its own, so that its discovery cache is its own too."""

    home: Path
    config: Path

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = ["kubectl", *argv]
        return subprocess.run(
            command, env=self.environment(), input=stdin, capture_output=True, text=True, timeout=30
        )

    def begin(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(["kubectl", *argv], env=self.environment(), stdout=subprocess.PIPE, text=True)

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "KUBECONFIG": str(self.config)}

    def __call__(self, *argv: str, stdin: str = "") -> str:
        done = self.run(*argv, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *argv: str) -> str:
        done = self.run(*argv)
        assert done.returncode != 0, f"kubectl {' '.join(argv)} was not refused: {done.stdout}"
        return done.stderr


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def budget(app: str, *, min_available: int) -> dict:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": app, "namespace": "production"},
        "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": app}}},
    }


def role(name: str, *rules: dict) -> dict:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": "production"},
        "rules": list(rules),
    }


def rule(group: str, resources: str, verbs: str, names: str = "") -> dict:
    found = {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
    return {**found, "resourceNames": names.split()} if names else found


def binding(name: str, account: str, *, role: str = "", cluster_role: str = "") -> dict:
    kind = "ClusterRole" if cluster_role else "Role"
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "production"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": kind,
            "name": cluster_role or role,
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "production"}],
    }


@contextmanager
def core_v1(sim: KubernetesSimulator, token: str = "") -> Iterator[client.CoreV1Api]:
    with connected(sim, token) as connection:
        yield client.CoreV1Api(connection)


@contextmanager
def connected(sim: KubernetesSimulator, token: str = "") -> Iterator[client.ApiClient]:
    configuration = client.Configuration(host=sim.tls_url or sim.url)
    configuration.retries = False
    if token:
        configuration.api_key = {"authorization": f"Bearer {token}"}
    if sim.ca_path:
        configuration.ssl_ca_cert = str(sim.ca_path)
    with client.ApiClient(configuration) as connection:
        yield connection
        connection.rest_client.pool_manager.clear()


def exec_stream(api: client.CoreV1Api, pod: str, command: list[str]):
    return stream(
        api.connect_get_namespaced_pod_exec,
        pod,
        "production",
        command=command,
        stdout=True,
        stderr=True,
        stdin=False,
        _preload_content=False,
    )
