"""What happens to a pod: it is given a node, becomes ready, and ends when its deletion has begun."""

from __future__ import annotations

from dataclasses import dataclass

from agent.simulators.kubernetes.objects import (
    NODES,
    PODS,
    Object,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    timestamp,
)
from agent.simulators.kubernetes.selectors import label_selector
from agent.simulators.kubernetes.state import KubernetesState


@dataclass(frozen=True, slots=True)
class Health:
    """Pods that a selector picks are made ready, or kept from it."""

    namespace: str
    selector: str
    ready: bool

    def concerns(self, pod: Object) -> bool:
        """Whether this pod is meant."""
        return namespace_of(pod) == self.namespace and label_selector(self.selector)(pod)


def new_pod(namespace: str, template: Object, *, name: str, owner: Object | None = None) -> Object:
    """A pod as a controller makes it from a template."""
    metadata = {**(template.get("metadata") or {}), "name": name, "namespace": namespace}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {"metadata": metadata, "spec": dict(template.get("spec") or {}), "status": {"phase": "Pending"}}


class Kubelet:
    """Schedules, starts and ends pods; each call of `tick` is one step of their lives."""

    def __init__(self, state: KubernetesState) -> None:
        self._state = state
        self._health: list[Health] = []
        self._addresses = 0

    def set_health(self, health: Health) -> None:
        """From now on these pods are ready, or not."""
        self._health.append(health)

    def tick(self) -> bool:
        """Take every pod one step on; says whether anything happened."""
        before = self._state.version
        for pod in self._state.objects(PODS):
            if is_terminating(pod):
                self._state.remove(PODS, namespace_of(pod), name_of(pod))
            elif pod["status"].get("phase") in {"Pending", "Running"}:
                self._live(pod)
        return self._state.version != before

    def _live(self, pod: Object) -> None:
        node = pod["spec"].get("nodeName") or self._choose_node()
        if not node:
            pod["status"]["conditions"] = [_unschedulable()]
            self._state.update(PODS, pod)
            return
        pod["spec"]["nodeName"] = node
        healthy = next((each.ready for each in reversed(self._health) if each.concerns(pod)), True)
        if pod["status"]["phase"] == "Running" and is_ready(pod) == healthy:
            return
        pod["status"] = self._status(pod, healthy)
        self._state.update(PODS, pod)

    def _choose_node(self) -> str:
        """The least loaded node that takes pods."""
        nodes = [name_of(each) for each in self._state.peek(NODES) if not each["spec"].get("unschedulable")]
        load = [each["spec"].get("nodeName") for each in self._state.peek(PODS)]
        return min(nodes, key=load.count, default="")

    def _status(self, pod: Object, healthy: bool) -> Object:
        self._addresses += 1
        address = f"10.42.{self._addresses // 250}.{self._addresses % 250 + 1}"
        old = pod["status"]
        return {
            "phase": "Running",
            "podIP": old.get("podIP", address),
            "podIPs": [{"ip": old.get("podIP", address)}],
            "hostIP": "192.0.2.10",
            "qosClass": "BestEffort",
            "startTime": old.get("startTime", timestamp()),
            "conditions": [
                _condition("PodScheduled", True),
                _condition("Initialized", True),
                _condition("ContainersReady", healthy),
                _condition("Ready", healthy),
            ],
            "containerStatuses": [_container(each, healthy) for each in pod["spec"].get("containers") or []],
        }


def _condition(kind: str, true: bool) -> Object:
    return {"type": kind, "status": "True" if true else "False", "lastTransitionTime": timestamp()}


def _unschedulable() -> Object:
    message = "0 nodes are available: no node takes new pods."
    return {**_condition("PodScheduled", False), "reason": "Unschedulable", "message": message}


def _container(container: Object, healthy: bool) -> Object:
    return {
        "name": container.get("name", "main"),
        "image": container.get("image", ""),
        "imageID": "",
        "containerID": "containerd://simulated",
        "ready": healthy,
        "started": healthy,
        "restartCount": 0,
        "state": {"running": {"startedAt": timestamp()}},
    }


def pods_of(state: KubernetesState, owner: Object) -> list[Object]:
    """The living pods that `owner` made."""
    return [pod for pod in owned(state, owner) if not is_terminating(pod)]


def owned(state: KubernetesState, owner: Object) -> list[Object]:
    """Every pod that `owner` made, ending ones too."""
    uid = owner["metadata"]["uid"]

    def mine(pod: Object) -> bool:
        return any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences") or [])

    return state.objects(PODS, namespace_of(owner), mine)


def begin_deletion(state: KubernetesState, pod: Object, grace_s: int = 30) -> None:
    """The pod ends at its next tick."""
    pod["metadata"]["deletionTimestamp"] = timestamp()
    pod["metadata"]["deletionGracePeriodSeconds"] = grace_s
    state.update(PODS, pod)


def with_label(template: Object, key: str, value: str) -> Object:
    """The template with one more label."""
    metadata = dict(template.get("metadata") or {})
    labels = {**(metadata.get("labels") or {}), key: value}
    return {**template, "metadata": {**metadata, "labels": labels}}


def sorted_for_removal(pods: list[Object]) -> list[Object]:
    """Which pods a shrinking ReplicaSet gives up first: unscheduled, unready, youngest."""
    return sorted(pods, key=lambda pod: (is_ready(pod), "nodeName" in pod["spec"], name_of(pod)))
