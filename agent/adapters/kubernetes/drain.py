"""Empties a node: keeps new pods off it, evicts those that were charged, waits until they are gone."""

from __future__ import annotations

from agent.adapters.kubernetes import changes
from agent.adapters.kubernetes.client import KubernetesApi, is_conflict
from agent.adapters.kubernetes.counting import drained_pods
from agent.adapters.kubernetes.objects import Pod, list_pods
from agent.adapters.live_job import Job
from agent.domain.access import ChangeForm, ClusterRight
from agent.domain.errors import Reason, ServiceError
from agent.ports import CommandResult

#: How long kubectl waits before it asks again for what a disruption budget has held up.
_BUDGET_WAIT_S = 5.0
_POLL_S = 1.0


class Drain:
    """One drain. A pod that was not charged stops it before anything is changed."""

    def __init__(self, api: KubernetesApi, job: Job) -> None:
        self._api = api
        self._job = job
        self._node = job.text("node")

    def run(self) -> CommandResult:
        """Cordon, evict, wait."""
        job = self._job
        if changes.priced(job, ChangeForm.CORDON, "nodes", self._node) is None:
            return job.refused(f"the cordon of the node {self._node} was not priced")
        pods = drained_pods(self._api, self._node)
        for pod in pods:
            if refusal := self._must_not_evict(pod):
                return job.refused(f"the pod {pod.namespace}/{pod.name} {refusal}")
        return (
            self._try_dry(pods)
            or changes.set_schedulable(self._api, job, cordon=True)
            or self._evict_all(pods)
            or self._wait_until_gone(pods)
            or job.done(evicted=len(pods))
        )

    def _must_not_evict(self, pod: Pod) -> str:
        """Why this pod would not just move to another node, or ""; kubectl refuses the same ones."""
        if pod.name not in changes.priced_pods(self._job, ChangeForm.EVICT, pod.namespace):
            return "was not there when it was planned; plan again"
        if pod.owner == ("", ""):
            return "has no controller, so nothing would start it elsewhere; move it by hand"
        if pod.keeps_data:
            return "has an emptyDir volume, whose content would be lost; move it by hand"
        return ""

    def _try_dry(self, pods: tuple[Pod, ...]) -> CommandResult | None:
        """Find out what is not allowed at all before the first pod goes."""
        for pod in pods:
            if (ended := self._job.ended()) is not None:
                return ended
            self._evict(pod, dry_run=True)
        return None

    def _evict_all(self, pods: tuple[Pod, ...]) -> CommandResult | None:
        """Evict each once; what a disruption budget holds up is asked for again, until time is over."""
        held_up: list[Pod] = list(pods)
        while held_up:
            left = []
            for pod in held_up:
                if (ended := self._job.ended()) is not None:
                    return ended
                if not self._evict(pod, dry_run=False):
                    left.append(pod)
            held_up = left
            if held_up and (ended := self._job.pause(_BUDGET_WAIT_S)) is not None:
                return ended
        return None

    def _evict(self, pod: Pod, *, dry_run: bool) -> bool:
        """Whether it goes, or is gone already."""
        right = ClusterRight("create", "pods", subresource="eviction", namespace=pod.namespace, name=pod.name)
        try:
            changes.evict(self._api, self._job, right, uid=pod.uid, dry_run=dry_run)
        except ServiceError as error:
            if error.reason is Reason.RATE_LIMITED:
                return False
            if error.reason is Reason.NOT_FOUND or is_conflict(error):  # it went, or another took its name
                return True
            raise
        return True

    def _wait_until_gone(self, pods: tuple[Pod, ...]) -> CommandResult | None:
        waiting = {pod.uid: pod for pod in pods}
        while True:
            there = {pod.uid for pod in list_pods(self._api, "*", fields=f"spec.nodeName={self._node}")}
            waiting = {uid: pod for uid, pod in waiting.items() if uid in there}
            if not waiting:
                return None
            if (ended := self._job.pause(_POLL_S)) is not None:
                return ended
