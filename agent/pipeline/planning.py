"""Planning: the runbook bound to the alert, every command priced, every guard asked, before step 1 runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace

from agent.domain.alert import Alert
from agent.domain.command import PricedCommand, Refusal, Script
from agent.domain.decisions import ParameterValue, Plan, PlannedStep, Section
from agent.domain.effects import EffectClass
from agent.domain.incident import Entry, EventKind
from agent.domain.limits import Charge, LimitUse, totals
from agent.domain.records import Changes
from agent.domain.runbook import Action, Runbook, Step
from agent.library import bind, captured_in
from agent.pipeline.context import Context
from agent.pipeline.pricing import Work, grown, price
from agent.pipeline.telling import tell, tell_soon
from agent.safety import actions, language


def plan(
    context: Context,
    runbook: Runbook,
    alert: Alert,
    *,
    chosen: Mapping[str, str] | None = None,
    edited: Mapping[str, str] | None = None,
    by: str = "",
) -> Plan:
    """What would run, word by word, with effects and verdicts; `refusals` is empty if all may run.

    `chosen`: values that the advisor gave to parameters that the alert leaves open. `edited`: those that a
    human, `by`, wants whatever the alert says.
    """
    bound = bind(runbook.parameters, alert, chosen=chosen, edited=edited)
    if isinstance(bound, Refusal):
        return _plan_of(runbook, {}, (), (), (), (str(bound),))
    bound = {name: _with_its_origin(value, by) for name, value in bound.items()}
    values = {name: value.value for name, value in bound.items()}
    steps = _planned(context, runbook, Section.STEPS, runbook.steps, values)
    verification = runbook.verification.steps if runbook.verification else ()
    verify = _planned(context, runbook, Section.VERIFY, verification, values)
    rollback = _planned(context, runbook, Section.ROLLBACK, runbook.rollback, values)
    refusals = (
        *_refusals((*steps, *verify, *rollback)),
        *_not_reading(verify),
    )
    limits = _limit_uses(context, runbook, steps)
    return _plan_of(runbook, bound, steps, verify, rollback, refusals, limits)


def _with_its_origin(value: ParameterValue, by: str) -> ParameterValue:
    if value.origin == "edited":
        return ParameterValue(value.value, f"edited by {by}")
    return ParameterValue(value.value, "the advisor") if value.origin == "chosen" else value


def decide(
    context: Context,
    incident_id: str,
    runbook: Runbook,
    alert: Alert,
    *,
    chosen: Mapping[str, str] | None = None,
) -> Plan:
    """Plan and tell what will run, or what is refused and why; a plan that was told stays."""
    told = context.store.plan(incident_id)
    if told is not None:
        return told
    planned = _within_limits(context, incident_id, runbook, plan(context, runbook, alert, chosen=chosen))
    tell_soon(context, incident_id, _told(planned), changes=Changes(plan=planned))
    return planned


def again(
    context: Context,
    incident_id: str,
    runbook: Runbook,
    alert: Alert,
    *,
    chosen: Mapping[str, str],
    edited: Mapping[str, str],
    by: str,
    number: int,
) -> Plan:
    """The plan with the values that a human wants, in the place of the one before; told once.

    Its hash is its own although its values were asked about before: what was said of those answers it not.
    """
    made = plan(context, runbook, alert, chosen=chosen, edited=edited, by=by)
    made = replace(made, plan_hash=hashlib.sha256(f"{made.plan_hash} {number}".encode()).hexdigest())
    planned = _within_limits(context, incident_id, runbook, made)
    if tell(context, incident_id, _told(planned, number), changes=Changes(plan=planned)):
        return planned
    return context.store.plan(incident_id) or planned


def _within_limits(context: Context, incident_id: str, runbook: Runbook, planned: Plan) -> Plan:
    over = None if planned.refusals else _over_a_limit(context, incident_id, runbook, planned)
    return planned if over is None else replace(planned, refusals=(str(over),))


def _told(planned: Plan, number: int = 1) -> Entry:
    nth = "" if number == 1 else f"-{number}"
    if planned.refusals:
        lines = "".join(f"\n    {refusal}" for refusal in planned.refusals)
        text = f"🛑 Refused before anything ran:{lines}"
        return Entry(f"refused{nth}", EventKind.REFUSED, text, _data(planned))
    return Entry(f"planned{nth}", EventKind.PLANNED, f"🗺️ Plan: {_in_words(planned)}", _data(planned))


def charge_of(
    context: Context,
    incident_id: str,
    runbook: Runbook,
    commands: Sequence[PricedCommand],
    *,
    lasts_s: float = 0.0,
) -> Charge:
    """What these commands ask of every limit."""
    limits = context.config.limits
    return Charge(
        effects=tuple(effect for command in commands for effect in command.effects),
        commands=len(commands),
        limits=runbook.blast_radius,
        windows=limits.windows(),
        exclusive=limits.exclusive(),
        runbook=runbook.id,
        service=context.store.service_of(incident_id),
        cluster=context.config.kubernetes.name,
        lasts_s=lasts_s,
    )


def _over_a_limit(context: Context, incident_id: str, runbook: Runbook, planned: Plan) -> Refusal | None:
    """Whether other incidents have left too little for the steps, before the first one runs."""
    commands = [command for step in planned.steps for command in step.commands]
    return context.store.over_a_window(charge_of(context, incident_id, runbook, commands))


def _limit_uses(context: Context, runbook: Runbook, steps: Sequence[PlannedStep]) -> tuple[LimitUse, ...]:
    asked = charges(steps)
    radius = runbook.blast_radius
    uses = [LimitUse(each.limit_key, radius.limit(each), count) for each, count in asked.items()]
    if radius.max_commands is not None:
        uses.append(LimitUse("max_commands", radius.max_commands, sum(len(step.commands) for step in steps)))
    windows = [each for each in context.config.limits.windows() if each.effect_class in asked]
    return (*uses, *(LimitUse(each.key, each.maximum, asked[each.effect_class]) for each in windows))


def charges(steps: Sequence[PlannedStep]) -> dict[EffectClass, int]:
    """What one attempt of every step would use of each effect class; reads are free."""
    return totals(effect for step in steps for command in step.commands for effect in command.effects)


def _planned(
    context: Context, runbook: Runbook, section: Section, steps: Sequence[Step], values: Mapping[str, str]
) -> tuple[PlannedStep, ...]:
    """The steps of a section, priced in order: the first command that goes over a limit is refused."""
    if not steps:
        return ()
    waits = [captured_in(step, runbook.parameters) for step in steps]
    works = [
        _unbound(step, section) if names else _work(step, section, values)
        for step, names in zip(steps, waits, strict=True)
    ]
    priced = price(context, runbook, [None if isinstance(work, Refusal) else work for work in works])
    return tuple(
        _planned_step(section, step, work, commands, waits_for=names)
        for step, names, work, commands in zip(steps, waits, works, priced, strict=True)
    )


def plan_step(
    context: Context, runbook: Runbook, section: Section, step: Step, values: Mapping[str, str]
) -> PlannedStep:
    """One step whose last values have become known."""
    work = _work(step, section, values)
    (commands,) = price(context, runbook, [None if isinstance(work, Refusal) else work])
    return _planned_step(section, step, work, commands)


def judge_again(
    context: Context, runbook: Runbook, planned: PlannedStep
) -> tuple[PricedCommand, ...] | Refusal:
    """The step priced at the moment of the attempt, counted anew; what grew since the plan is refused.

    A declared script is hashed here once more; a command whose price changed needs a new plan.
    """
    work = planned.action or planned.script
    if planned.refusal is not None or work is None:
        return planned.refusal or Refusal("the step was not planned")
    (commands,) = price(context, runbook, [work])
    refusal = next((command.refusal for command in commands if command.refusal), None)
    return refusal or grown(planned.commands, commands) or commands


def _planned_step(
    section: Section,
    step: Step,
    work: Work | Refusal | None,
    commands: tuple[PricedCommand, ...],
    *,
    waits_for: tuple[str, ...] = (),
) -> PlannedStep:
    if isinstance(work, Refusal):
        return PlannedStep(step.index, step.title, section, None, refusal=work, waits_for=waits_for)
    refusal = next((command.refusal for command in commands if command.refusal), None)
    script = work if isinstance(work, Script) else None
    action = work if isinstance(work, Action) else None
    return PlannedStep(step.index, step.title, section, script, commands, refusal, action, waits_for)


def _unbound(step: Step, section: Section) -> Refusal | None:
    """What can be said of a step whose captured values are not known yet; None: it is understood so far."""
    if step.approval_required and section is Section.VERIFY:
        return _NO_APPROVAL
    template = language.parse(step.command) if step.action is None else None
    return template if isinstance(template, Refusal) else None


_NO_APPROVAL = Refusal("a Verify step only looks, so it waits for no approval", "remove `Approval: required`")


def _work(step: Step, section: Section, values: Mapping[str, str]) -> Work | Refusal:
    """What the step does, with its parameters filled in."""
    if step.approval_required and section is Section.VERIFY:
        return _NO_APPROVAL
    if step.action is not None:
        return actions.bind(step.action, values)
    template = language.parse(step.command)
    return template if isinstance(template, Refusal) else language.bind(template, values)


def _refusals(steps: Sequence[PlannedStep]) -> tuple[str, ...]:
    return tuple(
        f"{step_name(step)} ({step.title}): {step.refusal}" for step in steps if step.refusal is not None
    )


def _not_reading(verify: Sequence[PlannedStep]) -> tuple[str, ...]:
    """Verification is repeated until it has held: it may only look."""
    return tuple(
        f"{step_name(step)} ({step.title}): a Verify step may only read"
        for step in verify
        if step.refusal is None and not step.waits_for and not step.is_read_only
    )


def step_name(step: PlannedStep) -> str:
    """`step 2`, `rollback step 1`."""
    prefix = {Section.STEPS: "step", Section.VERIFY: "verify step", Section.ROLLBACK: "rollback step"}
    return f"{prefix[step.section]} {step.index}"


def _plan_of(
    runbook: Runbook,
    values: Mapping[str, ParameterValue],
    steps: tuple[PlannedStep, ...],
    verify: tuple[PlannedStep, ...],
    rollback: tuple[PlannedStep, ...],
    refusals: tuple[str, ...],
    limits: tuple[LimitUse, ...] = (),
) -> Plan:
    covered = {
        "revision": runbook.revision,
        "parameters": {name: value.value for name, value in sorted(values.items())},
        "allowance": runbook.blast_radius.allowance,
        "steps": [covered_by_a_yes(step) for step in (*steps, *verify, *rollback)],
    }
    digest = hashlib.sha256(as_covered(covered).encode()).hexdigest()
    return Plan(runbook.id, runbook.revision, digest, steps, verify, rollback, values, refusals, limits)


def covered_by_a_yes(step: PlannedStep) -> object:
    """What an approval binds to: what runs, what it changes and how many of it, and what it may reach."""
    return {
        "section": step.section,
        "index": step.index,
        "waits_for": step.waits_for,
        "action": step.action,
        "commands": [
            {
                "argv": command.argv,
                "effects": command.effects,
                "access": command.access,
            }
            for command in step.commands
        ],
    }


def as_covered(what: object) -> str:
    """The words that a hash binds to; they are the same in every version of the agent."""
    return _encode(what)


def _fields(value: object) -> object:
    if not is_dataclass(value):
        return str(value)
    return {each.name: getattr(value, each.name) for each in fields(value)}


_encode = json.JSONEncoder(sort_keys=True, default=_fields).encode


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
        "waits_for": sorted({name for step in planned.steps for name in step.waits_for}),
        "commands": [_command_data(command) for step in planned.steps for command in step.commands],
    }


def _command_data(command: PricedCommand) -> dict[str, object]:
    return {
        "argv": list(command.argv),
        "effects": [
            [effect.effect_class.value, effect.target, effect.count, effect.namespace]
            for effect in command.effects
        ],
        "refusal": str(command.refusal) if command.refusal else "",
    }
