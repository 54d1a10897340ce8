"""One try of one step: may it still run, charge it, write it down, run it, judge it, write that down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from agent.domain.command import PricedCommand, Refusal
from agent.domain.decisions import Attempt, AttemptEnd, PlannedStep
from agent.domain.incident import Entry, EventKind
from agent.domain.limits import Busy
from agent.domain.records import AlreadyEnded, AttemptKey, Begun, Unfinished
from agent.domain.runbook import Runbook, Step
from agent.library import judge
from agent.pipeline.context import Context
from agent.pipeline.planning import charge_of, judge_again, step_name
from agent.pipeline.telling import tell
from agent.ports import CommandResult

#: What is kept of an output for the timeline and for a later step's `Only if`.
_KEPT_CHARACTERS = 8_000

#: How often an attempt looks whether what only one may do at a time is free.
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Try:
    """One try of one step of an incident, and until when it may run."""

    step: Step
    planned: PlannedStep
    key: AttemptKey
    runbook: Runbook
    deadline: datetime


@dataclass(frozen=True, slots=True)
class _Ready:
    """Charged and written down: exactly these commands may run."""

    commands: tuple[PricedCommand, ...]


@dataclass(frozen=True, slots=True)
class _CutOff:
    """The process ends: only the next start can say what became of it."""


def make_attempt(context: Context, this: Try) -> Attempt:
    """Try the step once; found begun before a restart, it is run again only if it changes nothing."""
    with context.gate.attempt():
        attempt = _try(context, this)
    if isinstance(attempt, _CutOff):
        context.gate.hold()
    return attempt


def _try(context: Context, this: Try) -> Attempt | _CutOff:
    known = context.store.look_up_attempt(this.key, read_only=this.planned.is_read_only)
    begun = known or _begin(context, this)
    match begun:
        case Attempt() | _CutOff():
            return begun
        case AlreadyEnded(attempt):
            return attempt
        case Unfinished():
            attempt = _ended(this.key, AttemptEnd.OUTCOME_UNKNOWN, "the agent was interrupted while it ran")
        case _Ready(commands):
            attempt = _run(context, this, commands)
            if attempt.end is AttemptEnd.INTERRUPTED and context.gate.must_hurry:
                return _CutOff()
        case _ as never:
            assert_never(never)
    context.store.end_attempt(this.key, attempt)
    return attempt


def _begin(context: Context, this: Try) -> _Ready | AlreadyEnded | Unfinished | Attempt | _CutOff:
    """Charge it, as soon as nobody else is at what only one may do at a time."""
    waits_for: Busy | None = None
    while True:
        stopped = _must_not_start(context, this, waits_for)
        if stopped is not None:
            return stopped
        begun = _begin_now(context, this)
        if not isinstance(begun, Busy):
            return begun
        if waits_for is None:
            _tell_waiting(context, this, begun)
        waits_for = begun
        context.clock.sleep(_LOOK_AGAIN_S)
        if context.gate.is_closing:
            return _CutOff()


def _begin_now(context: Context, this: Try) -> _Ready | AlreadyEnded | Unfinished | Attempt | Busy:
    """Counted anew, for the world may have changed while it waited."""
    if this.planned.action is not None and context.actions is None:
        return _refused(context, this, Refusal("this agent has nothing to carry out typed actions with"))
    commands = judge_again(context, this.runbook, this.planned)
    if isinstance(commands, Refusal):
        return _refused(context, this, commands)
    charge = charge_of(
        context, this.key.incident_id, this.runbook, commands, lasts_s=_timeout_s(context, this)
    )
    begun = context.store.begin_attempt(this.key, title=this.step.title, charge=charge)
    match begun:
        case Begun():
            return _Ready(commands)
        case Refusal():
            return _ended(this.key, AttemptEnd.REFUSED, str(begun))
        case AlreadyEnded() | Unfinished() | Busy():
            return begun
        case _ as never:
            assert_never(never)


def _refused(context: Context, this: Try, refusal: Refusal) -> Attempt:
    context.store.refuse_attempt(this.key, title=this.step.title, refusal=refusal)
    return _ended(this.key, AttemptEnd.REFUSED, str(refusal))


def _must_not_start(context: Context, this: Try, waits_for: Busy | None) -> Attempt | None:
    key = this.key
    stand_down = context.store.stand_down_of(key.incident_id)
    if stand_down is not None:
        return _ended(key, AttemptEnd.INTERRUPTED, f"{stand_down.by} took over")
    if context.store.incident(key.incident_id).status.is_terminal:
        return _ended(key, AttemptEnd.INTERRUPTED, "it was given to a human meanwhile")
    if context.clock.now() >= this.deadline:
        why = f" while it waited: {waits_for}" if waits_for is not None else ""
        return _ended(key, AttemptEnd.OUT_OF_TIME, f"the incident's time is over{why}")
    return None


def _tell_waiting(context: Context, this: Try, busy: Busy) -> None:
    key, name = this.key, step_name(this.planned).capitalize()
    entry = Entry(
        f"{key.section}-{key.step}-attempt-{key.number}-waits",
        EventKind.NOTE,
        f"⏸️ {name} waits: {busy}",
        {"step": key.step, "effect": busy.effect_class.value, "namespace": busy.namespace, "by": busy.by},
    )
    tell(context, key.incident_id, entry)


def _timeout_s(context: Context, this: Try) -> float:
    left_s = (this.deadline - context.clock.now()).total_seconds()
    return min(this.step.timeout_s or context.config.execution.step_timeout_s, max(left_s, 0.1))


def _run(context: Context, this: Try, commands: Sequence[PricedCommand]) -> Attempt:
    timeout_s = _timeout_s(context, this)
    result = _carry_out(context, this, commands, timeout_s)
    if result is None:
        return _ended(this.key, AttemptEnd.REFUSED, "the step was not planned")
    return _judged(context, this, result, timeout_s)


def _carry_out(
    context: Context, this: Try, commands: Sequence[PricedCommand], timeout_s: float
) -> CommandResult | None:
    planned, marker = this.planned, this.key.marker

    def should_stop() -> bool:
        return context.gate.must_hurry or not context.store.may_go_on(this.key.incident_id)

    if planned.script is not None:
        return context.sandbox.run(
            planned.script, commands=commands, marker=marker, timeout_s=timeout_s, should_stop=should_stop
        )
    if planned.action is not None and context.actions is not None:
        return context.actions.run(
            planned.action, command=commands[0], marker=marker, timeout_s=timeout_s, should_stop=should_stop
        )
    return None


def _judged(context: Context, this: Try, result: CommandResult, timeout_s: float) -> Attempt:
    end, reason = _verdict(context, this, result, timeout_s)
    return Attempt(
        section=this.key.section,
        step=this.key.step,
        number=this.key.number,
        end=end,
        reason=context.redactor.text(reason),
        exit_code=result.exit_code,
        output=_kept(context, result.stdout),
        error_output=_kept(context, result.stderr),
        duration_s=result.duration_s,
    )


def _verdict(context: Context, this: Try, result: CommandResult, timeout_s: float) -> tuple[AttemptEnd, str]:
    if result.interrupted:
        by = context.store.stand_down_of(this.key.incident_id)
        why = f"{by.by} took over" if by else "the agent is shutting down"
        # what a request may still be doing over there is for whoever has it now
        return AttemptEnd.INTERRUPTED, f"{why}; {result.problem}" if result.problem else why
    if result.timed_out:
        return _timed_out(this, timeout_s, problem=result.problem)
    if result.problem:
        return AttemptEnd.FAILED, result.problem
    expectation = this.step.expectation
    judgement = judge(expectation, exit_code=result.exit_code, stdout=result.stdout)
    # the words quote the output, cut: a secret must be masked before it is cut, or half of it stays
    told = judge(expectation, exit_code=result.exit_code, stdout=context.redactor.text(result.stdout))
    words = (
        told.reason if told.holds == judgement.holds else "a secret in the output decides; it is not shown"
    )
    return (AttemptEnd.SUCCEEDED if judgement.holds else AttemptEnd.FAILED), words


def _timed_out(this: Try, timeout_s: float, *, problem: str) -> tuple[AttemptEnd, str]:
    """A command's processes are ended with it; a request may still be carried out over there."""
    if this.planned.action is not None and not this.planned.is_read_only:
        return AttemptEnd.OUTCOME_UNKNOWN, problem or f"the action gave no answer within {timeout_s:g} s"
    return AttemptEnd.TIMED_OUT, problem or f"no end within {timeout_s:g} s"


def _kept(context: Context, output: str) -> str:
    redacted = context.redactor.text(output)
    if len(redacted) <= _KEPT_CHARACTERS:
        return redacted
    half = _KEPT_CHARACTERS // 2
    return f"{redacted[:half]}\n… {len(redacted) - 2 * half} characters left out …\n{redacted[-half:]}"


def _ended(key: AttemptKey, end: AttemptEnd, reason: str) -> Attempt:
    return Attempt(key.section, key.step, key.number, end, reason)
