"""What of an action was priced, and the single requests that change something in the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes import client as vendor

from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.live_job import Job
from agent.domain.access import ChangeForm, ClusterChange, ClusterRight
from agent.ports import CommandResult


def of_form(job: Job, form: ChangeForm) -> Iterator[ClusterChange]:
    """The action's priced changes of a form."""
    return (change for change in job.command.access.changes if change.form is form)


def priced(job: Job, form: ChangeForm, resource: str, name: str) -> ClusterChange | None:
    """The priced change of this object, if there is one."""
    namespace = job.text("namespace", "")
    for change in of_form(job, form):
        right = change.right
        if (right.resource, right.namespace, right.name) == (resource, namespace, name):
            return change
    return None


def priced_pods(job: Job, form: ChangeForm, namespace: str) -> set[str]:
    """Names of the pods in a namespace whose deletion or eviction was priced."""
    found = [change for change in of_form(job, form) if change.right.namespace == namespace]
    return {name for change in found for name in (change.names or (change.right.name,)) if name}


def delete(api: KubernetesApi, job: Job, right: ClusterRight, *, uid: str, dry_run: bool) -> None:
    """Delete exactly the pod with this uid."""
    body = vendor.V1DeleteOptions(preconditions=vendor.V1Preconditions(uid=uid))
    if dry_run:
        api.call(right, body=body, dry_run="All")
        return
    answer = job.changing(lambda: api.call(right, body=body))
    job.changed.append({**told(right, answer), "uid": uid})


def evict(api: KubernetesApi, job: Job, right: ClusterRight, *, uid: str, dry_run: bool) -> None:
    """Evict exactly the pod with this uid; RATE_LIMITED if its disruption budget says no."""
    options = vendor.V1DeleteOptions(preconditions=vendor.V1Preconditions(uid=uid))
    about = vendor.V1ObjectMeta(name=right.name, namespace=right.namespace)
    body = vendor.V1Eviction(api_version="policy/v1", kind="Eviction", metadata=about, delete_options=options)
    if dry_run:
        api.call(right, body=body, dry_run="All")
        return
    job.changing(lambda: api.call(right, body=body))
    job.changed.append({**told(right, {}), "uid": uid})


def set_schedulable(api: KubernetesApi, job: Job, *, cordon: bool) -> CommandResult | None:
    """Keep new pods off the node, or let them on again; not None if the job had to end before."""
    right = ClusterRight("patch", "nodes", name=job.text("node"))
    body = {"spec": {"unschedulable": True if cordon else None}}
    api.call(right, body=body, dry_run="All")
    if (ended := job.ended()) is not None:
        return ended
    answer = job.changing(lambda: api.call(right, body=body))
    job.changed.append({**told(right, answer), "unschedulable": cordon})
    return None


def told(right: ClusterRight, answer: Mapping[str, Any]) -> dict[str, object]:
    """What was changed, for people and for `Capture`."""
    metadata = answer.get("metadata", {})
    facts = {
        "resource": f"{right.resource}/{right.subresource}" if right.subresource else right.resource,
        "namespace": right.namespace,
        "name": right.name,
        "resource_version": metadata.get("resourceVersion", ""),
        "generation": metadata.get("generation", ""),
    }
    return {key: value for key, value in facts.items() if value}
