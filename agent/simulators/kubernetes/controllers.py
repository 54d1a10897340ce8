"""The control loop: every controller in turn, until the cluster is as its objects say."""

from __future__ import annotations

from agent.simulators.kubernetes.deployments import Deployments, ReplicaSets
from agent.simulators.kubernetes.errors import ApiError
from agent.simulators.kubernetes.kubelet import Health, Kubelet
from agent.simulators.kubernetes.objects import (
    BUDGETS,
    ENDPOINTS,
    NAMESPACES,
    PODS,
    SERVICES,
    STORED,
    Object,
    is_ready,
    labels_of,
    name_of,
    namespace_of,
)
from agent.simulators.kubernetes.selectors import matches_selector
from agent.simulators.kubernetes.sets import DaemonSets, StatefulSets
from agent.simulators.kubernetes.state import KubernetesState

_ENOUGH = 2_000  # rounds; a cluster that has not settled by then never will


class Controllers:
    """Brings the cluster on. `instant`: pods start and end at once; else only when `tick` is called."""

    def __init__(self, state: KubernetesState, *, instant: bool) -> None:
        self._state, self.instant = state, instant
        self.kubelet = Kubelet(state)
        self._loops = (Deployments(state), ReplicaSets(state), StatefulSets(state), DaemonSets(state))

    def settle(self) -> None:
        """After a write: let every controller answer to it."""
        with self._state.changed:
            self._run_controllers()
            for _ in range(_ENOUGH):
                if not (self.instant and self.tick()):
                    return

    def tick(self) -> bool:
        """One step of every pod's life and the controllers' answer; says whether anything happened."""
        with self._state.changed:
            before = self._state.version
            self.kubelet.tick()
            self._run_controllers()
            return self._state.version != before

    def set_health(self, health: Health) -> None:
        """Make pods ready or not, now and when they are made anew."""
        with self._state.changed:
            self.kubelet.set_health(health)
            self.settle()

    def _run_controllers(self) -> None:
        for _ in range(_ENOUGH):
            before = self._state.version
            self._collect_garbage()
            for loop in self._loops:
                loop.reconcile()
            self._find_endpoints()
            self._weigh_budgets()
            if self._state.version == before:
                return

    def _collect_garbage(self) -> None:
        """What belongs to a namespace or an owner that is gone goes too."""
        namespaces = {name_of(each) for each in self._state.peek(NAMESPACES)}
        uids = {each["metadata"]["uid"] for kind in STORED for each in self._state.peek(kind)}
        for kind in (each for each in STORED if each.namespaced):
            for document in self._state.peek(kind):
                owners = document["metadata"].get("ownerReferences") or []
                orphaned = bool(owners) and all(each["uid"] not in uids for each in owners)
                if orphaned or namespace_of(document) not in namespaces:
                    self._state.remove(kind, namespace_of(document), name_of(document))

    def _find_endpoints(self) -> None:
        for service in self._state.peek(SERVICES):
            selector = {"matchLabels": service["spec"].get("selector") or {}}
            pods = self._state.peek(PODS, namespace_of(service))
            chosen = [pod for pod in pods if matches_selector(selector, labels_of(pod)) and is_ready(pod)]
            self._write_endpoints(service, chosen if selector["matchLabels"] else [])

    def _write_endpoints(self, service: Object, pods: list[Object]) -> None:
        addresses = [{"ip": pod["status"]["podIP"]} for pod in pods]
        ports = [{"port": each["port"]} for each in service["spec"].get("ports") or []]
        subsets = [{"addresses": addresses, "ports": ports}] if addresses else []
        old = self._state.find(ENDPOINTS, namespace_of(service), name_of(service))
        if old is None:
            metadata = {"name": name_of(service), "namespace": namespace_of(service)}
            self._state.create(ENDPOINTS, {"metadata": metadata, "subsets": subsets})
        else:
            self._state.update(ENDPOINTS, {**old, "subsets": subsets})

    def _weigh_budgets(self) -> None:
        for budget in self._state.objects(BUDGETS):
            allowed, healthy, needed, total = disruptions(self._state, budget)
            budget["status"] = {
                "observedGeneration": budget["metadata"]["generation"],
                "currentHealthy": healthy,
                "desiredHealthy": needed,
                "disruptionsAllowed": allowed,
                "expectedPods": total,
            }
            self._state.update(BUDGETS, budget)


def disruptions(state: KubernetesState, budget: Object) -> tuple[int, int, int, int]:
    """What a PodDisruptionBudget allows now: disruptions, healthy pods, needed pods, all pods."""
    pods = [
        pod
        for pod in state.peek(PODS, namespace_of(budget))
        if matches_selector(budget["spec"].get("selector"), labels_of(pod))
    ]
    healthy = sum(is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in pods)
    spec = budget["spec"]
    if "minAvailable" in spec:
        needed = _share(spec["minAvailable"], len(pods))
    else:
        needed = len(pods) - _share(spec.get("maxUnavailable", 0), len(pods))
    return max(0, healthy - needed), healthy, needed, len(pods)


def _share(value: object, total: int) -> int:
    if isinstance(value, int):
        return value
    text = str(value)
    if not text.endswith("%"):
        raise ApiError(422, "Invalid", f"{text!r} is neither a number nor a percentage")
    return -(-int(text[:-1]) * total // 100)
