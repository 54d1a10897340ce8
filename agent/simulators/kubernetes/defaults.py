"""What the API server fills in and what it refuses when an object is written."""

from __future__ import annotations

import base64
import re

from agent.simulators.kubernetes.errors import ApiError, bad_request, invalid
from agent.simulators.kubernetes.objects import (
    DAEMON_SETS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
    Kind,
    Object,
    suffix,
)
from agent.simulators.kubernetes.selectors import matches_selector

SCALABLE = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
_WORKLOADS = (*SCALABLE, DAEMON_SETS)
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$")


def admit(kind: Kind, document: Object, namespace: str) -> Object:
    """The new object, complete and valid."""
    if document.get("kind", kind.kind) != kind.kind:
        raise bad_request(f"the object is a {document['kind']}, but the path is for {kind.kind}")
    metadata = dict(document.get("metadata") or {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + suffix()
    if metadata.get("namespace", namespace) != namespace:
        raise bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request: "
            f"{metadata['namespace']!r} is not {namespace!r}"
        )
    if kind.namespaced:
        metadata["namespace"] = namespace
    for ours in ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"):
        metadata.pop(ours, None)
    _check_name(kind, metadata.get("name", ""))
    new = complete(kind, {**document, "metadata": metadata})
    if kind.plural == PODS.plural:
        new["status"] = {"phase": "Pending"}
    elif kind in _WORKLOADS:
        new["status"] = {"replicas": 0} if kind in SCALABLE else {}
    return new


def _check_name(kind: Kind, name: str) -> None:
    if not name:
        raise invalid(kind, "", "metadata.name", "Required value: name or generateName is required")
    if not _NAME.match(name):
        raise invalid(
            kind, name, "metadata.name", f'Invalid value: "{name}": must be a lowercase RFC 1123 name'
        )


def complete(kind: Kind, document: Object) -> Object:
    """Fill in what may be left out, and check what must hold after every write."""
    if kind in _WORKLOADS:
        _complete_workload(kind, document)
        _check_workload(kind, document)
    if kind == SECRETS:
        _encode_secret(document)
    if kind in {NODES, PODS}:
        document["spec"] = document.get("spec") or {}
    if kind == SERVICES:
        document.setdefault("spec", {}).setdefault("clusterIP", "10.43.0.10")
        document["spec"].setdefault("type", "ClusterIP")
    if kind == NAMESPACES:
        document.setdefault("spec", {"finalizers": ["kubernetes"]})
        document.setdefault("status", {"phase": "Active"})
    return document


def _complete_workload(kind: Kind, document: Object) -> None:
    spec = document.setdefault("spec", {})
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    template.setdefault("spec", {}).setdefault("restartPolicy", "Always")
    if kind in SCALABLE:
        spec["replicas"] = 1 if spec.get("replicas") is None else spec["replicas"]
    if kind == DEPLOYMENTS:
        rolling = {"type": "RollingUpdate"}
        strategy = spec.setdefault("strategy", rolling)
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            limits = strategy.setdefault("rollingUpdate", {}) or {}
            limits.setdefault("maxSurge", "25%")
            limits.setdefault("maxUnavailable", "25%")
            strategy["rollingUpdate"] = limits
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
    elif kind in {STATEFUL_SETS, DAEMON_SETS}:
        spec.setdefault("updateStrategy", {"type": "RollingUpdate"})


def _check_workload(kind: Kind, document: Object) -> None:
    spec, name = document["spec"], document["metadata"]["name"]
    replicas = spec.get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request(f"json: cannot unmarshal {replicas!r} into the field spec.replicas of type int32")
    if replicas < 0:
        problem = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise invalid(kind, name, "spec.replicas", problem)
    labels = spec["template"]["metadata"].get("labels") or {}
    if not spec.get("selector"):
        raise invalid(kind, name, "spec.selector", "Required value")
    if not matches_selector(spec["selector"], labels):
        problem = f"Invalid value: {labels}: `selector` does not match template `labels`"
        raise invalid(kind, name, "spec.template.metadata.labels", problem)


def _encode_secret(document: Object) -> None:
    plain = document.pop("stringData", None) or {}
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
    document["data"] = {**(document.get("data") or {}), **encoded}
    document.setdefault("type", "Opaque")


def check_unchanged(kind: Kind, before: Object, after: Object) -> None:
    """What cannot be changed once it is there."""
    for key in ("name", "namespace"):
        if before["metadata"].get(key) != after.get("metadata", {}).get(key):
            raise bad_request(f"the {key} of the object does not match the {key} on the URL")
    fixed = before.get("spec", {}).get("selector") if kind in _WORKLOADS else None
    if fixed is not None and after.get("spec", {}).get("selector") != fixed:
        raise invalid(kind, before["metadata"]["name"], "spec.selector", "field is immutable")
    role = before.get("roleRef")
    if role is not None and after.get("roleRef") != role:
        raise invalid(kind, before["metadata"]["name"], "roleRef", "cannot change roleRef")


def check_version(document: Object) -> None:
    """A resourceVersion is a number here, as on every real server so far."""
    version = (document.get("metadata") or {}).get("resourceVersion") or "0"
    if not str(version).isdigit():
        raise ApiError(400, "BadRequest", f"Invalid value: {version!r}: invalid resource version")
