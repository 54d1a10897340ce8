"""What the Kubernetes API tells of pods and workloads, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.adapters.kubernetes.client import KubernetesApi
from agent.domain.access import ClusterRight
from agent.domain.errors import Reason, ServiceError

#: kind in words → resource.
WORKLOADS = {"deployment": "deployments", "statefulset": "statefulsets", "daemonset": "daemonsets"}
_COUNTED = {**WORKLOADS, "replicaset": "replicasets"}
_FINISHED = frozenset({"Succeeded", "Failed"})
_MIRROR = "kubernetes.io/config.mirror"
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
#: A list longer than this is refused, never cut: what is not seen would not be counted.
_MOST = 5_000


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. `owner` is (kind, name) of its controller, in lower case."""

    namespace: str
    name: str
    uid: str
    phase: str
    is_ready: bool
    is_ending: bool
    owner: tuple[str, str]
    template_hash: str
    is_mirror: bool
    keeps_data: bool
    container: str

    @property
    def is_live(self) -> bool:
        """Whether there is something to stop: it has not ended, and is not being ended."""
        return self.phase not in _FINISHED and not self.is_ending

    def belongs_to(self, kind: str, name: str) -> bool:
        """Whether a workload controls it; a Deployment does so by ReplicaSets named after it."""
        if kind == "deployment":
            return bool(self.template_hash) and self.owner == ("replicaset", f"{name}-{self.template_hash}")
        return self.owner == (kind, name)


@dataclass(frozen=True, slots=True)
class Workload:
    """A deployment, statefulset or daemonset: what it wants and what it has."""

    kind: str
    namespace: str
    name: str
    resource_version: str
    generation: int
    observed_generation: int
    wanted: int
    existing: int
    updated: int
    ready: int
    available: int
    unavailable_reason: str
    is_paused: bool
    restarts_by_hand: bool
    release: tuple[str, str]
    selector: str

    @property
    def is_ready(self) -> bool:
        """Whether a rollout has ended: every pod is of the newest template, there and available."""
        counts = {self.existing, self.updated, self.ready, self.available}
        return self.observed_generation >= self.generation and counts == {self.wanted}


def workload_right(verb: str, kind: str, namespace: str, name: str = "", *, below: str = "") -> ClusterRight:
    """The right to a workload; ServiceError if it is of no kind that is known."""
    if kind not in _COUNTED:
        raise ServiceError(
            "Kubernetes", Reason.REJECTED, f"{kind} is not one of {', '.join(_COUNTED)}", retryable=False
        )
    return ClusterRight(verb, _COUNTED[kind], "apps", below, namespace, name)


def read_workload(api: KubernetesApi, kind: str, namespace: str, name: str) -> Workload:
    """A workload as it is now."""
    return workload_of(kind, api.call(workload_right("get", kind, namespace, name)))


def list_pods(api: KubernetesApi, namespace: str, *, labels: str = "", fields: str = "") -> tuple[Pod, ...]:
    """Every pod that the selectors find ("*": in all namespaces); ServiceError if the list was cut."""
    items = list_items(
        api, ClusterRight("list", "pods", namespace=namespace), label_selector=labels, field_selector=fields
    )
    return tuple(pod_of(item) for item in items)


def list_items(api: KubernetesApi, right: ClusterRight, **selectors: str) -> list[Mapping[str, Any]]:
    """The objects of a list; ServiceError if there are more than were sent."""
    chosen = {key: value for key, value in selectors.items() if value}
    answer = api.call(right, timeout_s=None, limit=_MOST, **chosen)
    metadata = answer["metadata"]
    if metadata.get("continue") or metadata.get("remainingItemCount"):
        raise ServiceError(
            "Kubernetes", Reason.BAD_ANSWER, f"there are more than {_MOST} {right.resource}", retryable=False
        )
    items: list[Mapping[str, Any]] = answer["items"]
    return items


def owned_pods(api: KubernetesApi, workload: Workload) -> tuple[Pod, ...]:
    """The live pods that a workload controls."""
    found = list_pods(api, workload.namespace, labels=workload.selector)
    return tuple(pod for pod in found if pod.is_live and pod.belongs_to(workload.kind, workload.name))


def pods_of(api: KubernetesApi, workload: Workload) -> int:
    """How many pods a workload wants, says it has, or really has, whichever is the most."""
    return max(workload.wanted, workload.existing, len(owned_pods(api, workload)))


def pod_of(item: Mapping[str, Any]) -> Pod:
    """A pod from its JSON."""
    metadata, spec, status = item["metadata"], item["spec"], item.get("status", {})
    annotations = metadata.get("annotations") or {}
    owners = [each for each in metadata.get("ownerReferences") or () if each.get("controller")]
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        phase=status.get("phase", "Unknown"),
        is_ready=conditions.get("Ready") == "True",
        is_ending="deletionTimestamp" in metadata,
        owner=(owners[0]["kind"].lower(), owners[0]["name"]) if owners else ("", ""),
        template_hash=(metadata.get("labels") or {}).get("pod-template-hash", ""),
        is_mirror=_MIRROR in annotations,
        keeps_data=any("emptyDir" in volume for volume in spec.get("volumes") or ()),
        container=annotations.get(_DEFAULT_CONTAINER) or spec["containers"][0]["name"],
    )


def workload_of(kind: str, item: Mapping[str, Any]) -> Workload:
    """A workload from its JSON."""
    metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    annotations = metadata.get("annotations") or {}
    return Workload(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        release=(
            annotations.get("meta.helm.sh/release-namespace", ""),
            annotations.get("meta.helm.sh/release-name", ""),
        ),
        is_paused=bool(spec.get("paused")),
        restarts_by_hand=(spec.get("updateStrategy") or {}).get("type") == "OnDelete",
        selector=_selector(spec["selector"]),
        unavailable_reason=_gave_up(status),
        **_daemon_counts(status) if kind == "daemonset" else _counts(spec, status),
    )


def _counts(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, int]:
    return {
        # the API server writes the default 1 into every object that it keeps
        "wanted": spec.get("replicas", 1),
        "existing": status.get("replicas", 0),
        "updated": status.get("updatedReplicas", 0),
        "ready": status.get("readyReplicas", 0),
        "available": status.get("availableReplicas", status.get("readyReplicas", 0)),
    }


def _daemon_counts(status: Mapping[str, Any]) -> dict[str, int]:
    """A DaemonSet's wish is only in its status: it is the number of nodes that fit."""
    return {
        "wanted": status.get("desiredNumberScheduled", 0),
        "existing": status.get("currentNumberScheduled", 0) + status.get("numberMisscheduled", 0),
        "updated": status.get("updatedNumberScheduled", 0),
        "ready": status.get("numberReady", 0),
        "available": status.get("numberAvailable", 0),
    }


def _gave_up(status: Mapping[str, Any]) -> str:
    """Why a Deployment's controller counts its rollout as failed, or ""."""
    for condition in status.get("conditions") or ():
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message", "the progress deadline is exceeded"))
    return ""


_OPERATORS = {"In": "in", "NotIn": "notin"}


def _selector(selector: Mapping[str, Any]) -> str:
    """A label selector as the query string has it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or ():
        if rule["operator"] in _OPERATORS:
            parts.append(f"{rule['key']} {_OPERATORS[rule['operator']]} ({','.join(rule['values'])})")
        else:
            parts.append(rule["key"] if rule["operator"] == "Exists" else f"!{rule['key']}")
    return ",".join(parts)
