"""The Deployment and ReplicaSet controllers: a new template makes a new ReplicaSet and replaces the pods.

Both do one pass over the cluster when asked; the simulator calls them until nothing changes any more.
"""

from __future__ import annotations

import math

from agent.simulators.kubernetes.events import record_event
from agent.simulators.kubernetes.kubelet import (
    begin_deletion,
    new_pod,
    owned,
    pods_of,
    sorted_for_removal,
    with_label,
)
from agent.simulators.kubernetes.objects import (
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
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
    timestamp,
)
from agent.simulators.kubernetes.state import KubernetesState

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"


def _number(value: object, replicas: int, *, up: bool) -> int:
    """maxSurge and maxUnavailable: a count, or a percentage of the replicas."""
    if isinstance(value, str) and value.endswith("%"):
        share = int(value[:-1]) * replicas / 100
        return math.ceil(share) if up else math.floor(share)
    return int(str(value))


class ReplicaSets:
    """Keeps as many pods as each ReplicaSet wants."""

    def __init__(self, state: KubernetesState) -> None:
        self._state = state

    def reconcile(self) -> None:
        """One pass."""
        for each in self._state.objects(REPLICA_SETS):
            if not is_terminating(each):
                self._count(each)
                self._report(each)

    def _count(self, replica_set: Object) -> None:
        pods = pods_of(self._state, replica_set)
        missing = replica_set["spec"].get("replicas", 1) - len(pods)
        for _ in range(missing):
            self._create(replica_set)
        for pod in sorted_for_removal(pods)[: max(0, -missing)]:
            record_event(self._state, replica_set, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
            begin_deletion(self._state, pod)

    def _create(self, replica_set: Object) -> None:
        name = f"{name_of(replica_set)}-{suffix()}"
        template = replica_set["spec"]["template"]
        namespace = namespace_of(replica_set)
        pod = new_pod(namespace, template, name=name, owner=owner_reference(replica_set))
        self._state.create(PODS, pod)
        record_event(self._state, replica_set, "SuccessfulCreate", f"Created pod: {name}")

    def _report(self, replica_set: Object) -> None:
        pods = pods_of(self._state, replica_set)
        ready = sum(map(is_ready, pods))
        replica_set["status"] = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": replica_set["metadata"]["generation"],
        }
        self._state.update(REPLICA_SETS, replica_set)


