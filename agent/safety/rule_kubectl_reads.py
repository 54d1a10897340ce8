"""kubectl: what it shows. None of it changes anything, whatever the cluster answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.domain.access import ClusterRight
from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.kubectl_output import shows_values
from agent.safety.pricing import Desk, by_table, namespaces_of
from agent.safety.rule_kubectl_rights import described, expanded, logs_of, looked_at, waited_for, with_history
from agent.safety.rule_kubectl_things import WORKLOADS, Thing, target_of, things_of, told, understood
from agent.safety.tables import Resource

_METRICS = "metrics.k8s.io"


def kubectl_read(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """get, describe, wait, rollout status and history: looks at resources that the tables know."""
    things = things_of(invocation.arguments, desk)
    if isinstance(things, Refusal):
        return told(invocation, things)
    if not things:
        return Refusal(f"{invocation.name} without a resource", "name one, such as pods")
    if refusal := _unreadable(invocation, things):
        return told(invocation, refusal)
    secrets = Findings(secrets=tuple(str(thing) for thing in things if thing.resource.secret))
    only_cluster = all(thing.resource.cluster for thing in things)
    namespace = "" if only_cluster else namespaces_of(invocation, found)[0]
    whole = understood(
        invocation,
        (_read(things, namespace),),
        found + secrets,
        namespace=namespace,
        cluster=_asked(invocation, things, namespace),
    )
    return replace(whole, namespaces=_looked_into(whole)) if only_cluster else whole


def _looked_into(whole: Analysis) -> tuple[str, ...]:
    """A node is described with every namespace's pods, a namespace with its quotas."""
    found = {right.namespace for right in whole.access.cluster if right.namespace}
    return ("*",) if "*" in found else tuple(sorted(found))


def _unreadable(invocation: Invocation, things: Sequence[Thing]) -> Refusal | None:
    if "rollout" in invocation.path:
        for thing in things:
            if thing.resource.name not in WORKLOADS:
                return Refusal(
                    f"{thing.resource.name} have no rollout", f"only {', '.join(sorted(WORKLOADS))}"
                )
    return shows_values(invocation, frozenset(thing.resource.name for thing in things))


def _asked(invocation: Invocation, things: Sequence[Thing], namespace: str) -> Iterator[ClusterRight]:
    match invocation.command.name:
        case "describe":
            events = invocation.value("--show-events", "true") == "true"
            return described(things, namespace, events=events)
        case "history":
            return with_history(things, namespace)
        case "wait" if invocation.value("--for") == "create":
            return looked_at(things, namespace)
        case "wait" | "status":
            return _waited(things, namespace)
        case _:
            return looked_at(things, namespace)


def _waited(things: Sequence[Thing], namespace: str) -> Iterator[ClusterRight]:
    for thing in expanded(things):
        yield from waited_for(thing, namespace)


def _read(things: Sequence[Thing], namespace: str) -> Effect:
    names = ",".join(str(thing) for thing in things)
    return Effect(EffectClass.READ, f"{namespace}/{names}" if namespace else names)


def kubectl_logs(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """logs POD, TYPE/NAME or -l SELECTOR."""
    if bool(invocation.arguments) == invocation.has("-l"):
        return Refusal(
            f"{invocation.name} without a pod, or with two ways to say which", "name one pod or -l"
        )
    target = target_of(invocation.arguments[0], desk) if invocation.arguments else None
    if isinstance(target, Refusal):
        return told(invocation, target)
    namespace = namespaces_of(invocation, found)[0]
    name = str(target) if target else invocation.value("-l")
    place = f"{namespace}/{name}" if namespace else name
    effects = (Effect(EffectClass.READ, f"logs of {place}"),)
    return understood(invocation, effects, found, namespace=namespace, cluster=logs_of(target, namespace))


def kubectl_top(invocation: Invocation, found: Findings, _desk: Desk) -> Analysis | Refusal:
    """top pods and top nodes: the metrics server's numbers."""
    nodes = invocation.command.name == "nodes"
    name = invocation.arguments[0] if invocation.arguments else ""
    namespace = "" if nodes else namespaces_of(invocation, found)[0]
    metrics = Thing(Resource(invocation.command.name, cluster=nodes, group=_METRICS), name)
    asked = [metrics, Thing(Resource("nodes", cluster=True), name)] if nodes else [metrics]
    whole = by_table(invocation, found)
    if isinstance(whole, Refusal):
        return whole
    whole = understood(
        invocation, whole.effects, found, namespace=namespace, cluster=looked_at(asked, namespace)
    )
    return replace(whole, namespaces=()) if nodes else whole


def kubectl_ask(invocation: Invocation, found: Findings, _desk: Desk) -> Analysis | Refusal:
    """version, api-resources, cluster-info, config, auth: about the cluster and our own rights in it."""
    whole = by_table(invocation, found)
    if isinstance(whole, Refusal):
        return whole
    namespace = namespaces_of(invocation, found)[0]
    understanding = understood(
        invocation, whole.effects, found, namespace=namespace, cluster=_questions(invocation)
    )
    return understanding if "can-i" in invocation.path else replace(understanding, namespaces=())


def _questions(invocation: Invocation) -> tuple[ClusterRight, ...]:
    """Discovery needs no right; the reviews are created, and nothing is kept of them."""
    match invocation.command.name:
        case "cluster-info":
            return (ClusterRight("list", "services", namespace="kube-system"),)
        case "whoami":
            return (ClusterRight("create", "selfsubjectreviews", "authentication.k8s.io"),)
        case "can-i":
            reviews = "selfsubjectrulesreviews" if invocation.has("--list") else "selfsubjectaccessreviews"
            return (ClusterRight("create", reviews, "authorization.k8s.io"),)
        case _:
            return ()
