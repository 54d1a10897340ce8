"""Captured values: what an earlier step printed, bound into a later step at the moment of its attempt.

Nobody has seen such a step when the plan was approved. So it is priced when its values are known, under
the same guard and the same limits, and what changes something then waits for an approval of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, AttemptEnd, Plan, PlannedStep, Section
from agent.domain.runbook import Capture, Parameter, Runbook, Step
from agent.library import capture, check_captured
from agent.pipeline.context import Context
from agent.pipeline.planning import plan_step


def bind_captured(
    context: Context, incident_id: str, runbook: Runbook, plan: Plan, *, step: Step, planned: PlannedStep
) -> PlannedStep:
    """The step with its captured values filled in and priced, or with the reason why it must not run."""
    captured = _captured(context, incident_id, runbook, planned)
    if isinstance(captured, Refusal):
        return _refused(planned, captured)
    values = {name: each.value for name, each in plan.parameters.items()} | captured
    bound = plan_step(context, runbook, planned.section, step, values)
    refusal = bound.refusal or _must_not_change(step, bound)
    return bound if refusal is None else _refused(bound, refusal)


def _refused(planned: PlannedStep, refusal: Refusal) -> PlannedStep:
    return PlannedStep(
        planned.index,
        planned.title,
        planned.section,
        planned.script,
        planned.commands,
        refusal,
        planned.action,
    )


def _must_not_change(step: Step, bound: PlannedStep) -> Refusal | None:
    if bound.is_read_only or step.approval_required:
        return None
    if bound.section is Section.VERIFY:
        return Refusal("a Verify step may only read")
    hint = "add `Approval: required` to the step, so that somebody sees what it would do"
    return Refusal("it would change something, by a value that was captured after the plan was made", hint)


def _captured(
    context: Context, incident_id: str, runbook: Runbook, planned: PlannedStep
) -> dict[str, str] | Refusal:
    """The captured values that the step needs, each held to its parameter's declaration."""
    found = _sources(context, incident_id, runbook)
    parameters = {parameter.name: parameter for parameter in runbook.parameters}
    values: dict[str, str] = {}
    for name in planned.waits_for:
        if name not in found:
            return Refusal(f"{name} has no value: no step that captures it has succeeded")
        value = _value(parameters[name], *found[name])
        if isinstance(value, Refusal):
            return value
        values[name] = value
    return values


def _sources(context: Context, incident_id: str, runbook: Runbook) -> Mapping[str, tuple[Capture, Attempt]]:
    """Where each name was captured last: the journal has the outputs, redacted, across restarts."""
    succeeded = {
        attempt.step: attempt
        for attempt in context.store.attempts(incident_id)
        if attempt.section is Section.STEPS and attempt.end is AttemptEnd.SUCCEEDED
    }
    return {
        each.name: (each, succeeded[step.index])
        for step in runbook.steps
        for each in step.captures
        if step.index in succeeded
    }


def _value(parameter: Parameter, source: Capture, attempt: Attempt) -> str | Refusal:
    captured = capture(source, attempt.output)
    checked = captured if isinstance(captured, Refusal) else check_captured(parameter, captured)
    return checked if isinstance(checked, Refusal) else checked.value
