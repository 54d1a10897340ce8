"""A plan on the terminal and as JSON: what would run, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.cli.output import console, plain
from agent.domain.access import Access, Network
from agent.domain.command import PricedCommand
from agent.domain.decisions import Plan, PlannedStep
from agent.domain.limits import LimitUse

#: Where every program may look anyway.
_SYSTEM = ("/etc/", "/usr/", "/lib/")


def as_json(plan: Plan) -> dict[str, Any]:
    """The published form: `steps` with a verdict for each command."""
    return {
        "runbook": plan.runbook_id,
        "revision": plan.revision,
        "plan_hash": plan.plan_hash,
        "verdict": "refuse" if plan.refusals else "allow",
        "refusals": list(plan.refusals),
        "parameters": {
            name: {"value": each.value, "origin": each.origin} for name, each in plan.parameters.items()
        },
        "steps": [_step(step) for step in plan.steps],
        "verify": [_step(step) for step in plan.verify],
        "rollback": [_step(step) for step in plan.rollback],
        "limits": [
            {"limit": each.key, "maximum": each.maximum, "asked": each.asked, "left": each.left}
            for each in plan.limits
        ],
    }


def show(plan: Plan) -> None:
    """For people."""
    console.print(
        f"[bold]{plan.runbook_id}[/bold] (revision {plan.revision[:12]}, plan {plan.plan_hash[:12]})"
    )
    for name, value in plan.parameters.items():
        console.print(f"  {name} = {plain(value.value)}  [dim]{plain(value.origin)}[/dim]")
    for heading, steps in (
        ("Step", plan.steps),
        ("Verify step", plan.verify),
        ("Rollback step", plan.rollback),
    ):
        _show_steps(heading, steps)
    _show_limits(plan.limits)
    if plan.refusals:
        reasons = _count(len(plan.refusals), "reason")
        console.print(f"[red]refused[/red] for {reasons}; nothing would run, a human is paged")
        for refusal in plan.refusals:
            console.print(f"  {plain(refusal)}")
    else:
        console.print("[green]allowed[/green]: every command is understood and inside the limits")


def _show_limits(limits: Sequence[LimitUse]) -> None:
    if limits:
        console.print("\nLimits [dim](one attempt of every step)[/dim]")
    for each in limits:
        left = f"[red]{-each.left} too many[/red]" if each.left < 0 else f"[dim]{each.left} left[/dim]"
        console.print(f"  {plain(each.key)}: {each.asked} of {each.maximum}  {left}")


def _show_steps(heading: str, steps: Sequence[PlannedStep]) -> None:
    for step in steps:
        console.print(f"\n{heading} {step.index}: {plain(step.title)}")
        sign = "action" if step.action is not None else "$"
        for command in step.commands:
            console.print(f"  {sign} {plain(' '.join(command.argv))}")
            _show_price(command, by_action=step.action is not None)
        if step.waits_for:
            names = plain(", ".join(step.waits_for))
            console.print(
                f"  bound and priced when {names} is captured; to change anything it asks for approval"
            )
        if step.refusal is not None:
            console.print(f"  [red]{plain(str(step.refusal))}[/red]")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _show_price(command: PricedCommand, *, by_action: bool) -> None:
    for effect in command.effects:
        is_told = not effect.namespace or f"{effect.namespace}/" in effect.target
        where = "" if is_told else f"[dim] in namespace {effect.namespace}[/dim]"
        console.print(f"    [dim]{effect.effect_class} × {effect.count}[/dim]  {plain(effect.target)}{where}")
    reach = reach_in_words(command.access)
    if reach and command.refusal is None and not by_action:
        console.print(f"    [dim]reaches {plain(reach)}[/dim]")


def reach_in_words(access: Access) -> str:
    """What a command may reach beside the system's own files; "" if it is nothing."""
    networks = {
        Network.NONE: "",
        Network.CLUSTER: "the cluster, through the metering proxy",
        Network.EGRESS: f"{', '.join(access.hosts)} through the egress proxy",
        Network.DIRECT: f"{', '.join(access.hosts)} directly",
    }
    files = [f"{path} (writes)" for path in access.writes]
    files += [path for path in access.reads if not path.startswith(_SYSTEM)]
    files += [f"{path} (names only)" for path in access.lists]
    others = {
        "UNIX sockets": access.local_sockets,
        "UDP": access.datagrams,
        "the agent's own user": access.keeps_user,
    }
    kept = [f"root's {capability}" for capability in access.capabilities if access.keeps_user]
    words = [networks[access.network], *files, *(name for name, has in others.items() if has), *kept]
    return ", ".join(word for word in words if word)


def _step(step: PlannedStep) -> dict[str, Any]:
    more: dict[str, Any] = {"action": step.action.name} if step.action is not None else {}
    if step.waits_for:
        more["waits_for"] = list(step.waits_for)
    return more | {
        "index": step.index,
        "title": step.title,
        "verdict": "refuse" if step.refusal else "allow",
        "reason": str(step.refusal) if step.refusal else "",
        "commands": [_command(command) for command in step.commands],
    }


def _command(command: PricedCommand) -> dict[str, Any]:
    return {
        "argv": list(command.argv),
        "effects": [
            {"class": effect.effect_class.value, "target": effect.target, "count": effect.count}
            for effect in command.effects
        ],
        "verdict": "refuse" if command.refusal else "allow",
        "reason": str(command.refusal) if command.refusal else "",
    }
