"""helm: what a release shows, and what a rollback replaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.domain.access import Network
from agent.domain.command import Refusal
from agent.domain.effects import Effect, EffectClass
from agent.safety.analysis import Analysis
from agent.safety.grammar import Invocation
from agent.safety.kinds import Findings
from agent.safety.pricing import Desk, Rule, analysis, by_table, namespaces_of


def helm_read(invocation: Invocation, found: Findings, _desk: Desk) -> Analysis | Refusal:
    """list, status, history: by the table; helm keeps its releases in secrets, so nothing is granted."""
    whole = by_table(invocation, found)
    return whole if isinstance(whole, Refusal) else _placed(invocation, found, whole)


def helm_rollback(invocation: Invocation, found: Findings, desk: Desk) -> Analysis | Refusal:
    """rollback RELEASE REVISION: one rollout for each workload of the release, and its pods."""
    namespace, release = namespaces_of(invocation, found)[0], invocation.arguments[0]
    target = f"{namespace}/release {release}"
    workloads = desk.counter.release_workloads(namespace, release) if desk.counter else None
    if workloads is None:
        hint = "it can be run where the agent reaches the cluster"
        return Refusal(f"{invocation.name}: cannot count the workloads and pods of {target}", hint)
    effects: list[Effect] = [] if workloads else [Effect(EffectClass.ROLLOUT, target)]
    for kind, name, pods in workloads:
        effects.append(Effect(EffectClass.ROLLOUT, f"{target}: {kind}/{name}"))
        effects.append(Effect(EffectClass.POD_RESTART, f"{target}: {kind}/{name}", pods))
    return _placed(invocation, found, analysis(invocation, tuple(effects), found))


def _placed(invocation: Invocation, found: Findings, whole: Analysis) -> Analysis:
    namespace = namespaces_of(invocation, found)[0]
    effects = tuple(replace(each, namespace=namespace) for each in whole.effects)
    return replace(whole, effects=effects, access=replace(whole.access, network=Network.CLUSTER))


HELM_RULES: Mapping[str, Rule] = {"helm_read": helm_read, "helm_rollback": helm_rollback}
