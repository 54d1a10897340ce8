"""Who asks, and may they: bearer tokens, impersonation, and RBAC as its objects in the cluster say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.simulators.kubernetes.errors import ApiError
from agent.simulators.kubernetes.objects import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Object,
    name_of,
    namespace_of,
)
from agent.simulators.kubernetes.state import KubernetesState

ADMINS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody known to the server."""

    name: str
    groups: tuple[str, ...] = ()


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
ADMIN = User("admin", (ADMINS, AUTHENTICATED))


def service_account(namespace: str, name: str) -> User:
    """The user that a ServiceAccount's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


@dataclass(frozen=True, slots=True)
class Attributes:
    """One request as authorization sees it. `path` is set for what is no resource, and then nothing else."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def whole_resource(self) -> str:
        """`pods/exec`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Granted:
    """One rule that a binding gives to somebody, with the words of why."""

    rule: Object
    reason: str


def forbidden(user: User, asked: Attributes) -> ApiError:
    """The denial, word for word as the real server has it."""
    if asked.path:
        message = f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"'
        return ApiError(403, "Forbidden", message, details={})
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    subject = f'{qualified} "{asked.name}"' if asked.name else qualified
    message = (
        f'{subject} is forbidden: User "{user.name}" cannot {asked.verb} resource "{asked.whole_resource}" '
        f'in API group "{asked.group}" {where}'
    )
    pairs = (("name", asked.name), ("group", asked.group), ("kind", asked.resource))
    details = {key: value for key, value in pairs if value}
    return ApiError(403, "Forbidden", message, details=details)


class Authorizer:
    """Reads roles and bindings anew for every question, so that what was just applied counts."""

    def __init__(self, state: KubernetesState) -> None:
        self._state = state

    def check(self, user: User, asked: Attributes) -> None:
        """Raises the denial when it is not allowed."""
        if self.why(user, asked) is None:
            raise forbidden(user, asked)

    def why(self, user: User, asked: Attributes) -> str | None:
        """Why it is allowed; None when it is not."""
        if ADMINS in user.groups:
            return ""
        allows = _allows_path if asked.path else _allows_resource
        granted = self.granted(user, asked.namespace)
        return next((each.reason for each in granted if allows(each.rule, asked)), None)

    def granted(self, user: User, namespace: str) -> Iterator[Granted]:
        """Every rule that counts for the user in the namespace (only cluster-wide ones for an empty name)."""
        for binding in self._state.peek(CLUSTER_ROLE_BINDINGS):
            yield from self._through(binding, user)
        if namespace:
            for binding in self._state.peek(ROLE_BINDINGS, namespace):
                yield from self._through(binding, user)

    def _through(self, binding: Object, user: User) -> Iterator[Granted]:
        subjects = binding.get("subjects") or []
        subject = next((each for each in subjects if _is(each, user, namespace_of(binding))), None)
        role = self._role(binding)
        if subject is None or role is None:
            return
        reference = binding["roleRef"]
        where = f"{name_of(binding)}/{namespace_of(binding)}".rstrip("/")
        reason = (
            f'RBAC: allowed by {binding["kind"]} "{where}" of '
            f'{reference["kind"]} "{reference["name"]}" to {_shown(subject)}'
        )
        for rule in role.get("rules") or []:
            yield Granted(rule, reason)

    def _role(self, binding: Object) -> Object | None:
        reference = binding["roleRef"]
        if reference["kind"] == "ClusterRole":
            return self._state.find(CLUSTER_ROLES, "", reference["name"])
        return self._state.find(ROLES, namespace_of(binding), reference["name"])


def _shown(subject: Object) -> str:
    if subject["kind"] == "ServiceAccount":
        return f'ServiceAccount "{subject["name"]}/{subject.get("namespace", "")}"'
    return f'{subject["kind"]} "{subject["name"]}"'


def _is(subject: Object, user: User, namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            return service_account(subject.get("namespace") or namespace, subject["name"]).name == user.name
    return False


def _allows_resource(rule: Object, asked: Attributes) -> bool:
    resources = rule.get("resources") or []
    wanted = {"*", asked.whole_resource} | ({f"*/{asked.subresource}"} if asked.subresource else set())
    names = rule.get("resourceNames") or []
    return (
        bool({"*", asked.verb} & set(rule.get("verbs") or []))
        and bool({"*", asked.group} & set(rule.get("apiGroups") or []))
        and bool(wanted & set(resources))
        and (not names or asked.name in names)
    )


def _allows_path(rule: Object, asked: Attributes) -> bool:
    verbs = {"*", asked.verb} & set(rule.get("verbs") or [])
    return bool(verbs) and any(_covers(each, asked.path) for each in rule.get("nonResourceURLs") or [])


def _covers(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == path


def _cluster_role(name: str, *rules: Object) -> Object:
    return {"metadata": {"name": name}, "rules": list(rules)}


def _to_group(name: str, role: str, *groups: str) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": each} for each in groups],
    }


_READ_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]
_PUBLIC_PATHS = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_SELF_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]


def install_defaults(state: KubernetesState) -> None:
    """The roles that every real cluster has for looking around and for asking about oneself."""
    everything: Object = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    any_path: Object = {"nonResourceURLs": ["*"], "verbs": ["*"]}
    review: Object = {"apiGroups": ["authorization.k8s.io"], "resources": _SELF_REVIEWS, "verbs": ["create"]}
    whoami: Object = {
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["selfsubjectreviews"],
        "verbs": ["create"],
    }
    paths: Object = {"nonResourceURLs": [*_READ_PATHS, *_PUBLIC_PATHS], "verbs": ["get"]}
    public: Object = {"nonResourceURLs": _PUBLIC_PATHS, "verbs": ["get"]}
    state.create(CLUSTER_ROLES, _cluster_role("cluster-admin", everything, any_path))
    state.create(CLUSTER_ROLES, _cluster_role("system:basic-user", review, whoami))
    state.create(CLUSTER_ROLES, _cluster_role("system:discovery", paths))
    state.create(CLUSTER_ROLES, _cluster_role("system:public-info-viewer", public))
    for binding in (
        _to_group("cluster-admin", "cluster-admin", ADMINS),
        _to_group("system:basic-user", "system:basic-user", AUTHENTICATED),
        _to_group("system:discovery", "system:discovery", AUTHENTICATED),
        _to_group("system:public-info-viewer", "system:public-info-viewer", AUTHENTICATED, UNAUTHENTICATED),
    ):
        state.create(CLUSTER_ROLE_BINDINGS, binding)
