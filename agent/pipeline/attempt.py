"""One try of one step: may it still run, charge it, write it down, run it, judge it, write that down."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, AttemptEnd, PlannedStep
from agent.domain.effects import BlastRadius
from agent.domain.records import AlreadyEnded, AttemptKey, Begun, Unfinished
from agent.domain.runbook import Step
from agent.library import judge
from agent.pipeline.context import Context
from agent.pipeline.planning import judge_again
from agent.ports import CommandResult

#: What is kept of an output for the timeline and for a later step's `Only if`.
_KEPT_CHARACTERS = 8_000


def make_attempt(
    context: Context,
    step: Step,
    planned: PlannedStep,
    key: AttemptKey,
    *,
    limits: BlastRadius,
    deadline: datetime,
) -> Attempt:
    """Try the step once; found begun before a restart, it is run again only if it changes nothing."""
    with context.gate.attempt():
        attempt = _try(context, step, planned, key, limits=limits, deadline=deadline)
    if attempt is None:
        context.gate.hold()
        raise AssertionError("the process has ended")
    return attempt


def _try(
    context: Context,
    step: Step,
    planned: PlannedStep,
    key: AttemptKey,
    *,
    limits: BlastRadius,
    deadline: datetime,
) -> Attempt | None:
    """One try; None if the shutdown cut it off, so that only the next start can say what became of it."""
    known = context.store.look_up_attempt(key, read_only=planned.is_read_only)
    stopped = _must_not_start(context, key, deadline) if known is None else None
    if stopped is not None:
        return stopped
    changed = judge_again(context, limits, planned) if known is None else None
    if changed is not None:
        return _ended(key, AttemptEnd.REFUSED, str(changed))
    begun = known or context.store.begin_attempt(
        key,
        title=step.title,
        effects=[effect for command in planned.commands for effect in command.effects],
        limits=limits,
        hourly_limits=context.config.limits.hourly(),
        read_only=planned.is_read_only,
    )
    match begun:
        case AlreadyEnded(attempt):
            return attempt
        case Refusal():
            return _ended(key, AttemptEnd.REFUSED, str(begun))
        case Unfinished():
            attempt = _ended(key, AttemptEnd.OUTCOME_UNKNOWN, "the agent was interrupted while it ran")
        case Begun():
            attempt = _run(context, step, planned, key, deadline)
            if attempt.end is AttemptEnd.INTERRUPTED and context.gate.must_hurry:
                return None
        case _ as never:
            assert_never(never)
    context.store.end_attempt(key, attempt)
    return attempt


def _must_not_start(context: Context, key: AttemptKey, deadline: datetime) -> Attempt | None:
    stand_down = context.store.stand_down_of(key.incident_id)
    if stand_down is not None:
        return _ended(key, AttemptEnd.INTERRUPTED, f"{stand_down.by} took over")
    if context.store.incident(key.incident_id).status.is_terminal:
        return _ended(key, AttemptEnd.INTERRUPTED, "it was given to a human meanwhile")
    if context.clock.now() >= deadline:
        return _ended(key, AttemptEnd.OUT_OF_TIME, "the incident's time is over")
    return None


def _run(context: Context, step: Step, planned: PlannedStep, key: AttemptKey, deadline: datetime) -> Attempt:
    if planned.script is None:
        return _ended(key, AttemptEnd.REFUSED, "the step was not planned")
    left_s = (deadline - context.clock.now()).total_seconds()
    timeout_s = min(step.timeout_s or context.config.execution.step_timeout_s, max(left_s, 0.1))
    result = context.sandbox.run(
        planned.script,
        commands=planned.commands,
        marker=key.marker,
        timeout_s=timeout_s,
        should_stop=lambda: _must_stop(context, key),
    )
    return _judged(context, step, key, result, timeout_s)


def _must_stop(context: Context, key: AttemptKey) -> bool:
    return context.gate.must_hurry or not context.store.may_go_on(key.incident_id)


def _judged(
    context: Context, step: Step, key: AttemptKey, result: CommandResult, timeout_s: float
) -> Attempt:
    end, reason = _verdict(context, step, key, result, timeout_s)
    return Attempt(
        section=key.section,
        step=key.step,
        number=key.number,
        end=end,
        reason=context.redactor.text(reason),
        exit_code=result.exit_code,
        output=_kept(context, result.stdout),
        error_output=_kept(context, result.stderr),
        duration_s=result.duration_s,
    )


def _verdict(
    context: Context, step: Step, key: AttemptKey, result: CommandResult, timeout_s: float
) -> tuple[AttemptEnd, str]:
    if result.interrupted:
        by = context.store.stand_down_of(key.incident_id)
        return AttemptEnd.INTERRUPTED, f"{by.by} took over" if by else "the agent is shutting down"
    if result.timed_out:
        return AttemptEnd.TIMED_OUT, f"no end within {timeout_s:g} s"
    if result.problem:
        return AttemptEnd.FAILED, result.problem
    judgement = judge(step.expectation, exit_code=result.exit_code, stdout=result.stdout)
    # the words quote the output, cut: a secret must be masked before it is cut, or half of it stays
    told = judge(step.expectation, exit_code=result.exit_code, stdout=context.redactor.text(result.stdout))
    words = (
        told.reason if told.holds == judgement.holds else "a secret in the output decides; it is not shown"
    )
    return (AttemptEnd.SUCCEEDED if judgement.holds else AttemptEnd.FAILED), words


def _kept(context: Context, output: str) -> str:
    redacted = context.redactor.text(output)
    if len(redacted) <= _KEPT_CHARACTERS:
        return redacted
    half = _KEPT_CHARACTERS // 2
    return f"{redacted[:half]}\n… {len(redacted) - 2 * half} characters left out …\n{redacted[-half:]}"


def _ended(key: AttemptKey, end: AttemptEnd, reason: str) -> Attempt:
    return Attempt(key.section, key.step, key.number, end, reason)
