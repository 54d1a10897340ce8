"""What a runbook's steps would change at least, without an alert and without a look at the world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from agent.domain.decisions import PlannedStep, Section
from agent.domain.runbook import Parameter, Runbook, Step
from agent.pipeline.context import Context
from agent.pipeline.planning import plan_step
from agent.safety.least_samples import OneOfEverything, values_of

#: Ways to fill a step's parameters that are tried before it is left unpriced.
_TRIED = 40


def priced_alone(context: Context, runbook: Runbook) -> Sequence[PlannedStep]:
    """Every step with one of everything that has to be counted; what no stand-in fits is left out."""
    counted_as_one = replace(context, counter=OneOfEverything())
    verify = runbook.verification.steps if runbook.verification is not None else ()
    sections = (
        (Section.STEPS, runbook.steps),
        (Section.VERIFY, verify),
        (Section.ROLLBACK, runbook.rollback),
    )
    return [
        planned
        for section, steps in sections
        for step in steps
        if (planned := _priced(counted_as_one, runbook, section, step)) is not None
    ]


def _priced(context: Context, runbook: Runbook, section: Section, step: Step) -> PlannedStep | None:
    if not runbook.parameters:
        return plan_step(context, runbook, section, step, {})
    for _, values in zip(range(_TRIED), _values(runbook.parameters), strict=False):
        planned = plan_step(context, runbook, section, step, values)
        if planned.refusal is None:
            return planned
    return None


def _values(parameters: Sequence[Parameter]) -> Iterator[Mapping[str, str]]:
    """The defaults first, then what stands in for each."""
    names = [each.name for each in parameters]
    defaults = {each.name: each.default for each in parameters if each.default is not None}
    for values in values_of(parameters, names, ()):
        yield {**values, **defaults}
