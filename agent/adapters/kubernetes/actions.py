"""Typed actions on Kubernetes: each does what its priced changes say, and looks right before it does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

from agent.adapters.kubernetes import changes
from agent.adapters.kubernetes.client import KubernetesApi, is_conflict
from agent.adapters.kubernetes.drain import Drain
from agent.adapters.kubernetes.exec import run_in_pod
from agent.adapters.kubernetes.objects import (
    WORKLOADS,
    Workload,
    list_pods,
    pod_of,
    pods_of,
    read_workload,
)
from agent.adapters.kubernetes.watching import pod_for, read_logs, wait_until_ready
from agent.adapters.live_job import Handler, Job
from agent.domain.access import ChangeForm, ClusterRight
from agent.domain.errors import ServiceError
from agent.ports import CommandResult

#: An object that somebody else changes at the same time is read and judged again so often.
_TRIES = 4
#: The annotation that kubectl rollout restart sets, so that both are seen as one.
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


class KubernetesActions:
    """Carries out the actions whose names begin with `kubernetes.`."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def handlers(self) -> Mapping[str, Handler]:
        """What carries out which action."""
        return {
            "kubernetes.rollout_restart": self._restart,
            "kubernetes.scale": self._scale,
            "kubernetes.delete_pod": self._delete_pods,
            "kubernetes.exec": self._exec,
            "kubernetes.cordon": lambda job: self._set_schedulable(job, ChangeForm.CORDON),
            "kubernetes.uncordon": lambda job: self._set_schedulable(job, ChangeForm.UNCORDON),
            "kubernetes.drain": lambda job: Drain(self._api, job).run(),
            "kubernetes.logs": lambda job: read_logs(self._api, job),
            "kubernetes.wait_ready": lambda job: wait_until_ready(self._api, job),
        }

    def _restart(self, job: Job) -> CommandResult:
        for _ in range(_TRIES):
            result = self._try_restart(job)
            if result is not None:
                return result
        return job.failed(f"{_workload_words(job)} is being changed all the time; nothing was restarted")

    def _try_restart(self, job: Job) -> CommandResult | None:
        """One look and one patch; None if the workload changed between the two."""
        kind, name = _workload(job)
        change = changes.priced(job, ChangeForm.RESTART, WORKLOADS[kind], name)
        if change is None:
            return job.refused(f"the restart of {_workload_words(job)} was not priced")
        workload = read_workload(self._api, kind, job.text("namespace"), name)
        pods = pods_of(self._api, workload)
        if refusal := _must_not_restart(workload, pods, change.pods):
            return job.refused(refusal)
        at = job.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "metadata": {"resourceVersion": workload.resource_version},
            "spec": {"template": {"metadata": {"annotations": {_RESTARTED_AT: at}}}},
        }
        return self._write(job, change.right, body, pods=pods)

    def _scale(self, job: Job) -> CommandResult:
        for _ in range(_TRIES):
            result = self._try_scale(job)
            if result is not None:
                return result
        return job.failed(f"{_workload_words(job)} is being changed all the time; nothing was scaled")

    def _try_scale(self, job: Job) -> CommandResult | None:
        kind, name = _workload(job)
        namespace, replicas = job.text("namespace"), job.number("replicas")
        change = changes.priced(job, ChangeForm.SCALE, WORKLOADS[kind], name)
        if change is None or change.replicas != replicas:
            return job.refused(f"scaling {_workload_words(job)} to {replicas} was not priced")
        found = read_workload(self._api, kind, namespace, name)
        if change.from_replicas is not None and found.wanted != change.from_replicas:
            return job.refused(
                f"{_workload_words(job)} has {found.wanted} replicas now, it was planned from "
                f"{change.from_replicas}; plan again"
            )
        body = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": found.resource_version},
            "spec": {"replicas": replicas},
        }
        return self._write(job, change.right, body, replicas=replicas, from_replicas=found.wanted)

    def _write(
        self, job: Job, right: ClusterRight, body: Mapping[str, object], **facts: object
    ) -> CommandResult | None:
        """Change exactly the version that was judged, tried dry first; None if there is a newer one."""
        try:
            self._api.call(right, body=body, dry_run="All")
            if (ended := job.ended()) is not None:
                return ended
            answer = job.changing(lambda: self._api.call(right, body=body))
        except ServiceError as error:
            if is_conflict(error):
                return None
            raise
        job.changed.append({**changes.told(right, answer), **facts})
        return job.done()

    def _delete_pods(self, job: Job) -> CommandResult:
        """Each pod by its uid, so that one with the same name that came after it is spared."""
        namespace = job.text("namespace")
        charged = changes.priced_pods(job, ChangeForm.DELETE, namespace)
        if job.has("selector"):
            found = list_pods(
                self._api, namespace, labels=job.text("selector"), fields=job.text("field_selector", "")
            )
        else:
            names = job.texts("pods") if job.has("pods") else (job.text("pod"),)
            found = tuple(
                pod_of(self._api.call(ClusterRight("get", "pods", namespace=namespace, name=name)))
                for name in dict.fromkeys(names)
            )
        uncharged = sorted({pod.name for pod in found} - charged)
        if uncharged:
            return job.refused(f"the pod {uncharged[0]} was not there when it was planned; plan again")
        rights = [
            (ClusterRight("delete", "pods", namespace=namespace, name=pod.name), pod.uid) for pod in found
        ]
        for dry_run in (True, False):
            for right, uid in rights:
                if (ended := job.ended()) is not None:
                    return ended
                changes.delete(self._api, job, right, uid=uid, dry_run=dry_run)
        return job.done()

    def _exec(self, job: Job) -> CommandResult:
        words = job.texts("command")
        change = next((each for each in changes.of_form(job, ChangeForm.EXEC) if each.argv == words), None)
        if change is None or change.right.namespace != job.text("namespace"):
            return job.refused("what it runs in the pod was not priced")
        pod = pod_for(self._api, job)
        known = change.names or ((change.right.name,) if change.right.name and job.has("pod") else ())
        if known and pod.name not in known:
            return job.refused(f"the pod {pod.name} was not there when it was planned; plan again")
        container = job.text("container", change.container or pod.container)
        return run_in_pod(self._api, job, pod, container=container, words=words)

    def _set_schedulable(self, job: Job, form: ChangeForm) -> CommandResult:
        if changes.priced(job, form, "nodes", job.text("node")) is None:
            return job.refused(f"the {form.value} of the node {job.text('node')} was not priced")
        return changes.set_schedulable(self._api, job, cordon=form is ChangeForm.CORDON) or job.done()


def _workload(job: Job) -> tuple[str, str]:
    kind = next(kind for kind in WORKLOADS if job.has(kind))
    return kind, job.text(kind)


def _workload_words(job: Job) -> str:
    kind, name = _workload(job)
    return f"the {kind} {job.text('namespace')}/{name}"


def _must_not_restart(workload: Workload, pods: int, charged: int | None) -> str:
    """Why a restart would not be what was charged, or ""."""
    name = f"the {workload.kind} {workload.namespace}/{workload.name}"
    if charged is None:
        return f"the pods of {name} were not counted"
    if pods > charged:
        return f"{name} has {pods} pods now, {charged} were charged; plan again"
    if workload.is_paused:
        return f"{name} is paused; resume its rollout first"
    if workload.restarts_by_hand:
        return f"{name} has the update strategy OnDelete: a restart would replace nothing; delete its pods"
    return ""
