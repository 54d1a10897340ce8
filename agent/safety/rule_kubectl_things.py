"""What a kubectl command names: resources, which ones of them, and the namespace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import re2

from agent.domain.access import ClusterChange, ClusterRight, Network
from agent.domain.command import Refusal
from agent.domain.effects import Effect
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation, nearest
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, analysis, namespaces_of
from agent.safety.tables import Resource

_NAME = re2.compile(r"[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")
#: What kubectl uses when neither the command nor the kubeconfig names a namespace; ours names none.
DEFAULT_NAMESPACE = "default"
WORKLOADS = frozenset({"deployments", "statefulsets", "daemonsets"})
POD = Resource("pods")
_RUNS_COMMANDS = WORKLOADS | {"pods", "replicasets", "jobs", "services"}


@dataclass(frozen=True, slots=True)
class Thing:
    """A resource, and which one of it; without a name it is all of them."""

    resource: Resource
    name: str = ""

    @property
    def kind(self) -> str:
        """The singular, as in `deployment/api`."""
        plural = self.resource.name
        if plural.endswith("ies"):
            return f"{plural[:-3]}y"
        return plural[:-2] if plural.endswith(("sses", "uses")) else plural.removesuffix("s")

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.resource.name

    def right(self, verb: str, namespace: str, *, subresource: str = "") -> ClusterRight:
        """The right to do something with it; in a namespace unless the resource stands outside of them."""
        where = "" if self.resource.cluster else namespace or DEFAULT_NAMESPACE
        return ClusterRight(verb, self.resource.name, self.resource.group, subresource, where, self.name)


def things_of(words: Sequence[str], desk: Desk) -> tuple[Thing, ...] | Refusal:
    """`TYPE/NAME…`, or `TYPE[,TYPE…] NAME…`, as kubectl reads them."""
    if not words:
        return ()
    if any("/" in word for word in words):
        pairs = [word.partition("/")[::2] for word in words]
    else:
        names = words[1:] or [""]
        pairs = [(kind, name) for kind in words[0].split(",") for name in names]
    things: list[Thing] = []
    for kind, name in pairs:
        resource = _resource(kind, desk)
        if resource is None:
            hint = nearest(kind, desk.tables.resources, noun="resource")
            return Refusal(f"the resource {kind!r} is not known", hint)
        if name and not _NAME.fullmatch(name):
            return Refusal(f"{name!r} is not a resource's name", "use a-z, 0-9, - and .")
        things.append(Thing(resource, name))
    return tuple(things)


def _resource(kind: str, desk: Desk) -> Resource | None:
    """By any of its names; `events.events.k8s.io` names its API group itself."""
    found = desk.tables.resources.get(kind)
    _, dot, group = kind.partition(".")
    return replace(found, group=group) if found and dot else found


def target_of(word: str, desk: Desk) -> Thing | Refusal:
    """The pod, or the workload whose pod, is meant by `NAME` or `TYPE/NAME`."""
    if "/" not in word:
        return Thing(POD, word) if _NAME.fullmatch(word) else Refusal(f"{word!r} is not a pod's name")
    things = things_of([word], desk)
    if isinstance(things, Refusal):
        return things
    if things[0].resource.name not in _RUNS_COMMANDS or not things[0].name:
        return Refusal(f"nothing runs inside {things[0]}", "name a pod or a workload")
    return things[0]


def changed_things(
    invocation: Invocation, found: Findings, desk: Desk, *, allowed: frozenset[str]
) -> tuple[str, tuple[Thing, ...]] | Refusal:
    """The namespace and the named things that a changing command is about, each of them once."""
    things = things_of(invocation.arguments, desk)
    if isinstance(things, Refusal):
        return told(invocation, things)
    for thing in things:
        if thing.resource.name not in allowed:
            hint = f"only {', '.join(sorted(allowed))}"
            return Refusal(f"{invocation.name} of {thing.resource.name} is not available", hint)
    return named(invocation, found, things)


def named(
    invocation: Invocation, found: Findings, things: tuple[Thing, ...]
) -> tuple[str, tuple[Thing, ...]] | Refusal:
    """The namespace and the things, if every one of them is named, and once."""
    if not things or not all(thing.name for thing in things):
        reason = f"{invocation.name} without names: cannot count what it would change"
        return Refusal(reason, "name each one, such as deploy/api")
    if len(set(things)) < len(things):
        return Refusal(f"{invocation.name} names the same one twice", "name each one once")
    namespace = changed_namespace(invocation, found)
    return namespace if isinstance(namespace, Refusal) else (namespace, things)


def changed_namespace(invocation: Invocation, found: Findings) -> str | Refusal:
    """The one namespace of a changing command."""
    namespace = namespaces_of(invocation, found)[0]
    if namespace not in ("", "*"):
        return namespace
    reason = f"{invocation.name} names no namespace, so it is not known what it would change"
    return Refusal(reason, "add -n NAMESPACE")


def told(invocation: Invocation, refusal: Refusal) -> Refusal:
    """A refusal that names the command."""
    return Refusal(f"{invocation.name}: {refusal.reason}", refusal.hint)


def uncounted(invocation: Invocation, what: str) -> Refusal:
    """The live world did not say how many it would be."""
    hint = "it can be run where the agent reaches the cluster"
    return Refusal(f"{invocation.name}: cannot count {what}", hint)


def understood(
    invocation: Invocation,
    effects: Iterable[Effect],
    found: Findings,
    *,
    namespace: str,
    cluster: Iterable[ClusterRight] = (),
    changes: Iterable[ClusterChange] = (),
) -> Analysis:
    """The analysis of a kubectl command: it reaches the cluster alone, and there only what is said here."""
    whole = analysis(invocation, tuple(effects), found)
    rights = tuple(dict.fromkeys(cluster))
    access = replace(whole.access, network=Network.CLUSTER, cluster=rights, changes=tuple(changes))
    placed = tuple(replace(each, namespace=each.namespace or namespace) for each in whole.effects)
    return replace(whole, effects=placed, access=access)
