"""What kubectl asks of the API server for a reading command (measured with kubectl 1.32).

A list or watch that a field selector narrows to one `metadata.name` counts as one of that name for the API
server's authorizer: https://github.com/kubernetes/kubernetes/blob/v1.32.0/staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agent.domain.access import ClusterRight
from agent.safety.rule_kubectl_things import DEFAULT_NAMESPACE, POD, Thing
from agent.safety.tables import Resource

#: The category `all` of a cluster without custom resources that joined it.
_ALL = tuple(
    Thing(Resource(name, group=group))
    for group, names in {
        "": ("pods", "services", "replicationcontrollers"),
        "apps": ("deployments", "statefulsets", "daemonsets", "replicasets"),
        "batch": ("jobs", "cronjobs"),
        "autoscaling": ("horizontalpodautoscalers",),
    }.items()
    for name in names
)
_REPLICA_SETS = Thing(Resource("replicasets", group="apps"))
_REVISIONS = Thing(Resource("controllerrevisions", group="apps"))
_SLICES = Thing(Resource("endpointslices", group="discovery.k8s.io"))
_EVENTS = Thing(Resource("events"))
#: What `describe` lists beside the resource itself. It also lists the secrets of a service account and goes
#: on when it may not: that is not granted.
_DESCRIBED_WITH: Mapping[str, tuple[Thing, ...]] = {
    "deployments": (_REPLICA_SETS,),
    "replicasets": (Thing(POD),),
    "statefulsets": (Thing(POD),),
    "daemonsets": (Thing(POD),),
    "persistentvolumeclaims": (Thing(POD),),
    "services": (_SLICES,),
    "ingresses": (_SLICES,),
}
_WITHOUT_EVENTS = frozenset(
    {"networkpolicies", "roles", "rolebindings", "clusterroles", "clusterrolebindings"}
    | {"limitranges", "resourcequotas", "namespaces", "secrets", "configmaps"}
)


def expanded(things: Sequence[Thing]) -> tuple[Thing, ...]:
    """`all` written out."""
    return tuple(each for thing in things for each in (_ALL if thing.resource.name == "all" else (thing,)))


def looked_at(things: Sequence[Thing], namespace: str) -> Iterator[ClusterRight]:
    """A named thing is got, the others are listed."""
    for thing in expanded(things):
        yield thing.right("get" if thing.name else "list", namespace)


def waited_for(thing: Thing, namespace: str) -> Iterator[ClusterRight]:
    """kubectl gets a thing, then lists and watches it by its name."""
    for verb in ("get", "list", "watch"):
        yield thing.right(verb, namespace)


def with_history(things: Sequence[Thing], namespace: str) -> Iterator[ClusterRight]:
    """A workload and its earlier revisions."""
    for thing in things:
        if not thing.name:
            yield thing.right("list", namespace)
        yield thing.right("get", namespace)
        earlier = _REPLICA_SETS if thing.resource.name == "deployments" else _REVISIONS
        yield earlier.right("list", namespace)


def described(things: Sequence[Thing], namespace: str, *, events: bool) -> Iterator[ClusterRight]:
    """A thing, what belongs to it, and its events."""
    for thing in expanded(things):
        if not thing.name:
            yield thing.right("list", namespace)
        yield thing.right("get", namespace)
        yield from _described_with(thing, namespace)
        if events and thing.resource.name not in _WITHOUT_EVENTS:
            yield _EVENTS.right("list", "*" if thing.resource.cluster else namespace)


def _described_with(thing: Thing, namespace: str) -> Iterator[ClusterRight]:
    for other in _DESCRIBED_WITH.get(thing.resource.name, ()):
        yield other.right("list", namespace)
    match thing.resource.name:
        case "ingresses":
            yield ClusterRight("get", "services", namespace=namespace or DEFAULT_NAMESPACE)
        case "namespaces":
            for name in ("resourcequotas", "limitranges"):
                yield ClusterRight("list", name, namespace=thing.name or "*")
        case "nodes":
            yield ClusterRight("list", "pods", namespace="*")
            lease = Thing(Resource("leases", group="coordination.k8s.io"), thing.name)
            yield lease.right("get", "kube-node-lease")


def pods_of(target: Thing, namespace: str) -> Iterator[ClusterRight]:
    """How kubectl finds the pod that a workload's name stands for."""
    yield target.right("get", namespace)
    if target.resource.name != POD.name:
        yield Thing(POD).right("list", namespace)


def logs_of(target: Thing | None, namespace: str) -> Iterator[ClusterRight]:
    """The pod or the workload's pods (None: those of a selector), and their logs."""
    yield from pods_of(target, namespace) if target else (Thing(POD).right("list", namespace),)
    pod = target if target and target.resource.name == POD.name else Thing(POD)
    yield pod.right("get", namespace, subresource="log")