class Deployments:
    """Moves each Deployment from its old ReplicaSets to the new one, within maxSurge and maxUnavailable."""

    def __init__(self, state: KubernetesState) -> None:
        self._state = state

    def reconcile(self) -> None:
        """One pass."""
        for each in self._state.objects(DEPLOYMENTS):
            if not is_terminating(each):
                self._roll(each)

    def replica_sets(self, deployment: Object) -> list[Object]:
        """Its ReplicaSets, oldest first."""
        mine = self._state.objects(
            REPLICA_SETS, namespace_of(deployment), lambda each: owned_by(each, deployment)
        )
        return sorted(mine, key=lambda each: int(each["metadata"]["annotations"][REVISION]))

    def _roll(self, deployment: Object) -> None:
        known = self.replica_sets(deployment)
        current = self._current(deployment, known)
        if current is None and not deployment["spec"].get("paused"):
            current = self._create(deployment, known)
        if current is not None:
            known = self.replica_sets(deployment)
            old = [each for each in known if name_of(each) != name_of(current)]
            self._mark_revision(deployment, current, old)
            self._move(deployment, self._again(current), old)
            self._forget(deployment, old)
        self._report(deployment, current)

    def _again(self, replica_set: Object) -> Object:
        return self._state.get(REPLICA_SETS, namespace_of(replica_set), name_of(replica_set))

    def _current(self, deployment: Object, known: list[Object]) -> Object | None:
        wanted = fingerprint(deployment["spec"]["template"])
        return next((each for each in known if labels_of(each).get(HASH) == wanted), None)

    def _create(self, deployment: Object, known: list[Object]) -> Object:
        spec = deployment["spec"]
        digest = fingerprint(spec["template"])
        template = with_label(clone(spec["template"]), HASH, digest)
        selector = clone(spec["selector"])
        selector.setdefault("matchLabels", {})[HASH] = digest
        revision = self._next_revision(known)
        carried = {REVISION: str(revision), **_change_cause(deployment)}
        return self._state.create(
            REPLICA_SETS,
            {
                "metadata": {
                    "name": f"{name_of(deployment)}-{digest}",
                    "namespace": namespace_of(deployment),
                    "labels": dict(template["metadata"]["labels"]),
                    "annotations": carried,
                    "ownerReferences": [owner_reference(deployment)],
                },
                "spec": {"replicas": 0, "selector": selector, "template": template},
                "status": {"replicas": 0},
            },
        )

    def _next_revision(self, known: list[Object]) -> int:
        return 1 + max((int(each["metadata"]["annotations"][REVISION]) for each in known), default=0)

    def _mark_revision(self, deployment: Object, current: Object, old: list[Object]) -> None:
        """A rollback makes an old ReplicaSet the newest revision again."""
        newest = self._next_revision(old) - 1
        if int(current["metadata"]["annotations"][REVISION]) < newest:
            current["metadata"]["annotations"][REVISION] = str(newest + 1)
            self._state.update(REPLICA_SETS, current)
        revision = current["metadata"]["annotations"][REVISION]
        annotations = deployment["metadata"].get("annotations") or {}
        deployment["metadata"]["annotations"] = {**annotations, REVISION: revision}

    def _move(self, deployment: Object, current: Object, old: list[Object]) -> None:
        strategy = deployment["spec"].get("strategy") or {}
        if strategy.get("type") == "Recreate":
            self._recreate(deployment, current, old)
            return
        replicas = deployment["spec"].get("replicas", 1)
        rolling = strategy.get("rollingUpdate") or {}
        surge = _number(rolling.get("maxSurge", "25%"), replicas, up=True)
        spare = _number(rolling.get("maxUnavailable", "25%"), replicas, up=False)
        spare = spare or (0 if surge else 1)
        self._grow(deployment, current, replicas + surge - sum(map(_wanted, old)))
        self._shrink(deployment, current, old, needed=replicas - spare)

    def _recreate(self, deployment: Object, current: Object, old: list[Object]) -> None:
        for each in old:
            self._scale(deployment, each, 0)
        if not any(owned(self._state, each) for each in old):
            self._scale(deployment, current, deployment["spec"].get("replicas", 1))

    def _grow(self, deployment: Object, current: Object, room: int) -> None:
        self._scale(deployment, current, max(0, min(deployment["spec"].get("replicas", 1), room)))

    def _shrink(self, deployment: Object, current: Object, old: list[Object], *, needed: int) -> None:
        """Old pods go: those that are not ready first, then as many as the new ones make up for."""
        waiting = _wanted(current) - self._ready(current)
        room = sum(map(_wanted, [current, *old])) - needed - waiting
        for each in old:
            taken = max(0, min(room, _wanted(each) - self._ready(each)))
            self._scale(deployment, each, _wanted(each) - taken)
            room -= taken
        surplus = min(room, sum(self._ready(each) for each in [current, *old]) - needed)
        for each in old:
            taken = max(0, min(_wanted(each), surplus))
            self._scale(deployment, each, _wanted(each) - taken)
            surplus -= taken

    def _ready(self, replica_set: Object) -> int:
        return sum(map(is_ready, pods_of(self._state, replica_set)))

    def _scale(self, deployment: Object, replica_set: Object, replicas: int) -> None:
        was = _wanted(replica_set)
        if was == replicas:
            return
        replica_set["spec"]["replicas"] = replicas
        replica_set.update(self._state.update(REPLICA_SETS, replica_set))
        way = "up" if replicas > was else "down"
        message = f"Scaled {way} replica set {name_of(replica_set)} from {was} to {replicas}"
        record_event(self._state, deployment, "ScalingReplicaSet", message)

    def _forget(self, deployment: Object, old: list[Object]) -> None:
        """Empty old ReplicaSets are kept for `rollout undo`, as many as the history's limit."""
        empty = [each for each in old if not _wanted(each) and not owned(self._state, each)]
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        for each in empty[: max(0, len(empty) - limit)]:
            self._state.remove(REPLICA_SETS, namespace_of(each), name_of(each))

    def _report(self, deployment: Object, current: Object | None) -> None:
        fresh = self._state.get(DEPLOYMENTS, namespace_of(deployment), name_of(deployment))
        fresh["metadata"].setdefault("annotations", {}).update(
            deployment["metadata"].get("annotations") or {}
        )
        counts = {name_of(each): pods_of(self._state, each) for each in self.replica_sets(deployment)}
        every = [pod for pods in counts.values() for pod in pods]
        updated = len(counts.get(name_of(current), [])) if current is not None else 0
        ready = sum(map(is_ready, every))
        fresh["status"] = _deployment_status(fresh, total=len(every), updated=updated, ready=ready)
        self._state.update(DEPLOYMENTS, fresh)


def _wanted(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _change_cause(deployment: Object) -> dict[str, str]:
    key = "kubernetes.io/change-cause"
    annotations = deployment["metadata"].get("annotations") or {}
    return {key: annotations[key]} if key in annotations else {}


def _deployment_status(deployment: Object, *, total: int, updated: int, ready: int) -> Object:
    wanted = deployment["spec"].get("replicas", 1)
    spare = _number(
        ((deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable", 0),
        wanted,
        up=False,
    )
    done = updated == wanted == total == ready
    available, word = ready >= wanted - spare, "has" if ready >= wanted - spare else "does not have"
    counts = {
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, wanted - ready),
    }
    progress = "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"
    message = f"Deployment {word} minimum availability."
    conditions = [
        _condition(
            deployment,
            "Available",
            "True" if available else "False",
            "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
            message,
        ),
        _condition(deployment, "Progressing", "True", progress, f"Deployment is {progress}."),
    ]
    kept = {key: value for key, value in counts.items() if value}
    return {"observedGeneration": deployment["metadata"]["generation"], **kept, "conditions": conditions}


def _condition(deployment: Object, kind: str, status: str, reason: str, message: str) -> Object:
    """The condition, with its old times when it says the same as before."""
    for old in deployment.get("status", {}).get("conditions") or []:
        if (old["type"], old["status"], old["reason"]) == (kind, status, reason):
            return dict(old)
    now = timestamp()
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }
