"""Typed actions that only look: logs, and waiting until a workload or a pod is ready."""

from __future__ import annotations

from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.objects import WORKLOADS, Pod, owned_pods, pod_of, read_workload
from agent.adapters.live_job import Job
from agent.domain.access import ClusterRight
from agent.domain.errors import Reason, ServiceError
from agent.ports import CommandResult

_POLL_S = 1.0
_DEFAULT_LINES = 100
_MOST_LINES = 10_000
#: Asked for; of this the end is kept, since the newest lines tell most.
_MOST_BYTES = 8 * 1024 * 1024
_KEPT = 64 * 1024


def pod_for(api: KubernetesApi, job: Job) -> Pod:
    """The pod that was named, or a ready one of the workload; ServiceError if there is none."""
    namespace = job.text("namespace")
    if job.has("pod"):
        return pod_of(api.call(ClusterRight("get", "pods", namespace=namespace, name=job.text("pod"))))
    kind = next(kind for kind in WORKLOADS if job.has(kind))
    name = job.text(kind)
    found = owned_pods(api, read_workload(api, kind, namespace, name))
    if not found:
        words = f"the {kind} {namespace}/{name} has no live pod"
        raise ServiceError("Kubernetes", Reason.NOT_FOUND, words, retryable=True)
    return min(found, key=lambda pod: (not pod.is_ready, pod.name))


def read_logs(api: KubernetesApi, job: Job) -> CommandResult:
    """The last lines of one container, as they are; of very many, the end."""
    pod = pod_for(api, job)
    right = ClusterRight("get", "pods", subresource="log", namespace=pod.namespace, name=pod.name)
    text = api.text(
        right,
        container=job.text("container", pod.container),
        tail_lines=min(job.number("tail", _DEFAULT_LINES), _MOST_LINES),
        limit_bytes=_MOST_BYTES,
        previous=job.flag("previous"),
    )
    left_out = len(text) - _KEPT
    return CommandResult(
        0, stdout=f"… {left_out} characters left out …\n{text[-_KEPT:]}" if left_out > 0 else text
    )


def wait_until_ready(api: KubernetesApi, job: Job) -> CommandResult:
    """Look until it is ready, a rollout has failed, or time is over."""
    while True:
        state = _pod_state(api, job) if job.has("pod") else _workload_state(api, job)
        if state["ready"] is True:
            return job.done(**state)
        if why := state.pop("failed", ""):
            return job.failed(f"the rollout has failed: {why}")
        if (ended := job.pause(_POLL_S)) is not None:
            return CommandResult(
                None,
                stdout=job.told(**state),
                timed_out=ended.timed_out,
                interrupted=ended.interrupted,
            )


def _pod_state(api: KubernetesApi, job: Job) -> dict[str, object]:
    pod = pod_for(api, job)
    return {"ready": pod.is_ready and pod.is_live, "pod": pod.name, "phase": pod.phase}


def _workload_state(api: KubernetesApi, job: Job) -> dict[str, object]:
    kind = next(kind for kind in WORKLOADS if job.has(kind))
    found = read_workload(api, kind, job.text("namespace"), job.text(kind))
    state: dict[str, object] = {
        "ready": found.is_ready,
        "wanted": found.wanted,
        "updated": found.updated,
        "available": found.available,
        "pods": found.existing,
    }
    # the condition is of the rollout before until the controller has seen the newest one
    if found.unavailable_reason and found.observed_generation >= found.generation:
        state["failed"] = found.unavailable_reason
    return state
