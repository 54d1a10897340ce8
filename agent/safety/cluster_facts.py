"""What must be true in the cluster at the moment of a change; a workload that has grown since is not changed.

`look` gives the decoded object at a path of the API, asked with the agent's own credentials, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import assert_never
from urllib.parse import urlencode

from agent.domain.access import ChangeForm, ClusterChange
from agent.domain.command import Refusal
from agent.safety.cluster_bodies import at, decoded, number, replaced_annotations, replaced_template
from agent.safety.cluster_requests import ClusterRequest

Look = Callable[[str], object | None]

_HASH = "pod-template-hash"
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_WITH_REPLICA_SETS = "deployments"


def holds(change: ClusterChange, request: ClusterRequest, body: bytes, look: Look) -> Refusal | None:
    """None if the change touches what it was charged for and no more, as the cluster is now."""
    match change.form:
        case ChangeForm.RESTART:
            return _counted(change, request, look)
        case ChangeForm.UNDO:
            return _counted(change, request, look) or _went_back(request, body, look)
        case ChangeForm.SCALE:
            return _scaled(change, request, look)
        case ChangeForm.EXEC:
            return _inside(change, request, look)
        case ChangeForm.EVICT:
            return _on_node(change, request, look)
        case ChangeForm.DELETE | ChangeForm.CORDON | ChangeForm.UNCORDON:
            return None
        case _ as never:
            assert_never(never)


def pods_of(workload: object) -> int | None:
    """How many pods a Deployment, StatefulSet or DaemonSet has or wants, whichever is more."""
    wanted = number(at(workload, "status", "desiredNumberScheduled"))
    if wanted is not None:
        return max(wanted, number(at(workload, "status", "currentNumberScheduled")) or 0)
    if not isinstance(at(workload, "spec"), Mapping):
        return None
    replicas = at(workload, "spec", "replicas")
    stated = 1 if replicas is None else number(replicas)
    return None if stated is None else max(stated, number(at(workload, "status", "replicas")) or 0)


def _counted(change: ClusterChange, request: ClusterRequest, look: Look) -> Refusal | None:
    what = f"{request.resource.removesuffix('s')} {request.name}"
    if change.pods is None:
        return Refusal(f"the attempt was charged for no pods of the {what}", "count them in the plan")
    pods = pods_of(found) if (found := look(request.path)) is not None else None
    if pods is None:
        return _cannot_look(what)
    if pods > change.pods:
        reason = f"the {what} has {pods} pods now, the attempt was charged for {change.pods}"
        return Refusal(reason, "a new plan counts them anew")
    return None


def _cannot_look(what: str) -> Refusal:
    hint = "the agent's own credentials must be able to get it, and it must exist"
    return Refusal(f"cannot look at the {what} right before it is changed", hint)


def _scaled(change: ClusterChange, request: ClusterRequest, look: Look) -> Refusal | None:
    if change.from_replicas is None and change.pods is None:
        return None
    what = f"{request.resource.removesuffix('s')} {request.name}"
    # The workload, not its scale: kubectl needs the right to get it anyway, and both have one version.
    replicas = number(at(look(request.object_path), "spec", "replicas"))
    if replicas is None:
        return _cannot_look(what)
    if change.from_replicas is not None and replicas != change.from_replicas:
        reason = (
            f"the {what} has {replicas} replicas now, the attempt was charged from {change.from_replicas}"
        )
        return Refusal(reason, "a new plan counts them anew")
    moved = abs(replicas - (change.replicas or 0))
    if change.pods is not None and moved > change.pods:
        reason = f"scaling the {what} touches {moved} pods, the attempt was charged for {change.pods}"
        return Refusal(reason, "a new plan counts them anew")
    return None


def _on_node(change: ClusterChange, request: ClusterRequest, look: Look) -> Refusal | None:
    if change.right.resource != "nodes":
        return None
    pod = look(request.object_path)
    if pod is None:
        return _cannot_look(f"pod {request.name}")
    if at(pod, "spec", "nodeName") == change.right.name:
        return None
    return Refusal(f"the pod {request.name} is not on the node {change.right.name}", "a new plan counts anew")


def _pod(change: ClusterChange, request: ClusterRequest, look: Look) -> object | None:
    """The pod, asked for as kubectl must be able to ask: for a workload's it only lists pods."""
    if change.right.resource == "pods":
        return look(request.object_path)
    folder = request.object_path.removesuffix(f"/{request.name}")
    found = look(f"{folder}?{urlencode({'fieldSelector': f'metadata.name={request.name}'})}")
    items = at(found, "items")
    return items[0] if isinstance(items, list) and len(items) == 1 else None


