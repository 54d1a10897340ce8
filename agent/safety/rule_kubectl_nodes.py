"""kubectl cordon, uncordon and drain: a node's readiness for pods, and the pods that leave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent.domain.access import ChangeForm, ClusterChange, ClusterRight
from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk
from agent.safety.rule_kubectl_things import POD, Thing, uncounted, understood
from agent.safety.tables import Resource

_NODE = Resource("nodes", cluster=True)


def kubectl_cordon(invocation: Invocation, found: Findings, _desk: Desk) -> Analysis | Refusal:
    """cordon and uncordon NODE…: one change of configuration each."""
    names = invocation.arguments
    if len(set(names)) < len(names):
        return Refusal(f"{invocation.name} names the same node twice", "name each one once")
    form = ChangeForm.CORDON if invocation.command.name == "cordon" else ChangeForm.UNCORDON
    whole = understood(
        invocation,
        (Effect(EffectClass.CONFIG_CHANGE, f"node/{name}") for name in names),
        found,
        namespace="",
        cluster=(_node(name, "get") for name in names),
        changes=(ClusterChange(_node(name, "patch"), form) for name in names),
    )
    return replace(whole, namespaces=())


def kubectl_drain(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """drain NODE --ignore-daemonsets: it is cordoned, and every pod of it is evicted once."""
    node = invocation.arguments[0]
    pods = desk.counter.node_pods(node) if desk.counter else None
    if pods is None:
        return uncounted(invocation, f"the pods that it would evict from {node}")
    by_namespace = _by_namespace(pods)
    effects = [Effect(EffectClass.CONFIG_CHANGE, f"node/{node}")]
    changes = [ClusterChange(_node(node, "patch"), ChangeForm.CORDON)]
    # kubectl looks for all pods of the node, and asks for the DaemonSet of each one that says it has one.
    reads = [
        _node(node, "get"),
        ClusterRight("list", "pods", namespace="*"),
        ClusterRight("get", "daemonsets", "apps", namespace="*"),
    ]
    for namespace, names in by_namespace.items():
        target = f"{namespace}/pods of node/{node}"
        effects.append(Effect(EffectClass.POD_RESTART, target, len(names), namespace))
        right = Thing(POD).right("create", namespace, subresource="eviction")
        changes.append(ClusterChange(right, ChangeForm.EVICT, at_most=len(names), names=names))
        reads.append(Thing(POD).right("get", namespace))
    whole = understood(invocation, effects, found, namespace="", cluster=reads, changes=changes)
    return replace(whole, namespaces=tuple(by_namespace))


def _by_namespace(pods: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for namespace, name in sorted(pods):
        found[namespace] = (*found.get(namespace, ()), name)
    return found


def _node(name: str, verb: str) -> ClusterRight:
    return Thing(_NODE, name).right(verb, "")
