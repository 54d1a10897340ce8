"""The real kubectl in the real sandbox: judged by the tables, metered by the proxy, on a simulated one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sandboxed import carried_out, given, judged

from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.counting import KubernetesCounting
from agent.adapters.kubernetes.credentials import credentials
from agent.adapters.proxies.gateways import LiveGateways
from agent.config.sections import Kubernetes
from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight, Network
from agent.domain.command import PricedCommand
from agent.safety.effects import TRUSTED_PATH
from agent.simulators.kubernetes.simulator import KubernetesSimulator

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl", path=":".join(TRUSTED_PATH)) is None, reason="kubectl is not installed"
)


class Cluster:
    """The agent's side of a simulated cluster."""

    def __init__(self, sim: KubernetesSimulator, kubeconfig: Path) -> None:
        self.sim = sim
        self._settings = Kubernetes(kubeconfig=str(kubeconfig))
        self.gateways = LiveGateways(self._settings)

    def judged(self, command: str) -> PricedCommand:
        found = credentials(self._settings, environment={})
        assert found is not None
        return judged(command, counter=KubernetesCounting(KubernetesApi(found)))  # type: ignore[arg-type]

    def on(self, node: str) -> list[str]:
        return sorted(
            pod["metadata"]["name"]
            for pod in self.sim.pods("production")
            if pod["spec"]["nodeName"] == node and not pod["metadata"].get("deletionTimestamp")
        )


@pytest.fixture
def live(cluster: KubernetesSimulator, kubeconfig: Path) -> Cluster:
    return Cluster(cluster, kubeconfig)


def test_a_node_is_drained_of_the_pods_that_were_counted(live: Cluster) -> None:
    before = live.on("node-a")
    command = live.judged("kubectl drain node-a --ignore-daemonsets")
    result = carried_out(command, gateways=live.gateways)
    assert before
    assert (result.exit_code, result.problem) == (0, ""), result.stderr
    evicted = [call.name for call in live.sim.calls(verb="create", resource="pods/eviction")]
    assert sorted(evicted) == before
    assert live.on("node-a") == []
    sent = [
        line for line in result.stderr.splitlines() if "sent to the cluster: create pods/eviction" in line
    ]
    assert len(sent) == len(before)


def test_a_pod_that_came_after_the_counting_is_not_evicted(live: Cluster) -> None:
    command = live.judged("kubectl drain node-a --ignore-daemonsets")
    live.sim.scale("production", "api", 9)
    late = set(live.on("node-a"))
    counted = {name for change in command.access.changes for name in change.names}
    timely = replace(command, argv=(*command.argv, "--timeout=5s"))
    result = carried_out(timely, gateways=live.gateways)
    assert result.exit_code != 0
    evicted = {call.name for call in live.sim.calls(verb="create", resource="pods/eviction")}
    assert late - counted
    assert evicted <= counted
    assert "refused by oncall-agent" in result.stderr


NAMES = ClusterRight("delete", "pods", namespace="production")
READS = tuple(ClusterRight(verb, "pods", namespace="production") for verb in ("get", "list", "watch"))


def _deletes(name: str) -> Access:
    change = ClusterChange(replace(NAMES, name=name), ChangeForm.DELETE)
    return Access(Network.CLUSTER, cluster=READS, changes=(change,))


def test_a_dry_run_of_a_deletion_takes_nothing_and_changes_nothing(live: Cluster) -> None:
    name = live.sim.pod_names("production")[0]
    argv = ("kubectl", "delete", "pod", "-n", "production", name, "--dry-run=server")
    result = carried_out(given(_deletes(name), *argv), gateways=live.gateways)
    assert result.exit_code == 0, result.stderr
    assert f"only tried (dry run): delete pods {name} in production → 200" in result.stderr
    assert name in live.sim.pod_names("production")


def test_a_dry_run_before_the_deletion_leaves_it_its_one_use(live: Cluster, tmp_path: Path) -> None:
    name = live.sim.pod_names("production")[0]
    path = f"/api/v1/namespaces/production/pods/{name}"
    with live.gateways.open(given(_deletes(name), "kubectl"), marker="m") as opening:
        config = next(iter(opening.files.values())).decode()
        url = config.partition('"server": "')[2].partition('"')[0]
        tried = httpx.request("DELETE", f"{url}{path}", json={"dryRun": ["All"]})
        in_two_minds = httpx.request("DELETE", f"{url}{path}?dryRun=All", json={})
        done = httpx.request("DELETE", f"{url}{path}", json={})
        again = httpx.request("DELETE", f"{url}{path}", json={})
        lines = opening.told()
    assert [tried.status_code, in_two_minds.status_code, done.status_code] == [200, 403, 200]
    assert "a dry run by its query and none by its body" in in_two_minds.text
    assert "charged for one delete once, and has used it" in again.text
    assert [call.dry_run for call in live.sim.calls(verb="delete")] == [True, False]
    assert [line.partition(":")[0] for line in lines] == [
        "only tried (dry run)",
        "refused",
        "sent to the cluster",
        "refused",
    ]


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def _eviction(name: str, *, options: bytes = b"") -> bytes:
    """As client-go writes it in protobuf."""
    meta = _field(1, name.encode()) + _field(2, b"") + _field(3, b"production") + b"\x38\x00" + _field(8, b"")
    raw = _field(1, meta) + _field(2, options)
    kind = _field(1, b"policy/v1") + _field(2, b"Eviction")
    return b"k8s\0" + _field(1, kind) + _field(2, raw) + _field(3, b"") + _field(4, b"")


def test_evictions_in_protobuf_are_judged_and_sent_on(live: Cluster) -> None:
    first, second, third = live.sim.pod_names("production")[:3]
    right = ClusterRight("create", "pods", subresource="eviction", namespace="production")
    change = ClusterChange(right, ChangeForm.EVICT, names=(first, second))
    access = Access(Network.CLUSTER, changes=(change,))
    headers = {"content-type": "application/vnd.kubernetes.protobuf"}
    with live.gateways.open(given(access, "kubectl"), marker="m") as opening:
        config = next(iter(opening.files.values())).decode()
        url = config.partition('"server": "')[2].partition('"')[0]

        def evict(pod: str, body: bytes) -> int:
            path = f"{url}/api/v1/namespaces/production/pods/{pod}/eviction"
            return httpx.post(path, content=body, headers=headers).status_code

        assert evict(first, _eviction(first, options=b"\x08\x00")) == 403
        assert evict(first, _eviction(second)) == 403
        assert evict(third, _eviction(third)) == 403
        assert evict(first, _eviction(first, options=_field(5, b"All"))) == 201
        assert evict(first, _eviction(first)) == 201
        assert evict(second, _eviction(second)) == 403
    seen = live.sim.calls(verb="create", resource="pods/eviction")
    assert [(call.name, call.dry_run) for call in seen] == [(first, True), (first, False)]
    assert first not in live.on("node-a") + live.on("node-b")
