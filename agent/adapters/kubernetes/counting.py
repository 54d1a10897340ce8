"""Counts pods in the cluster as it is now."""

from __future__ import annotations

from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.objects import (
    WORKLOADS,
    Pod,
    list_items,
    list_pods,
    pods_of,
    read_workload,
    workload_of,
    workload_right,
)
from agent.domain.errors import Reason, ServiceError


class KubernetesCounting:
    """The cluster's half of ports.Counter, with errors told: ServiceError, where the port says None."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def workload_pods(self, namespace: str, kind: str, name: str) -> int:
        """How many pods a workload wants, says it has, or really has, whichever is the most."""
        return pods_of(self._api, read_workload(self._api, kind, namespace, name))

    def workload_replicas(self, namespace: str, kind: str, name: str) -> int:
        """What `spec.replicas` says; a DaemonSet has none."""
        if kind == "daemonset":
            raise ServiceError("Kubernetes", Reason.REJECTED, "a daemonset has no replicas", retryable=False)
        return read_workload(self._api, kind, namespace, name).wanted

    def selected_pods(self, namespace: str, labels: str, fields: str) -> tuple[str, ...]:
        """Names of all pods that the selectors find, in whatever state: a deletion does not ask."""
        return tuple(
            sorted(pod.name for pod in list_pods(self._api, namespace, labels=labels, fields=fields))
        )

    def node_pods(self, node: str) -> tuple[tuple[str, str], ...]:
        """(namespace, name) of the pods that draining the node evicts, sorted."""
        return tuple(sorted((pod.namespace, pod.name) for pod in drained_pods(self._api, node)))

    def release_workloads(self, namespace: str, release: str) -> tuple[tuple[str, str, int], ...]:
        """(kind, name, pods) of the workloads that bear the Helm release's annotations."""
        found = []
        for kind in WORKLOADS:
            for item in list_items(self._api, workload_right("list", kind, namespace)):
                workload = workload_of(kind, item)
                if workload.release == (namespace, release):
                    found.append((kind, workload.name, pods_of(self._api, workload)))
        return tuple(sorted(found))


def drained_pods(api: KubernetesApi, node: str) -> tuple[Pod, ...]:
    """The pods that draining a node evicts: not finished, no DaemonSet's, no mirror of a static pod."""
    found = list_pods(api, "*", fields=f"spec.nodeName={node}")
    return tuple(pod for pod in found if pod.is_live and not pod.is_mirror and pod.owner[0] != "daemonset")
