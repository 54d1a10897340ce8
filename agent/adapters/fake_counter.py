"""A counter over a world that a test has laid out; what is not in it cannot be counted."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class FakeCounter:
    """Implements ports.Counter. Keys are the arguments of the question; change them as the world changes.

    `workloads`: (namespace, kind, name) → pods; `replicas` the same, where `spec.replicas` says otherwise.
    """

    workloads: dict[tuple[str, str, str], int] = field(default_factory=dict)
    replicas: dict[tuple[str, str, str], int] = field(default_factory=dict)
    pods: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    nodes: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    releases: dict[tuple[str, str], tuple[tuple[str, str, int], ...]] = field(default_factory=dict)
    groups: dict[tuple[str, str], int] = field(default_factory=dict)
    services: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def workload_pods(self, namespace: str, kind: str, name: str) -> int | None:
        """How many pods a workload has or wants, whichever is more."""
        return self.workloads.get((namespace, kind, name))

    def workload_replicas(self, namespace: str, kind: str, name: str) -> int | None:
        """What `spec.replicas` says; a DaemonSet has none."""
        if kind == "daemonset":
            return None
        return self.replicas.get((namespace, kind, name), self.workloads.get((namespace, kind, name)))

    def selected_pods(self, namespace: str, labels: str, fields: str) -> tuple[str, ...] | None:
        """Names of the pods that the selectors find, sorted."""
        found = self.pods.get((namespace, labels, fields))
        return None if found is None else tuple(sorted(found))

    def node_pods(self, node: str) -> tuple[tuple[str, str], ...] | None:
        """(namespace, name) of the pods that draining the node evicts, sorted."""
        found = self.nodes.get(node)
        return None if found is None else tuple(sorted(found))

    def release_workloads(self, namespace: str, release: str) -> tuple[tuple[str, str, int], ...] | None:
        """(kind, name, pods) of the workloads that a release owns, sorted."""
        found = self.releases.get((namespace, release))
        return None if found is None else tuple(sorted(found))

    def autoscaling_instances(self, region: str, group: str) -> int | None:
        """How many instances a group has."""
        return self.groups.get((region, group))

    def service_tasks(self, region: str, cluster: str, service: str) -> int | None:
        """How many tasks a service runs or wants, whichever is more."""
        return self.services.get((region, cluster, service))
