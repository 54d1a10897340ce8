"""Stand-ins for what is only known when an alert comes: parameters, and what a counter finds in the world."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agent.domain.access import ClusterRight
from agent.domain.runbook import Parameter

#: Marks a name that is not known; it is no name that anybody gives.
ANY: Final = "oncallany0"
_ANY_NUMBER: Final = "40817"
_ANY_HOST: Final = f"{ANY}.example.com"
_ANY_INSTANCE: Final = "i-0ca11a90ca11a90ca"
_STAND_INS: Final = (ANY, _ANY_NUMBER, _ANY_HOST, _ANY_INSTANCE)

#: More values at once than a step has parameters worth trying one by one.
_MOST_COMBINATIONS: Final = 512

_WORKLOADS: Final = {
    "deployment": "deployments",
    "statefulset": "statefulsets",
    "daemonset": "daemonsets",
    "replicaset": "replicasets",
}


def is_unknown(word: str) -> bool:
    """Whether a name holds a stand-in: any name is meant."""
    return any(each in word for each in _STAND_INS)


def with_any(pattern: str) -> str:
    """A pattern of a cloud resource, with `*` for what is not known."""
    for each in (_ANY_HOST, ANY, _ANY_NUMBER, _ANY_INSTANCE):
        pattern = pattern.replace(each, "*")
    return pattern


def values_of(
    parameters: Sequence[Parameter], names: Sequence[str], namespaces: Sequence[str]
) -> Iterator[Mapping[str, str]]:
    """Every way to fill the named parameters: each choice where choices are listed, else the stand-ins.

    Where only some namespaces are allowed, a parameter may be one of them.
    """
    declared = {each.name: each for each in parameters}
    free = (*_STAND_INS, *namespaces)
    choices = [declared[name].one_of or free if name in declared else free for name in names]
    if _count(choices) > _MOST_COMBINATIONS:
        choices = [each[:1] if each is free else each for each in choices]
    for picked in itertools.islice(itertools.product(*choices), _MOST_COMBINATIONS):
        yield dict(zip(names, picked, strict=True))


def _count(choices: Sequence[Sequence[str]]) -> int:
    total = 1
    for each in choices:
        total *= len(each)
    return total


class OneOfEverything:
    """Implements ports.Counter: one of everything; `asked` are the rights that a real one would need."""

    def __init__(self) -> None:
        self.asked: list[ClusterRight] = []

    def workload_pods(self, namespace: str, kind: str, name: str) -> int | None:
        """One pod: the workload and its pods are looked at."""
        self._ask_workload(namespace, kind, name)
        self.asked.append(ClusterRight("list", "pods", namespace=namespace))
        return 1

    def workload_replicas(self, namespace: str, kind: str, name: str) -> int | None:
        """One replica."""
        self._ask_workload(namespace, kind, name)
        return 1

    def selected_pods(self, namespace: str, labels: str, fields: str) -> tuple[str, ...] | None:
        """One pod of any name."""
        del labels, fields
        self.asked.append(ClusterRight("list", "pods", namespace=namespace))
        return (ANY,)

    def node_pods(self, node: str) -> tuple[tuple[str, str], ...] | None:
        """One pod in any namespace."""
        del node
        self.asked.append(ClusterRight("list", "pods", namespace="*"))
        return ((ANY, ANY),)

    def release_workloads(self, namespace: str, release: str) -> tuple[tuple[str, str, int], ...] | None:
        """One deployment of any name."""
        del release
        for resource in ("deployments", "statefulsets", "daemonsets"):
            self.asked.append(ClusterRight("list", resource, "apps", namespace=namespace))
        self.asked.append(ClusterRight("list", "pods", namespace=namespace))
        return (("deployment", ANY, 1),)

    def autoscaling_instances(self, region: str, group: str) -> int | None:
        """One instance."""
        del region, group
        return 1

    def service_tasks(self, region: str, cluster: str, service: str) -> int | None:
        """One task."""
        del region, cluster, service
        return 1

    def _ask_workload(self, namespace: str, kind: str, name: str) -> None:
        resource = _WORKLOADS.get(kind, f"{kind}s")
        self.asked.append(ClusterRight("get", resource, "apps", namespace=namespace, name=name))
