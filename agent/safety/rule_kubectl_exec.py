"""kubectl exec: judged as the command that runs inside the pod."""

from __future__ import annotations

from dataclasses import replace

from agent.domain.access import ChangeForm, ClusterChange
from agent.domain.command import Refusal
from agent.domain.effects import EffectClass
from agent.safety import addresses
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation, PipedInput
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, namespaces_of
from agent.safety.rule_kubectl_rights import pods_of
from agent.safety.rule_kubectl_things import Thing, changed_namespace, target_of, told, understood


def kubectl_exec(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """exec TARGET -- COMMAND: the command's own effects, with the workload in front of their targets.

    The request that runs it is a change even when the command only reads; what it reaches from inside the
    pod belongs to the pod.
    """
    if not invocation.passed_on:
        hint = "write kubectl exec -n NAMESPACE TARGET -- COMMAND"
        return Refusal(f"{invocation.name} without `--` and a command", hint)
    target = target_of(invocation.arguments[0], desk)
    if isinstance(target, Refusal):
        return told(invocation, target)
    inner = desk.analyse_inside(invocation.passed_on, invocation.filled_in_passed_on())
    if isinstance(inner, Refusal):
        return Refusal(f"in {target}: {inner.reason}", inner.hint)
    namespace = namespaces_of(invocation, found)[0]
    if any(effect.effect_class is not EffectClass.READ for effect in inner.effects):
        checked = changed_namespace(invocation, found)
        if isinstance(checked, Refusal):
            return checked
    return _inside(invocation, found, inner, target=target, namespace=namespace)


def _inside(
    invocation: Invocation, found: Findings, inner: Analysis, *, target: Thing, namespace: str
) -> Analysis:
    place = f"{namespace}/{target}" if namespace else str(target)
    effects = tuple(replace(effect, target=f"{place}: {effect.target}") for effect in inner.effects)
    change = ClusterChange(
        target.right("create", namespace, subresource="exec"),
        ChangeForm.EXEC,
        argv=invocation.passed_on or (),
        container=invocation.value("-c"),
    )
    whole = understood(
        invocation,
        effects,
        found,
        namespace=namespace,
        cluster=pods_of(target, namespace),
        changes=(change,),
    )
    hosts = tuple(host for host in inner.hosts if not _is_loopback(host))
    return replace(whole, hosts=hosts, piped_input=PipedInput.NONE)


def _is_loopback(host: str) -> bool:
    found = addresses.address(host)
    return not isinstance(found, Refusal) and found.is_loopback
