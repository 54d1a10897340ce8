"""Planning: the runbook bound to the alert, every command priced, every guard asked, before step 1 runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from agent.domain.alert import Alert
from agent.domain.command import PricedCommand, Refusal, Script
from agent.domain.decisions import ParameterValue, Plan, PlannedStep, Section
from agent.domain.effects import BlastRadius, EffectClass
from agent.domain.incident import Entry, EventKind
from agent.domain.records import Changes
from agent.domain.runbook import Runbook, Step
from agent.library import bind
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.safety import language
from agent.safety.policy import Guard, price_plan


def plan(context: Context, runbook: Runbook, alert: Alert) -> Plan:
    """What would run, word by word, with effects and verdicts; `refusals` is empty if all may run."""
    bound = bind(runbook.parameters, alert)
    if isinstance(bound, Refusal):
        return _plan_of(runbook, {}, (), (), (), (str(bound),))
    values = {name: value.value for name, value in bound.items()}
    steps = _planned(context, runbook, Section.STEPS, runbook.steps, values)
    verification = runbook.verification.steps if runbook.verification else ()
    verify = _planned(context, runbook, Section.VERIFY, verification, values)
    rollback = _planned(context, runbook, Section.ROLLBACK, runbook.rollback, values)
    refusals = (
        *_refusals((*steps, *verify, *rollback)),
        *_not_reading(verify),
    )
    return _plan_of(runbook, bound, steps, verify, rollback, refusals)


def decide(context: Context, incident_id: str, runbook: Runbook, alert: Alert) -> Plan:
    """Plan and tell what will run, or what is refused and why; a plan that was told stays."""
    told = context.store.plan(incident_id)
    if told is not None:
        return told
    planned = plan(context, runbook, alert)
    if planned.refusals:
        lines = "".join(f"\n    {refusal}" for refusal in planned.refusals)
        entry = Entry("refused", EventKind.REFUSED, f"🛑 Refused before anything ran:{lines}", _data(planned))
    else:
        entry = Entry("planned", EventKind.PLANNED, f"🗺️ Plan: {_in_words(planned)}", _data(planned))
    tell(context, incident_id, entry, changes=Changes(plan=planned))
    return planned


def charges(steps: Sequence[PlannedStep]) -> dict[EffectClass, int]:
    """What one attempt of every step would use of each effect class; reads are free."""
    used: dict[EffectClass, int] = {}
    for step in steps:
        for command in step.commands:
            for effect in command.effects:
                if effect.effect_class is not EffectClass.READ:
                    used[effect.effect_class] = used.get(effect.effect_class, 0) + effect.count
    return used


def _planned(
    context: Context, runbook: Runbook, section: Section, steps: Sequence[Step], values: Mapping[str, str]
) -> tuple[PlannedStep, ...]:
    """The steps of a section, priced in order: the first command that goes over a limit is refused."""
    scripts = [_script(step, values) for step in steps]
    understood = [None if isinstance(script, Refusal) else script for script in scripts]
    priced = price_plan(understood, _guard(context, runbook.blast_radius))
    return tuple(
        _planned_step(section, step, script, commands)
        for step, script, commands in zip(steps, scripts, priced, strict=True)
    )


def judge_again(context: Context, limits: BlastRadius, planned: PlannedStep) -> Refusal | None:
    """The guard's verdict at the moment of the attempt: what changed since the plan is refused.

    A declared script is hashed here once more; a command whose price changed needs a new plan.
    """
    if planned.script is None:
        return Refusal("the step was not planned")
    (commands,) = price_plan([planned.script], _guard(context, limits))
    for before, now in zip(planned.commands, commands, strict=True):
        if now.refusal is not None:
            return now.refusal
        if now.effects != before.effects:
            return Refusal(f"{now.argv[0]} has other effects now than when it was planned")
    return None


def _guard(context: Context, limits: BlastRadius) -> Guard:
    allow = context.config.execution.allow
    return Guard(
        context.tables,
        limits,
        allowed_hosts=allow.hosts,
        allowed_namespaces=allow.namespaces,
    )


def _planned_step(
    section: Section, step: Step, script: Script | Refusal, commands: tuple[PricedCommand, ...]
) -> PlannedStep:
    if isinstance(script, Refusal):
        return PlannedStep(step.index, step.title, section, None, refusal=script)
    refusal = next((command.refusal for command in commands if command.refusal), None)
    return PlannedStep(step.index, step.title, section, script, commands, refusal)


def _script(step: Step, values: Mapping[str, str]) -> Script | Refusal:
    if step.action is not None:
        hint = "write the command in a ```bash block"
        return Refusal(f"the typed action {step.action.name} has no executor in this build", hint)
    if step.approval_required:
        hint = "use `requires_human_approval: true` in Blast Radius"
        return Refusal("approval of a single step is not supported by this build", hint)
    template = language.parse(step.command)
    return template if isinstance(template, Refusal) else language.bind(template, values)


def _refusals(steps: Sequence[PlannedStep]) -> tuple[str, ...]:
    return tuple(
        f"{_name(step)} ({step.title}): {step.refusal}" for step in steps if step.refusal is not None
    )


def _not_reading(verify: Sequence[PlannedStep]) -> tuple[str, ...]:
    """Verification is repeated until it has held: it may only look."""
    return tuple(
        f"{_name(step)} ({step.title}): a Verify step may only read"
        for step in verify
        if step.refusal is None and not step.is_read_only
    )


def _name(step: PlannedStep) -> str:
    prefix = {Section.STEPS: "step", Section.VERIFY: "verify step", Section.ROLLBACK: "rollback step"}
    return f"{prefix[step.section]} {step.index}"


def _plan_of(
    runbook: Runbook,
    values: Mapping[str, ParameterValue],
    steps: tuple[PlannedStep, ...],
    verify: tuple[PlannedStep, ...],
    rollback: tuple[PlannedStep, ...],
    refusals: tuple[str, ...],
) -> Plan:
    covered = {
        "revision": runbook.revision,
        "parameters": {name: value.value for name, value in sorted(values.items())},
        "commands": [
            [(command.argv, [(e.effect_class, e.target, e.count) for e in command.effects])]
            for step in (*steps, *verify, *rollback)
            for command in step.commands
        ],
    }
    digest = hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()
    return Plan(runbook.id, runbook.revision, digest, steps, verify, rollback, values, refusals)


def _in_words(planned: Plan) -> str:
    used = charges(planned.steps)
    effects = ", ".join(f"{count} × {effect_class.value}" for effect_class, count in used.items())
    noun = "step" if len(planned.steps) == 1 else "steps"
    bound = "".join(
        f"; {name} = {value.value} ({value.origin})" for name, value in planned.parameters.items()
    )
    return f"{len(planned.steps)} {noun}, {effects or 'reads only'}{bound}"


def _data(planned: Plan) -> dict[str, object]:
    return {
        "plan_hash": planned.plan_hash,
        "refusals": list(planned.refusals),
        "parameters": {
            name: {"value": each.value, "origin": each.origin} for name, each in planned.parameters.items()
        },
        "commands": [_command_data(command) for step in planned.steps for command in step.commands],
    }


def _command_data(command: PricedCommand) -> dict[str, object]:
    return {
        "argv": list(command.argv),
        "effects": [[effect.effect_class.value, effect.target, effect.count] for effect in command.effects],
        "refusal": str(command.refusal) if command.refusal else "",
    }
