"""A plan on the terminal and as JSON: what would run, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.cli.output import console, plain
from agent.domain.command import PricedCommand
from agent.domain.decisions import Plan, PlannedStep


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
    if plan.refusals:
        console.print(
            f"[red]refused[/red]: {len(plan.refusals)} reasons; nothing would run, a human is paged"
        )
        for refusal in plan.refusals:
            console.print(f"  {plain(refusal)}")
    else:
        console.print("[green]allowed[/green]: every command is understood and inside the limits")


def _show_steps(heading: str, steps: Sequence[PlannedStep]) -> None:
    for step in steps:
        console.print(f"\n{heading} {step.index}: {plain(step.title)}")
        for command in step.commands:
            console.print(f"  $ {plain(' '.join(command.argv))}")
            for effect in command.effects:
                console.print(
                    f"    [dim]{effect.effect_class} × {effect.count}[/dim]  {plain(effect.target)}"
                )
        if step.refusal is not None:
            console.print(f"  [red]{plain(str(step.refusal))}[/red]")


def _step(step: PlannedStep) -> dict[str, Any]:
    return {
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
