"""The price of steps, commands and typed actions alike, under the guard of their runbook."""

from __future__ import annotations

from collections.abc import Sequence

from agent.domain.access import Access, ClusterChange
from agent.domain.command import PricedCommand, Refusal, Script
from agent.domain.runbook import Action, Runbook
from agent.pipeline.context import Context
from agent.safety import actions, policy
from agent.safety.policy import Guard, Judged

#: What a step does: commands, or one typed action.
Work = Script | Action


def price(
    context: Context, runbook: Runbook, works: Sequence[Work | None]
) -> tuple[tuple[PricedCommand, ...], ...]:
    """Every step's commands in order, one attempt each: the first one that goes over a limit is refused.

    An action is one command whose argv shows it in words. A step that was not understood (None) has none.
    """
    steps = [_judged(context, work) if isinstance(work, Action) else work for work in works]
    return policy.price_plan(steps, _guard(context, runbook))


def _judged(context: Context, action: Action) -> Judged:
    found = actions.analyse(action, context.tables, counter=context.counter)
    if isinstance(found, Refusal):
        return Judged((action.name,), found)
    argv, analysis = found
    return Judged(argv, analysis)


def _guard(context: Context, runbook: Runbook) -> Guard:
    execution = context.config.execution
    return Guard(
        context.tables,
        runbook.blast_radius,
        allowed_hosts=execution.allow.hosts,
        allowed_namespaces=execution.allow.namespaces,
        counter=context.counter,
        runbook_id=runbook.id,
        allowances=execution.allowances,
    )


def grown(before: Sequence[PricedCommand], now: Sequence[PricedCommand]) -> Refusal | None:
    """Why the step needs a new plan: it would do more, or reach further, than when it was planned."""
    if len(before) != len(now):
        return Refusal("the step has other commands than when it was planned")
    for planned, counted in zip(before, now, strict=True):
        refusal = policy.grown(planned, counted) or _reaches_further(planned, counted)
        if refusal is not None:
            return refusal
    return None


def _reaches_further(planned: PricedCommand, now: PricedCommand) -> Refusal | None:
    more = _reach(now.access) - _reach(planned.access)
    if not more:
        return None
    what, where = min(more)
    reason = f"{now.argv[0]} would reach further than planned: {what} {where}".rstrip()
    return Refusal(reason, "the plan no longer holds; it has to be made, and approved, anew")


def _reach(access: Access) -> set[tuple[str, str]]:
    """Everything that a command may reach, but for the objects that were counted: those may be replaced."""
    flags = {
        "local sockets": access.local_sockets,
        "UDP": access.datagrams,
        "the agent's user": access.keeps_user,
        "further processes": not access.alone,
    }
    words = {
        "host": access.hosts,
        "reads": access.reads,
        "writes": access.writes,
        "looks into": access.lists,
        "root's power to": tuple(access.capabilities),
        "variable": access.environment,
        "network": (access.network.value,),
        "AWS": tuple(f"{right.action} on {right.resource}" for right in access.cloud),
        "program": (access.executable_sha256,),
        "Kubernetes": tuple(_change_in_words(change) for change in access.changes),
    }
    return {(name, "") for name, has in flags.items() if has} | {
        (name, value) for name, values in words.items() for value in values
    }


def _change_in_words(change: ClusterChange) -> str:
    """A scale is another one when it starts from, or goes to, another number."""
    numbers = f" from {change.from_replicas} to {change.replicas}" if change.replicas is not None else ""
    return f"{change.form} of {change.right.resource} in {change.right.namespace}{numbers}"
