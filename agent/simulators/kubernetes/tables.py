"""What `kubectl get` prints: the server makes the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from agent.simulators.kubernetes.objects import (
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICES,
    STATEFUL_SETS,
    Kind,
    Object,
    is_ready,
    is_terminating,
    name_of,
)

Column = tuple[str, Callable[[Object], object]]

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def age(stamp: str) -> str:
    """A time as kubectl shows it: `5s`, `3m`, `2h`, `4d`."""
    then = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    seconds = int((datetime.now(UTC) - then).total_seconds())
    for size, letter in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"


def _status(key: str) -> Callable[[Object], object]:
    return lambda document: document.get("status", {}).get(key, 0)


def _spec(key: str) -> Callable[[Object], object]:
    return lambda document: document.get("spec", {}).get(key, 0)


def _pod_ready(pod: Object) -> str:
    containers = pod.get("status", {}).get("containerStatuses") or []
    wanted = len(pod.get("spec", {}).get("containers") or [])
    return f"{sum(each['ready'] for each in containers)}/{wanted}"


def _pod_status(pod: Object) -> str:
    return "Terminating" if is_terminating(pod) else str(pod.get("status", {}).get("phase", "Unknown"))


def _node_status(node: Object) -> str:
    word = "Ready" if is_ready(node) else "NotReady"
    return f"{word},SchedulingDisabled" if node["spec"].get("unschedulable") else word


def _ready_of_replicas(document: Object) -> str:
    return f"{_status('readyReplicas')(document)}/{_spec('replicas')(document)}"


def _ports(service: Object) -> str:
    ports = service.get("spec", {}).get("ports") or []
    return ",".join(f"{each['port']}/{each.get('protocol', 'TCP')}" for each in ports) or "<none>"


def _involved(event: Object) -> str:
    about = event["involvedObject"]
    return f"{about['kind'].lower()}/{about['name']}"


_NAME: Column = ("Name", name_of)
_AGE: Column = ("Age", lambda document: age(document["metadata"]["creationTimestamp"]))
_COLUMNS: dict[Kind, Sequence[Column]] = {
    PODS: (
        _NAME,
        ("Ready", _pod_ready),
        ("Status", _pod_status),
        ("Restarts", lambda _: "0"),
        _AGE,
        ("IP", lambda pod: pod.get("status", {}).get("podIP", "<none>")),
        ("Node", lambda pod: pod.get("spec", {}).get("nodeName", "<none>")),
        ("Nominated Node", lambda _: "<none>"),
        ("Readiness Gates", lambda _: "<none>"),
    ),
    DEPLOYMENTS: (
        _NAME,
        ("Ready", _ready_of_replicas),
        ("Up-to-date", _status("updatedReplicas")),
        ("Available", _status("availableReplicas")),
        _AGE,
    ),
    REPLICA_SETS: (
        _NAME,
        ("Desired", _spec("replicas")),
        ("Current", _status("replicas")),
        ("Ready", _status("readyReplicas")),
        _AGE,
    ),
    STATEFUL_SETS: (_NAME, ("Ready", _ready_of_replicas), _AGE),
    DAEMON_SETS: (
        _NAME,
        ("Desired", _status("desiredNumberScheduled")),
        ("Current", _status("currentNumberScheduled")),
        ("Ready", _status("numberReady")),
        ("Up-to-date", _status("updatedNumberScheduled")),
        ("Available", _status("numberAvailable")),
        _AGE,
    ),
    NODES: (
        _NAME,
        ("Status", _node_status),
        ("Roles", lambda _: "<none>"),
        _AGE,
        ("Version", lambda node: node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", "")),
    ),
    NAMESPACES: (_NAME, ("Status", lambda each: each.get("status", {}).get("phase", "")), _AGE),
    SERVICES: (
        _NAME,
        ("Type", _spec("type")),
        ("Cluster-IP", _spec("clusterIP")),
        ("External-IP", lambda _: "<none>"),
        ("Port(s)", _ports),
        _AGE,
    ),
    EVENTS: (
        ("Last Seen", lambda event: age(event["lastTimestamp"])),
        ("Type", lambda event: event["type"]),
        ("Reason", lambda event: event["reason"]),
        ("Object", _involved),
        ("Message", lambda event: event["message"]),
    ),
}
_NARROW = {PODS: 5}  # the further columns are for `-o wide`


def wants_table(accept: str) -> bool:
    """Whether the client asked for a table first."""
    return "as=Table" in accept.partition("application/json,")[0]


def table(
    kind: Kind, documents: Sequence[Object], *, version: str, include: str, header: bool = True
) -> Object:
    """The objects as a meta.k8s.io/v1 Table."""
    columns = _COLUMNS.get(kind, (_NAME, _AGE))
    narrow = _NARROW.get(kind, len(columns))
    definitions = [
        {
            "name": title,
            "type": "string",
            "format": "name" if title == "Name" else "",
            "description": "",
            "priority": int(index >= narrow),
        }
        for index, (title, _) in enumerate(columns)
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": definitions if header else None,
        "rows": [
            {"cells": [read(each) for _, read in columns], "object": _shown(kind, each, include)}
            for each in documents
        ],
    }


def _shown(kind: Kind, document: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return {**document, "kind": kind.kind, "apiVersion": kind.api_version}
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": document["metadata"],
    }
