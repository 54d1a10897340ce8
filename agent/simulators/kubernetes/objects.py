"""What the simulated API server knows: its kinds, and the small facts about an object that all ask for.

A Kubernetes object is a JSON document and stays one here; these functions are the only place that
knows where in it labels, owners and readiness stand.
"""

from __future__ import annotations

import copy
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import uuid4

Object: TypeAlias = dict[str, Any]  # one JSON document of the API, or a part of one
Json: TypeAlias = Any  # any JSON value, as it came

# Without vowels and look-alikes, as apimachinery's SafeEncodeString has it.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of a resource with a path of its own, e.g. pods/exec."""

    name: str
    kind: str
    group: str
    version: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type, as discovery tells it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    in_all: bool = False

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, as it stands in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _status(group: str, kind: str) -> Subresource:
    return Subresource("status", kind, group, "v1", ("get", "patch", "update"))


_SCALE = Subresource("scale", "Scale", "autoscaling", "v1", ("get", "patch", "update"))
_STREAM = ("create", "get")


def _apps(plural: str, kind: str, short: str, *, scale: bool = True) -> Kind:
    parts = (*((_SCALE,) if scale else ()), _status("apps", kind))
    return Kind("apps", "v1", plural, kind, short=(short,), subresources=parts, in_all=True)


NAMESPACES = Kind(
    "", "v1", "namespaces", "Namespace", False, ("ns",), subresources=(_status("", "Namespace"),)
)
NODES = Kind("", "v1", "nodes", "Node", False, ("no",), subresources=(_status("", "Node"),))
PODS = Kind(
    "",
    "v1",
    "pods",
    "Pod",
    short=("po",),
    in_all=True,
    subresources=(
        Subresource("attach", "PodAttachOptions", "", "v1", _STREAM),
        Subresource("eviction", "Eviction", "policy", "v1", ("create",)),
        Subresource("exec", "PodExecOptions", "", "v1", _STREAM),
        Subresource("log", "Pod", "", "v1", ("get",)),
        Subresource("portforward", "PodPortForwardOptions", "", "v1", _STREAM),
        _status("", "Pod"),
    ),
)
SERVICES = Kind("", "v1", "services", "Service", short=("svc",), in_all=True)
ENDPOINTS = Kind("", "v1", "endpoints", "Endpoints", short=("ep",))
EVENTS = Kind("", "v1", "events", "Event", short=("ev",))
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap", short=("cm",))
SECRETS = Kind("", "v1", "secrets", "Secret")
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount", short=("sa",))
DEPLOYMENTS = _apps("deployments", "Deployment", "deploy")
REPLICA_SETS = _apps("replicasets", "ReplicaSet", "rs")
STATEFUL_SETS = _apps("statefulsets", "StatefulSet", "sts")
DAEMON_SETS = _apps("daemonsets", "DaemonSet", "ds", scale=False)
REVISIONS = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
JOBS = Kind("batch", "v1", "jobs", "Job", in_all=True)
CRON_JOBS = Kind("batch", "v1", "cronjobs", "CronJob", short=("cj",), in_all=True)
BUDGETS = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short=("pdb",))
ENDPOINT_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
_RBAC = "rbac.authorization.k8s.io"
ROLES = Kind(_RBAC, "v1", "roles", "Role")
ROLE_BINDINGS = Kind(_RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLES = Kind(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Kind(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
_AUTHZ = "authorization.k8s.io"


def _review(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Kind:
    return Kind(group, "v1", plural, kind, namespaced, verbs=("create",))


REVIEWS = (
    _review(_AUTHZ, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review(_AUTHZ, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _review(_AUTHZ, "subjectaccessreviews", "SubjectAccessReview"),
    _review(_AUTHZ, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
    _review("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
)
STORED = (
    *(NAMESPACES, NODES, PODS, SERVICES, ENDPOINTS, EVENTS, CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS),
    *(DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, REVISIONS, JOBS, CRON_JOBS, BUDGETS),
    *(ENDPOINT_SLICES, ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS),
)
KINDS = (*STORED, *REVIEWS)


def find_kind(group: str, version: str, plural: str) -> Kind | None:
    """The type behind a path, if the server has it."""
    wanted = (group, version, plural)
    return next((each for each in KINDS if (each.group, each.version, each.plural) == wanted), None)


def timestamp() -> str:
    """Now, as metadata has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid() -> str:
    """A new object's identity."""
    return str(uuid4())


def suffix(length: int = 5) -> str:
    """The random end of a generated name."""
    return "".join(secrets.choice(_SAFE) for _ in range(length))


def fingerprint(document: Object) -> str:
    """A pod template's hash, in the letters of a name.

    Empty values do not count: kubectl's typed clients write `resources: {}` where nothing was.
    """
    digest = hashlib.sha256(json.dumps(_without_empty(document), sort_keys=True).encode()).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:10])


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        inner = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each not in (None, {}, [], "")}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def clone(document: Object) -> Object:
    """A copy that may be changed."""
    return copy.deepcopy(document)


def name_of(document: Object) -> str:
    """`metadata.name`."""
    return str(document["metadata"]["name"])


def namespace_of(document: Object) -> str:
    """`metadata.namespace`, empty for what has none."""
    return str(document["metadata"].get("namespace", ""))


def labels_of(document: Object) -> dict[str, str]:
    """`metadata.labels`."""
    return dict(document["metadata"].get("labels") or {})


def owned_by(document: Object, owner: Object) -> bool:
    """Whether `owner` made it."""
    references = document["metadata"].get("ownerReferences") or []
    return any(each["uid"] == owner["metadata"]["uid"] for each in references)


def owner_reference(owner: Object) -> Object:
    """What a controller writes into what it makes."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_ready(pod: Object) -> bool:
    """Whether the Ready condition is True."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_terminating(document: Object) -> bool:
    """Whether its deletion has begun."""
    return "deletionTimestamp" in document["metadata"]
