"""A simulated cluster over TLS, its metering proxy, and the real kubectl in front."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from cluster_step import PROGRAMS, OpenStep, Step, step_with

from agent.adapters.proxies.gateways import LiveGateways
from agent.config.sections import Kubernetes
from agent.domain.access import Access
from agent.simulators.kubernetes.simulator import KubernetesSimulator

ADMIN_GROUP = "system:masters"


def _kubectl_minor() -> int:
    found = shutil.which("kubectl")
    if not found:
        return 0
    told = subprocess.run([found, "version", "--client", "-o", "json"], capture_output=True, check=False)
    minor = json.loads(told.stdout or b"{}").get("clientVersion", {}).get("minor", "0")
    return int(re.sub(r"\D.*", "", minor) or 0)


@pytest.fixture(scope="session")
def needs_kubectl() -> int:
    minor = _kubectl_minor()
    if not minor:
        pytest.skip("kubectl is not installed")
    return minor


@pytest.fixture
def needs_websocket_exec(needs_kubectl: int) -> None:
    if needs_kubectl < 30:
        pytest.skip("this kubectl runs exec by SPDY; WebSocket exec is the default from 1.30")


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator(tls=True) as sim:
        sim.add_deployment("production", "api", replicas=5, programs=PROGRAMS)
        yield sim


@pytest.fixture
def kubeconfig(cluster: KubernetesSimulator, tmp_path: Path) -> Path:
    token = cluster.add_user("oncall-agent", groups=(ADMIN_GROUP,))
    return cluster.kubeconfig(tmp_path / "agent-kubeconfig", token=token)


@pytest.fixture
def open_step(kubeconfig: Path, tmp_path: Path) -> OpenStep:
    gateways = LiveGateways(Kubernetes(kubeconfig=str(kubeconfig)))

    def opened(access: Access) -> AbstractContextManager[Step]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        return step_with(gateways, access, home)

    return opened
