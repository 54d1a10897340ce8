"""The least Roles, as YAML that says which step needs which rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.domain.access import ClusterRight
from agent.safety.least_rights import LibraryRights, StepName, steps_in_words

_RBAC = "rbac.authorization.k8s.io"
#: A request for these has no name yet, so a rule with names would never grant it.
#: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
_NAMELESS = frozenset({"create", "deletecollection"})
_CLUSTER = ("", "*")

#: What one would look for first in a Role; shown as not granted where it is not.
_SHOWN = (
    ("read Secrets", ClusterRight("get", "secrets")),
    ("run commands in pods", ClusterRight("create", "pods", subresource="exec")),
    ("delete pods", ClusterRight("delete", "pods")),
    ("evict pods", ClusterRight("create", "pods", subresource="eviction")),
    ("change or restart deployments", ClusterRight("patch", "deployments", "apps")),
    ("scale deployments", ClusterRight("patch", "deployments", "apps", "scale")),
    ("delete deployments", ClusterRight("delete", "deployments", "apps")),
    ("change nodes", ClusterRight("patch", "nodes")),
    ("change Roles", ClusterRight("patch", "roles", _RBAC)),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The ServiceAccount that gets the rights; its name is also that of the Roles."""

    name: str = "oncall-agent"
    namespace: str = "oncall-agent"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a Role; no `names`: any."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...]
    steps: tuple[StepName, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """The rules of one namespace; "" is the whole cluster."""

    namespace: str
    rules: tuple[Rule, ...]


_Key = tuple[str, str, str, str]
_Grants = dict[_Key, dict[str, dict[StepName, None]]]


def roles(rights: LibraryRights) -> tuple[Role, ...]:
    """The least Role of each namespace, and the ClusterRole for what is in none or in all of them."""
    grants = _grants(rights)
    scopes = sorted({scope for scope, *_ in grants})
    return tuple(Role(scope, _rules(grants, scope)) for scope in scopes)


def _grants(rights: LibraryRights) -> _Grants:
    """Who needs which verb on what, by scope; what is granted for all namespaces is not granted again."""
    found: _Grants = {}
    for step in rights.steps:
        for right in step.cluster:
            scope = "" if right.namespace in _CLUSTER else right.namespace
            resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
            names = found.setdefault((scope, right.group, resource, right.verb), {})
            names.setdefault(_name(right), {})[step.step] = None
    for key in [each for each in found if each[0]]:
        everywhere = found.get(("", *key[1:]))
        if everywhere is not None and "" in everywhere:
            for steps in found.pop(key).values():
                everywhere[""] |= steps
    return found


def _name(right: ClusterRight) -> str:
    return "" if right.verb in _NAMELESS and not right.subresource else right.name


def _rules(grants: _Grants, scope: str) -> tuple[Rule, ...]:
    """Verbs on the same things, by the same names, for the same steps stand in one rule."""
    merged: dict[tuple[str, str, tuple[str, ...], tuple[StepName, ...]], list[str]] = {}
    for (where, group, resource, verb), names in sorted(grants.items()):
        if where == scope:
            steps = tuple(sorted({step for each in names.values() for step in each}))
            wanted = () if "" in names else tuple(sorted(names))
            merged.setdefault((group, resource, wanted, steps), []).append(verb)
    return tuple(
        Rule(group, resource, tuple(verbs), names, steps)
        for (group, resource, names, steps), verbs in sorted(merged.items())
    )


def as_yaml(rights: LibraryRights, identity: Identity) -> str:
    """The manifests, ready to apply."""
    found = roles(rights)
    documents = ["\n".join(_head(rights, found)), "\n".join(_service_account(identity))]
    for role in found:
        documents += ["\n".join(_role(role, identity)), "\n".join(_binding(role, identity))]
    return "\n---\n".join(documents[1:]).join((f"{documents[0]}\n", "\n"))


def _head(rights: LibraryRights, found: Sequence[Role]) -> Iterator[str]:
    yield "# Made by `oncall-agent rbac` from the runbooks; make it anew when they change, don't edit it."
    yield "# Kubernetes has no rule that denies: what is not listed is denied. Not listed, and so denied:"
    granted = {
        (rule.group, rule.resource, verb) for role in found for rule in role.rules for verb in rule.verbs
    }
    for words, right in _SHOWN:
        resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        if (right.group, resource, right.verb) not in granted:
            yield f"#   {words}: {right.verb} {resource}"
    for refused in rights.not_granted:
        yield f"# Nothing is granted for {refused.step}: {_one_line(refused.reason)}"


def _service_account(identity: Identity) -> Iterator[str]:
    yield "apiVersion: v1"
    yield "kind: ServiceAccount"
    yield from _metadata(identity.name, identity.namespace)


def _role(role: Role, identity: Identity) -> Iterator[str]:
    yield f"apiVersion: {_RBAC}/v1"
    yield f"kind: {_kind(role)}"
    yield from _metadata(identity.name, role.namespace)
    yield "rules:"
    for rule in role.rules:
        yield f"  # {steps_in_words(rule.steps)}"
        yield f"  - apiGroups: [{_quoted(rule.group)}]"
        yield f"    resources: [{rule.resource}]"
        if rule.names:
            yield f"    resourceNames: [{', '.join(map(_quoted, rule.names))}]"
        yield f"    verbs: [{', '.join(rule.verbs)}]"


def _binding(role: Role, identity: Identity) -> Iterator[str]:
    yield f"apiVersion: {_RBAC}/v1"
    yield f"kind: {_kind(role)}Binding"
    yield from _metadata(identity.name, role.namespace)
    yield "roleRef:"
    yield f"  apiGroup: {_RBAC}"
    yield f"  kind: {_kind(role)}"
    yield f"  name: {identity.name}"
    yield "subjects:"
    yield "  - kind: ServiceAccount"
    yield f"    name: {identity.name}"
    yield f"    namespace: {identity.namespace}"


def _kind(role: Role) -> str:
    return "Role" if role.namespace else "ClusterRole"


def _metadata(name: str, namespace: str) -> Iterator[str]:
    yield "metadata:"
    yield f"  name: {name}"
    if namespace:
        yield f"  namespace: {namespace}"


def _quoted(word: str) -> str:
    """Names are checked words; a number or a `null` among them must stay a text."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    return " ".join(text.split())
