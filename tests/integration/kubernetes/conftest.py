"""A simulated cluster with a few workloads, and the real kubectl to talk to it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes_words import PROGRAMS, Kubectl

from agent.simulators.kubernetes.simulator import KubernetesSimulator

WEB_SOCKET_EXEC = (1, 30)  # the first kubectl that speaks it unasked


def kubectl_version() -> tuple[int, int] | None:
    if shutil.which("kubectl") is None:
        return None
    command = ["kubectl", "version", "--client", "-o", "json"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    version = json.loads(text)["clientVersion"]
    return int(version["major"]), int("".join(each for each in version["minor"] if each.isdigit()))


@pytest.fixture(scope="session")
def kubectl_here() -> tuple[int, int]:
    version = kubectl_version()
    if version is None:
        pytest.skip("kubectl is not installed")
    return version


@pytest.fixture
def needs_web_socket_exec(kubectl_here: tuple[int, int]) -> None:
    if kubectl_here < WEB_SOCKET_EXEC:
        pytest.skip(f"kubectl {kubectl_here} is older than 1.30: its exec speaks SPDY")


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as sim:
        sim.add_deployment("production", "api", replicas=3, labels={"tier": "web"}, programs=PROGRAMS)
        yield sim


@pytest.fixture
def kubectl(cluster: KubernetesSimulator, tmp_path: Path, kubectl_here) -> Kubectl:
    return Kubectl(tmp_path, cluster.kubeconfig(tmp_path / "kubeconfig", namespace="production"))


@pytest.fixture
def secure() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator(tls=True) as sim:
        sim.add_deployment("production", "api", replicas=2, programs=PROGRAMS)
        yield sim


@pytest.fixture
def kubectl_with(tmp_path: Path, kubectl_here) -> Callable[[KubernetesSimulator, str], Kubectl]:
    """kubectl with somebody's token over TLS; without one, as the administrator."""

    def made(sim: KubernetesSimulator, token: str = "") -> Kubectl:
        path = tmp_path / f"kubeconfig-{token or 'admin'}"
        return Kubectl(tmp_path, sim.kubeconfig(path, token=token, namespace="production"))

    return made
