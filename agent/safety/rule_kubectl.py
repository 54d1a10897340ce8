"""kubectl: what it reads, restarts, deletes and scales, and what runs inside a pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import re2

from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety import addresses
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation, PipedInput, nearest
from agent.safety.kinds import Findings
from agent.safety.kubectl_output import shows_values
from agent.safety.pricing import Desk, analysis, namespaces_of
from agent.safety.tables import Resource

_NAME = re2.compile(r"[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")
_RESTARTED = frozenset({"deployments", "statefulsets", "daemonsets"})
_SCALED = frozenset({"deployments", "statefulsets", "replicasets"})
_RUNS_COMMANDS = _RESTARTED | {"pods", "replicasets", "jobs", "services"}


@dataclass(frozen=True, slots=True)
class Thing:
    """A resource, and which one of it; without a name it is all of them."""

    resource: Resource
    name: str = ""

    @property
    def kind(self) -> str:
        """The singular, as in `deployment/api`."""
        return self.resource.name.removesuffix("s")

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.name else self.resource.name


def kubectl_read(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """get, describe, wait, rollout status: looks at resources that the tables know."""
    things = _things(invocation.arguments, desk)
    if isinstance(things, Refusal):
        return _told(invocation, things)
    if not things:
        return Refusal(f"{invocation.name} without a resource", "name one, such as pods")
    if refusal := shows_values(invocation, frozenset(thing.resource.name for thing in things)):
        return _told(invocation, refusal)
    secrets = tuple(str(thing) for thing in things if thing.resource.secret)
    if all(thing.resource.cluster for thing in things):
        whole = analysis(invocation, (_read(things, ""),), found + Findings(secrets=secrets))
        return replace(whole, namespaces=())
    where = namespaces_of(invocation, found)[0]
    return analysis(invocation, (_read(things, where),), found + Findings(secrets=secrets))


def _read(things: Sequence[Thing], namespace: str) -> Effect:
    names = ",".join(str(thing) for thing in things)
    return Effect(EffectClass.READ, f"{namespace}/{names}" if namespace else names)


def kubectl_restart(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """rollout restart and undo: one rollout each, and every pod of the workload is replaced."""
    changed = _changed(invocation, found, desk, allowed=_RESTARTED)
    if isinstance(changed, Refusal):
        return changed
    namespace, things = changed
    effects: list[Effect] = []
    for thing in things:
        pods = desk.counter.workload_pods(namespace, thing.kind, thing.name) if desk.counter else None
        target = f"{namespace}/{thing}"
        if pods is None:
            reason = f"{invocation.name}: cannot count the pods of {target} that it would restart"
            hint = "it can be run where the agent reaches the cluster; `delete pod NAME` has a known count"
            return Refusal(reason, hint)
        effects.append(Effect(EffectClass.ROLLOUT, target))
        effects.append(Effect(EffectClass.POD_RESTART, target, pods))
    return analysis(invocation, tuple(effects), found)


def kubectl_delete(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """delete pod NAME…: each one is a pod restart; nothing else can be deleted."""
    changed = _changed(invocation, found, desk, allowed=frozenset({"pods"}))
    if isinstance(changed, Refusal):
        return changed
    namespace, things = changed
    target = f"{namespace}/" + ",".join(str(thing) for thing in things)
    return analysis(invocation, (Effect(EffectClass.POD_RESTART, target, len(things)),), found)


def kubectl_scale(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """scale --replicas=N --current-replicas=M: counts as what changes, at least 1; 0 would stop it."""
    changed = _changed(invocation, found, desk, allowed=_SCALED)
    if isinstance(changed, Refusal):
        return changed
    namespace, things = changed
    replicas = int(invocation.value("--replicas"))
    if replicas == 0:
        return Refusal(f"{invocation.name}: to 0 replicas would stop it", "scale to 1 or more")
    if not invocation.has("--current-replicas"):
        reason = f"{invocation.name}: cannot count how many replicas it would add or remove"
        return Refusal(reason, "add --current-replicas=N; kubectl then does nothing if there are not N")
    count = max(1, abs(replicas - int(invocation.value("--current-replicas"))))
    effects = tuple(Effect(EffectClass.SCALE, f"{namespace}/{thing}", count) for thing in things)
    return analysis(invocation, effects, found)


def kubectl_exec(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """exec TARGET -- COMMAND: judged as the command itself, with the workload in front of its targets."""
    if not invocation.passed_on:
        hint = "write kubectl exec -n NAMESPACE TARGET -- COMMAND"
        return Refusal(f"{invocation.name} without `--` and a command", hint)
    target = _exec_target(invocation.arguments[0], desk)
    if isinstance(target, Refusal):
        return _told(invocation, target)
    inner = desk.analyse_inside(invocation.passed_on, invocation.filled_in_passed_on())
    if isinstance(inner, Refusal):
        return Refusal(f"in {target}: {inner.reason}", inner.hint)
    namespace = namespaces_of(invocation, found)[0]
    changes = any(effect.effect_class is not EffectClass.READ for effect in inner.effects)
    if changes and not namespace:
        return _no_namespace(invocation)
    place = f"{namespace}/{target}" if namespace else target
    effects = tuple(replace(effect, target=f"{place}: {effect.target}") for effect in inner.effects)
    hosts = tuple(host for host in inner.hosts if not _is_loopback(host))
    whole = analysis(invocation, effects, found)
    return replace(whole, hosts=hosts, piped_input=PipedInput.NONE)


def _is_loopback(host: str) -> bool:
    found = addresses.address(host)
    return not isinstance(found, Refusal) and found.is_loopback


def _exec_target(word: str, desk: Desk) -> str | Refusal:
    if "/" not in word:
        return f"pod/{word}" if _NAME.fullmatch(word) else Refusal(f"{word!r} is not a pod's name")
    things = _things([word], desk)
    if isinstance(things, Refusal):
        return things
    if things[0].resource.name not in _RUNS_COMMANDS:
        return Refusal(f"nothing runs inside {things[0]}", "name a pod or a workload")
    return str(things[0])


def kubectl_logs(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """logs POD, TYPE/NAME or -l SELECTOR."""
    if not invocation.arguments and not invocation.has("-l"):
        return Refusal(f"{invocation.name} without a pod", "name a pod, or a workload such as deploy/api")
    target = _exec_target(invocation.arguments[0], desk) if invocation.arguments else invocation.value("-l")
    if isinstance(target, Refusal):
        return _told(invocation, target)
    namespace = namespaces_of(invocation, found)[0]
    place = f"{namespace}/{target}" if namespace else target
    return analysis(invocation, (Effect(EffectClass.READ, f"logs of {place}"),), found)


def _changed(
    invocation: Invocation, found: Findings, desk: Desk, *, allowed: frozenset[str]
) -> tuple[str, tuple[Thing, ...]] | Refusal:
    """The namespace and the named things that a changing command is about."""
    things = _things(invocation.arguments, desk)
    if isinstance(things, Refusal):
        return _told(invocation, things)
    for thing in things:
        if thing.resource.name not in allowed:
            hint = f"only {', '.join(sorted(allowed))}"
            return Refusal(f"{invocation.name} of {thing.resource.name} is not available", hint)
    if not things or not all(thing.name for thing in things):
        reason = f"{invocation.name} without names: cannot count what it would change"
        return Refusal(reason, "name each one, such as deploy/api")
    namespace = namespaces_of(invocation, found)[0]
    if namespace in ("", "*"):
        return _no_namespace(invocation)
    return namespace, things


def _no_namespace(invocation: Invocation) -> Refusal:
    reason = f"{invocation.name} names no namespace, so it is not known what it would change"
    return Refusal(reason, "add -n NAMESPACE")


def _things(words: Sequence[str], desk: Desk) -> tuple[Thing, ...] | Refusal:
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
        resource = desk.tables.resources.get(kind)
        if resource is None:
            hint = nearest(kind, desk.tables.resources, noun="resource")
            return Refusal(f"the resource {kind!r} is not known", hint)
        if name and not _NAME.fullmatch(name):
            return Refusal(f"{name!r} is not a resource's name", "use a-z, 0-9, - and .")
        things.append(Thing(resource, name))
    return tuple(things)


def _told(invocation: Invocation, refusal: Refusal) -> Refusal:
    return Refusal(f"{invocation.name}: {refusal.reason}", refusal.hint)
