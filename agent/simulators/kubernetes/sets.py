"""The StatefulSet and DaemonSet controllers, with the ControllerRevisions that `rollout undo` reads."""

from __future__ import annotations

from agent.simulators.kubernetes.kubelet import begin_deletion, new_pod, owned, pods_of, with_label
from agent.simulators.kubernetes.objects import (
    DAEMON_SETS,
    NODES,
    PODS,
    REVISIONS,
    STATEFUL_SETS,
    Kind,
    Object,
    clone,
    fingerprint,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    owned_by,
    owner_reference,
    suffix,
)
from agent.simulators.kubernetes.state import KubernetesState

HASH = "controller-revision-hash"


def _revision(state: KubernetesState, owner: Object) -> str:
    """The hash of the present template; its ControllerRevision exists afterwards, as the newest."""
    digest = fingerprint(owner["spec"]["template"])
    mine = state.objects(REVISIONS, namespace_of(owner), lambda each: owned_by(each, owner))
    newest = max((each["revision"] for each in mine), default=0)
    known = next((each for each in mine if labels_of(each).get(HASH) == digest), None)
    if known is None:
        state.create(REVISIONS, _controller_revision(owner, digest, newest + 1))
    elif known["revision"] < newest:
        state.update(REVISIONS, {**known, "revision": newest + 1})
    return digest


def _controller_revision(owner: Object, digest: str, number: int) -> Object:
    template = {**clone(owner["spec"]["template"]), "$patch": "replace"}
    return {
        "metadata": {
            "name": f"{name_of(owner)}-{digest}",
            "namespace": namespace_of(owner),
            "labels": {**labels_of(owner["spec"]["template"]), HASH: digest},
            "ownerReferences": [owner_reference(owner)],
        },
        "data": {"spec": {"template": template}},
        "revision": number,
    }


def _is_of(pod: Object, digest: str) -> bool:
    return labels_of(pod).get(HASH) == digest


class StatefulSets:
    """Pods `name-0`, `name-1`, … are made upwards and replaced downwards, one at a time."""

    def __init__(self, state: KubernetesState) -> None:
        self._state = state

    def reconcile(self) -> None:
        """One pass."""
        for each in self._state.objects(STATEFUL_SETS):
            if not is_terminating(each):
                digest = _revision(self._state, each)
                self._step(each, digest)
                self._report(each, digest)

    def _step(self, stateful_set: Object, digest: str) -> None:
        every = owned(self._state, stateful_set)
        if any(is_terminating(pod) for pod in every):
            return
        if any(not is_ready(pod) for pod in every):
            self._replace_unready(every, digest)
            return
        wanted = stateful_set["spec"].get("replicas", 1)
        have = {_ordinal(pod): pod for pod in every}
        missing = next((number for number in range(wanted) if number not in have), None)
        if missing is not None:
            self._create(stateful_set, missing, digest)
        elif len(have) > wanted:
            begin_deletion(self._state, have[max(have)])
        else:
            self._replace_highest(stateful_set, have, digest)

    def _replace_unready(self, pods: list[Object], digest: str) -> None:
        for pod in pods:
            if not is_ready(pod) and not _is_of(pod, digest) and pod["status"].get("phase") == "Running":
                begin_deletion(self._state, pod)

    def _replace_highest(self, stateful_set: Object, have: dict[int, Object], digest: str) -> None:
        if (stateful_set["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        old = [number for number, pod in have.items() if not _is_of(pod, digest)]
        if old:
            begin_deletion(self._state, have[max(old)])

    def _create(self, stateful_set: Object, number: int, digest: str) -> None:
        name = f"{name_of(stateful_set)}-{number}"
        template = with_label(clone(stateful_set["spec"]["template"]), HASH, digest)
        template = with_label(template, "apps.kubernetes.io/pod-index", str(number))
        template = with_label(template, "statefulset.kubernetes.io/pod-name", name)
        owner = owner_reference(stateful_set)
        self._state.create(PODS, new_pod(namespace_of(stateful_set), template, name=name, owner=owner))

    def _report(self, stateful_set: Object, digest: str) -> None:
        pods = pods_of(self._state, stateful_set)
        updated = sum(_is_of(pod, digest) for pod in pods)
        ready = sum(map(is_ready, pods))
        done = updated == len(pods)
        revision = f"{name_of(stateful_set)}-{digest}"
        before = stateful_set.get("status", {}).get("currentRevision", revision)
        stateful_set["status"] = {
            "observedGeneration": stateful_set["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": updated,
            "currentReplicas": updated if done else len(pods) - updated,
            "updateRevision": revision,
            "currentRevision": revision if done else before,
            "collisionCount": 0,
        }
        self._state.update(STATEFUL_SETS, stateful_set)


def _ordinal(pod: Object) -> int:
    return int(name_of(pod).rpartition("-")[2])


class DaemonSets:
    """One pod on every node, replaced one node at a time."""

    def __init__(self, state: KubernetesState) -> None:
        self._state = state

    def reconcile(self) -> None:
        """One pass."""
        for each in self._state.objects(DAEMON_SETS):
            if not is_terminating(each):
                digest = _revision(self._state, each)
                self._place(each, digest)
                self._replace_one(each, digest)
                self._report(each, digest)

    def _place(self, daemon_set: Object, digest: str) -> None:
        taken = {pod["spec"].get("nodeName") for pod in owned(self._state, daemon_set)}
        for node in self._state.peek(NODES):
            if name_of(node) not in taken:
                self._create(daemon_set, name_of(node), digest)

    def _create(self, daemon_set: Object, node: str, digest: str) -> None:
        template = with_label(clone(daemon_set["spec"]["template"]), HASH, digest)
        name = f"{name_of(daemon_set)}-{suffix()}"
        pod = new_pod(namespace_of(daemon_set), template, name=name, owner=owner_reference(daemon_set))
        pod["spec"]["nodeName"] = node
        self._state.create(PODS, pod)

    def _replace_one(self, daemon_set: Object, digest: str) -> None:
        every = owned(self._state, daemon_set)
        old = [pod for pod in every if not _is_of(pod, digest) and not is_terminating(pod)]
        if old and all(is_ready(pod) and not is_terminating(pod) for pod in every):
            begin_deletion(self._state, old[0])

    def _report(self, daemon_set: Object, digest: str) -> None:
        pods = pods_of(self._state, daemon_set)
        nodes, ready = len(self._state.peek(NODES)), sum(map(is_ready, pods))
        daemon_set["status"] = {
            "observedGeneration": daemon_set["metadata"]["generation"],
            "currentNumberScheduled": len(pods),
            "desiredNumberScheduled": nodes,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": nodes - ready,
            "updatedNumberScheduled": sum(_is_of(pod, digest) for pod in pods),
        }
        self._state.update(DAEMON_SETS, daemon_set)


WORKLOADS: tuple[Kind, ...] = (STATEFUL_SETS, DAEMON_SETS)
