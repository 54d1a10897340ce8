"""Counts in the live world: Kubernetes and AWS behind one port; what cannot be told is None, no guess."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import structlog

from agent.domain.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    from agent.adapters.aws.counting import AwsCounting
    from agent.adapters.kubernetes.counting import KubernetesCounting

T = TypeVar("T")
Side = TypeVar("Side")
Connect = Callable[[], Side | None]
_log = structlog.get_logger()


def _nothing() -> None:
    return None


class LiveCounter:
    """Implements ports.Counter; without a cluster, or without AWS, its half tells None.

    Each half is connected when it is first asked: a vendor's library takes most of a second to load.
    """

    def __init__(
        self, kubernetes: Connect[KubernetesCounting] = _nothing, aws: Connect[AwsCounting] = _nothing
    ) -> None:
        self._kubernetes = cache(kubernetes)
        self._aws = cache(aws)

    def workload_pods(self, namespace: str, kind: str, name: str) -> int | None:
        """How many pods a workload has or wants, whichever is more."""
        what = f"pods of the {kind} {namespace}/{name}"
        return _told(what, self._kubernetes, lambda its: its.workload_pods(namespace, kind, name))

    def workload_replicas(self, namespace: str, kind: str, name: str) -> int | None:
        """What the workload's `spec.replicas` says now."""
        what = f"replicas of the {kind} {namespace}/{name}"
        return _told(what, self._kubernetes, lambda its: its.workload_replicas(namespace, kind, name))

    def selected_pods(self, namespace: str, labels: str, fields: str) -> tuple[str, ...] | None:
        """Names of the pods that the selectors find now."""
        what = f"pods {labels or fields or 'all'} in {namespace}"
        return _told(what, self._kubernetes, lambda its: its.selected_pods(namespace, labels, fields))

    def node_pods(self, node: str) -> tuple[tuple[str, str], ...] | None:
        """(namespace, name) of the pods that draining the node evicts."""
        return _told(f"pods on the node {node}", self._kubernetes, lambda its: its.node_pods(node))

    def release_workloads(self, namespace: str, release: str) -> tuple[tuple[str, str, int], ...] | None:
        """(kind, name, pods) of the workloads that a Helm release owns."""
        what = f"workloads of the release {namespace}/{release}"
        return _told(what, self._kubernetes, lambda its: its.release_workloads(namespace, release))

    def autoscaling_instances(self, region: str, group: str) -> int | None:
        """How many instances an Auto Scaling group has."""
        what = f"instances of the group {group}"
        return _told(what, self._aws, lambda its: its.autoscaling_instances(region, group))

    def service_tasks(self, region: str, cluster: str, service: str) -> int | None:
        """How many tasks an ECS service runs or wants, whichever is more."""
        what = f"tasks of the service {cluster}/{service}"
        return _told(what, self._aws, lambda its: its.service_tasks(region, cluster, service))


def _told(what: str, connected: Callable[[], Side | None], count: Callable[[Side], T]) -> T | None:
    try:
        side = connected()
        if side is None:
            _log.warning("cannot_count", what=what, reason="it is not configured")
            return None
        return count(side)
    except (ServiceError, ConfigError) as error:
        _log.warning("cannot_count", what=what, reason=str(error))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        _log.warning("cannot_count", what=what, reason=f"the answer is not understood: {error!r}")
    return None