def _inside(change: ClusterChange, request: ClusterRequest, look: Look) -> Refusal | None:
    pod = _pod(change, request, look)
    if at(pod, "metadata", "name") != request.name:
        return _cannot_look(f"pod {request.name}")
    container = request.value("container")
    if container and not change.container and container != _default_container(pod):
        hint = "name the container in the step"
        return Refusal(f"{container} is not the default container of the pod {request.name}", hint)
    if change.right.resource == "pods" or change.names:
        return None
    right = change.right
    prefix = f"/apis/{right.group}/v1" if right.group else "/api/v1"
    workload = look(f"{prefix}/namespaces/{request.namespace}/{right.resource}/{right.name}")
    if workload is not None and _owns(right.resource, workload, pod):
        return None
    owner = f"{right.resource.removesuffix('s')} {right.name}"
    return Refusal(f"the pod {request.name} is not one of the {owner}", "a pod of it is meant")


def _default_container(pod: object) -> object:
    named = at(pod, "metadata", "annotations", _DEFAULT_CONTAINER)
    containers = at(pod, "spec", "containers")
    first = containers[0] if isinstance(containers, list) and containers else None
    return named or at(first, "name")


def _owns(resource: str, workload: object, pod: object) -> bool:
    """Whether the pod is the workload's: by its controller, for a Service by its selector."""
    if resource == "services":
        selector = at(workload, "spec", "selector")
        return isinstance(selector, Mapping) and bool(selector) and _has_labels(pod, selector)
    name = at(workload, "metadata", "name")
    owners = [owner for owner in _owners(pod) if at(owner, "controller") is True]
    if resource != _WITH_REPLICA_SETS:
        return any(at(owner, "uid") == at(workload, "metadata", "uid") is not None for owner in owners)
    # A ReplicaSet of a Deployment is named after it and the hash that its pods carry as a label.
    labels = at(workload, "spec", "selector", "matchLabels")
    replica_set = f"{name}-{at(pod, 'metadata', 'labels', _HASH)}"
    named = any((at(o, "kind"), at(o, "name")) == ("ReplicaSet", replica_set) for o in owners)
    return named and isinstance(labels, Mapping) and _has_labels(pod, labels)


def _owners(thing: object) -> Iterator[object]:
    owners = at(thing, "metadata", "ownerReferences")
    yield from owners if isinstance(owners, list) else ()


def _has_labels(pod: object, labels: Mapping[str, object]) -> bool:
    return all(at(pod, "metadata", "labels", key) == value for key, value in labels.items())


def _went_back(request: ClusterRequest, body: bytes, look: Look) -> Refusal | None:
    """An undo may put in place only what the workload had before, as the cluster keeps it."""
    patch = decoded(body)
    workload = look(request.path)
    template = replaced_template(request, patch)
    history = tuple(_history(request, workload, look))
    now = at(workload, "metadata", "annotations")
    for past_template, noted in history:
        allowed = (*_pairs(now), *_pairs(noted))
        known = all(pair in allowed for pair in _pairs(replaced_annotations(patch)))
        if known and template is not None and _as_kept(template) == _as_kept(past_template):
            return None
    reason = f"the undo of {request.name} would set a pod template that it did not have before"
    return Refusal(reason, f"kubectl rollout undo sends one of the {len(history)} earlier ones")


def _history(request: ClusterRequest, workload: object, look: Look) -> Iterator[tuple[object, object]]:
    """(template, annotations) of the revisions that the cluster keeps of a workload."""
    labels = at(workload, "spec", "selector", "matchLabels")
    if not isinstance(labels, Mapping):
        return
    with_sets = request.resource == _WITH_REPLICA_SETS
    kind = "replicasets" if with_sets else "controllerrevisions"
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    query = urlencode({"labelSelector": selector})
    kept = at(look(f"/apis/apps/v1/namespaces/{request.namespace}/{kind}?{query}"), "items")
    uid = at(workload, "metadata", "uid")
    for each in kept if isinstance(kept, list) else ():
        if uid is None or not any(at(owner, "uid") == uid for owner in _owners(each)):
            continue
        where = ("spec", "template") if with_sets else ("data", "spec", "template")
        yield at(each, *where), at(each, "metadata", "annotations")


def _pairs(value: object) -> Iterator[tuple[object, object]]:
    yield from value.items() if isinstance(value, Mapping) else ()


def _as_kept(template: object) -> object:
    """A template without the ReplicaSet's own label and the word that makes a patch replace it whole."""
    plain = _plain(template)
    if not isinstance(plain, dict):
        return plain
    plain.pop("$patch", None)
    if isinstance(labels := at(plain, "metadata", "labels"), dict):
        labels.pop(_HASH, None)
    return plain


def _plain(value: object) -> object:
    """Without what only an encoder adds: nulls (a creationTimestamp) and an empty `resources`."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    kept = {name: _plain(each) for name, each in value.items() if each is not None}
    return {name: each for name, each in kept.items() if (name, each) != ("resources", {})}
