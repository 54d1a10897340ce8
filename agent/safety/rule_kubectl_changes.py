"""kubectl: what it restarts, deletes and scales, counted in the live world."""

from __future__ import annotations

from collections.abc import Iterator

import re2

from agent.domain.access import ChangeForm, ClusterChange, ClusterRight
from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk
from agent.safety.rule_kubectl_rights import waited_for, with_history
from agent.safety.rule_kubectl_things import (
    POD,
    WORKLOADS,
    Thing,
    changed_namespace,
    changed_things,
    named,
    things_of,
    told,
    uncounted,
    understood,
)

MOST_REPLICAS = 1_000
_SCALED = frozenset({"deployments", "statefulsets", "replicasets"})
_SELECTS = re2.compile(r"[^A-Za-z0-9]*[A-Za-z0-9].*")


def kubectl_restart(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """rollout restart and undo: one rollout each, and every pod of the workload is replaced."""
    changed = changed_things(invocation, found, desk, allowed=WORKLOADS)
    if isinstance(changed, Refusal):
        return changed
    namespace, things = changed
    undo = invocation.command.name == "undo"
    form = ChangeForm.UNDO if undo else ChangeForm.RESTART
    effects: list[Effect] = []
    changes: list[ClusterChange] = []
    for thing in things:
        pods = desk.counter.workload_pods(namespace, thing.kind, thing.name) if desk.counter else None
        target = f"{namespace}/{thing}"
        if pods is None:
            return uncounted(invocation, f"the pods of {target} that it would restart")
        effects.append(Effect(EffectClass.ROLLOUT, target))
        effects.append(Effect(EffectClass.POD_RESTART, target, pods))
        changes.append(ClusterChange(thing.right("patch", namespace), form, pods=pods))
    reads = with_history(things, namespace) if undo else (each.right("get", namespace) for each in things)
    return understood(invocation, effects, found, namespace=namespace, cluster=reads, changes=changes)


def kubectl_delete(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """delete pod NAME…, or of what a selector finds now: pod restarts; anything else is deleted for good."""
    things = things_of(invocation.arguments, desk)
    if isinstance(things, Refusal):
        return told(invocation, things)
    if refusal := _undeletable(invocation, things):
        return refusal
    if invocation.has("-l") or invocation.has("--field-selector"):
        return _delete_selected(invocation, found, desk, things)
    changed = named(invocation, found, things)
    if isinstance(changed, Refusal):
        return changed
    namespace, things = changed
    pods = [thing for thing in things if thing.resource.name == POD.name]
    others = [thing for thing in things if thing.resource.name != POD.name]
    effects = (
        Effect(effect_class, f"{namespace}/" + ",".join(map(str, group)), len(group))
        for effect_class, group in ((EffectClass.POD_RESTART, pods), (EffectClass.DELETE, others))
        if group
    )
    changes = (ClusterChange(thing.right("delete", namespace), ChangeForm.DELETE) for thing in things)
    reads = (right for thing in things for right in _waits(invocation, thing, namespace))
    return understood(invocation, effects, found, namespace=namespace, cluster=reads, changes=changes)


def _undeletable(invocation: Invocation, things: tuple[Thing, ...]) -> Refusal | None:
    """Pods come back by themselves; the other resources of a namespace need an allowance; the rest stays."""
    for thing in things:
        resource = thing.resource
        if resource.secret or resource.cluster or resource.name == "all":
            return Refusal(f"{invocation.name} of {resource.name} is not available", "escalate to a human")
    return None


def _delete_selected(
    invocation: Invocation, found: Findings, desk: Desk, things: tuple[Thing, ...]
) -> Analysis | Refusal:
    """kubectl sends one deletion for each pod that it finds, so their number must be known before."""
    if [(thing.resource.name, thing.name) for thing in things] != [(POD.name, "")]:
        return Refusal(f"{invocation.name} by a selector is for pods alone", "write: delete pods -l SELECTOR")
    labels, fields = invocation.value("-l"), invocation.value("--field-selector")
    if not all(_SELECTS.fullmatch(each) for each in (labels, fields) if each):
        return Refusal(f"{invocation.name}: a selector that selects everything", "say which pods, as app=api")
    namespace = changed_namespace(invocation, found)
    if isinstance(namespace, Refusal):
        return namespace
    says = " and ".join(each for each in (labels, fields) if each)
    names = desk.counter.selected_pods(namespace, labels, fields) if desk.counter else None
    if names is None:
        return uncounted(invocation, f"the pods in {namespace} that {says} selects")
    if not names:
        return Refusal(f"{invocation.name}: {says} selects no pod in {namespace}", "correct the selector")
    effect = Effect(EffectClass.POD_RESTART, f"{namespace}/pods with {says}", len(names))
    right = Thing(POD).right("delete", namespace)
    change = ClusterChange(right, ChangeForm.DELETE, at_most=len(names), names=names)
    reads = (Thing(POD).right("list", namespace), *_waits(invocation, Thing(POD), namespace))
    return understood(invocation, (effect,), found, namespace=namespace, cluster=reads, changes=(change,))


def _waits(invocation: Invocation, thing: Thing, namespace: str) -> Iterator[ClusterRight]:
    """Unless told otherwise, kubectl waits until the thing is gone."""
    if invocation.value("--wait", "true") == "true":
        yield from waited_for(thing, namespace)


def kubectl_scale(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """scale --replicas=N: counts as what changes from now, at least 1; 0 would stop it.

    With --current-replicas=M kubectl itself does nothing unless there are M.
    """
    changed = changed_things(invocation, found, desk, allowed=_SCALED)
    if isinstance(changed, Refusal):
        return changed
    namespace, things = changed
    replicas = int(invocation.value("--replicas"))
    if refusal := _out_of_scale(invocation, replicas):
        return refusal
    effects: list[Effect] = []
    changes: list[ClusterChange] = []
    reads: list[ClusterRight] = []
    for thing in things:
        present = _replicas_now(invocation, desk, namespace, thing)
        if present is None:
            reason = f"how many replicas of {namespace}/{thing} it would add or remove"
            refusal = uncounted(invocation, reason)
            return Refusal(refusal.reason, f"{refusal.hint}, or with --current-replicas=N anywhere")
        count = max(1, abs(replicas - present))
        effects.append(Effect(EffectClass.SCALE, f"{namespace}/{thing}", count))
        changes.append(_scaled(invocation, thing, namespace, replicas=replicas, present=present))
        reads.extend(_reads_for_scale(invocation, thing, namespace))
    return understood(invocation, effects, found, namespace=namespace, cluster=reads, changes=changes)


def _out_of_scale(invocation: Invocation, replicas: int) -> Refusal | None:
    if replicas == 0:
        return Refusal(f"{invocation.name}: to 0 replicas would stop it", "scale to 1 or more")
    if replicas > MOST_REPLICAS:
        return Refusal(
            f"{invocation.name}: {replicas} replicas are more than {MOST_REPLICAS}", "scale to fewer"
        )
    return None


def _replicas_now(invocation: Invocation, desk: Desk, namespace: str, thing: Thing) -> int | None:
    if invocation.has("--current-replicas"):
        return int(invocation.value("--current-replicas"))
    return desk.counter.workload_replicas(namespace, thing.kind, thing.name) if desk.counter else None


def _scaled(
    invocation: Invocation, thing: Thing, namespace: str, *, replicas: int, present: int
) -> ClusterChange:
    """kubectl patches the scale; with a condition on what is there it gets and puts it."""
    verb = "update" if invocation.has("--current-replicas") else "patch"
    right = thing.right(verb, namespace, subresource="scale")
    return ClusterChange(right, ChangeForm.SCALE, replicas=replicas, from_replicas=present)


def _reads_for_scale(invocation: Invocation, thing: Thing, namespace: str) -> Iterator[ClusterRight]:
    yield thing.right("get", namespace)
    if invocation.has("--current-replicas") or invocation.has("--timeout"):
        yield thing.right("get", namespace, subresource="scale")
