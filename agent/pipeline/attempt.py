"""One try of one step: may it still run, charge it, write it down, run it, judge it, write that down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import structlog

from agent.domain.command import PricedCommand, Refusal
from agent.domain.decisions import Attempt, AttemptEnd, PlannedStep
from agent.domain.errors import StoreAwayError, StoreError
from agent.domain.incident import Entry, EventKind
from agent.domain.limits import Busy
from agent.domain.records import AlreadyEnded, AttemptKey, Begun, Unfinished
from agent.domain.runbook import Runbook, Step
from agent.domain.stops import Stop
from agent.library import judge
from agent.pipeline import freezes, stops
from agent.pipeline.context import Context
from agent.pipeline.planning import charge_of, judge_again, step_name
from agent.pipeline.telling import tell
from agent.ports import CommandResult

log = structlog.get_logger()

#: What is kept of an output for the timeline and for a later step's `Only if`.
_KEPT_CHARACTERS = 8_000

#: How often the end of an attempt is written again while the store is away: for about ten minutes.
_WRITES, _WRITE_AGAIN_S = 600, 1.0

#: How often an attempt looks whether what only one may do at a time is free.
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Try:
    """One try of one step, until when it may run, and the strictest freeze in which it may change things."""

    step: Step
    planned: PlannedStep
    key: AttemptKey
    runbook: Runbook
    deadline: datetime
    passes: str = ""


@dataclass(frozen=True, slots=True)
class _Ready:
    """Charged and written down: exactly these commands may run."""

    commands: tuple[PricedCommand, ...]


@dataclass(frozen=True, slots=True)
class _CutOff:
    """The process ends: only the next start can say what became of it."""


def make_attempt(context: Context, this: Try, tell_end: Callable[[Attempt], object]) -> Attempt:
    """Try the step once, and tell how it ended, which is written down with its end.

    Found begun before a restart, it is run again only if it changes nothing.
    """
    with context.gate.attempt():
        attempt = _try(context, this, tell_end)
    if isinstance(attempt, _CutOff):
        context.gate.hold()
    return attempt


def _try(context: Context, this: Try, tell_end: Callable[[Attempt], object]) -> Attempt | _CutOff:
    known = context.store.look_up_attempt(this.key, read_only=this.planned.is_read_only)
    begun = known or _begin(context, this)
    match begun:
        case _CutOff():
            return begun
        case Attempt() as attempt:
            tell_end(attempt)
            return attempt
        case AlreadyEnded(attempt):
            tell_end(attempt)
            return attempt
        case Unfinished():
            attempt = _ended(this.key, AttemptEnd.OUTCOME_UNKNOWN, "the agent was interrupted while it ran")
        case _Ready(commands):
            # counting and charging took their time: asked again, as the last thing before it starts
            attempt = _held_at_last(context, this) or _run(context, this, commands)
            if attempt.end is AttemptEnd.INTERRUPTED and context.gate.must_hurry:
                return _CutOff()
        case _ as never:
            assert_never(never)
    try:
        tell_end(attempt)
    finally:  # how it ended stands in the journal, whatever becomes of the words
        _write_down(context, this.key, attempt)
    return attempt


def _write_down(context: Context, key: AttemptKey, attempt: Attempt) -> None:
    """However long the store is away: an end that was seen and not written would be an unknown one."""
    for _ in range(_WRITES):
        try:
            return context.store.end_attempt(key, attempt)
        except StoreAwayError as error:
            log.warning("attempt_not_written", incident_id=key.incident_id, error=str(error))
        if context.gate.is_closing:
            break
        context.clock.sleep(_WRITE_AGAIN_S)
    return context.store.end_attempt(key, attempt)


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
    if not context.store.may_go_on(key.incident_id):
        by = context.store.stand_down_of(key.incident_id)
        why = f"{by.by} took over" if by else "it was given to a human meanwhile"
        return _ended(key, AttemptEnd.INTERRUPTED, why)
    if context.clock.now() >= this.deadline:
        why = f" while it waited: {waits_for}" if waits_for is not None else ""
        return _ended(key, AttemptEnd.OUT_OF_TIME, f"the incident's time is over{why}")
    return _held(context, this)


def _held(context: Context, this: Try) -> Attempt | None:
    """Whether a human's stop, or for what changes things a freeze, is in force now; always asked anew."""
    stop = stops.in_force(context, this.key.incident_id, this.runbook)
    if stop is not None:
        return _ended(this.key, AttemptEnd.STOPPED, str(stop))
    if this.planned.is_read_only:
        return None
    freeze = freezes.open_for(context, this.key.incident_id, this.runbook)
    if freeze is None or freeze.mode.is_within(this.passes):
        return None
    return _ended(this.key, AttemptEnd.FROZEN, str(freeze))


def _held_at_last(context: Context, this: Try) -> Attempt | None:
    """As `_held`, of what is charged and written down: it waits for a store that cannot be asked."""
    while True:
        try:
            return _held(context, this)
        except StoreAwayError:
            if context.gate.is_closing:
                raise
        if context.clock.now() >= this.deadline:
            why = "the incident's time is over, and nobody could say whether it is stopped: not started"
            return _ended(this.key, AttemptEnd.OUT_OF_TIME, why)
        context.clock.sleep(_LOOK_AGAIN_S)


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
    watch = _Watch(context, this)
    result = _carry_out(context, this, commands, timeout_s, should_stop=watch.should_stop)
    if result is None:
        return _ended(this.key, AttemptEnd.REFUSED, "the step was not planned")
    return _judged(context, this, result, timeout_s, stop=watch.stop)


class _Watch:
    """Whether what runs must be ended, and the stop that said so."""

    def __init__(self, context: Context, this: Try) -> None:
        self._context = context
        self._this = this
        self.stop: Stop | None = None
        self._could_ask = True

    def should_stop(self) -> bool:
        try:
            ended = self._context.gate.must_hurry or self._is_ended()
        except StoreError as error:
            if self._could_ask:
                log.warning("not_asked_whether_to_stop", marker=self._this.key.marker, error=str(error))
            self._could_ask = False
            return False  # nobody can say, and cut off it would end unknown: it has its timeout
        self._could_ask = True
        return ended

    def _is_ended(self) -> bool:
        context, incident_id = self._context, self._this.key.incident_id
        if not context.store.may_go_on(incident_id):
            return True
        self.stop = stops.must_end(context, incident_id, self._this.runbook)
        return self.stop is not None


def _carry_out(
    context: Context,
    this: Try,
    commands: Sequence[PricedCommand],
    timeout_s: float,
    *,
    should_stop: Callable[[], bool],
) -> CommandResult | None:
    planned, marker = this.planned, this.key.marker
    if planned.script is not None:
        return context.sandbox.run(
            planned.script, commands=commands, marker=marker, timeout_s=timeout_s, should_stop=should_stop
        )
    if planned.action is not None and context.actions is not None:
        return context.actions.run(
            planned.action, command=commands[0], marker=marker, timeout_s=timeout_s, should_stop=should_stop
        )
    return None


def _judged(
    context: Context, this: Try, result: CommandResult, timeout_s: float, *, stop: Stop | None
) -> Attempt:
    shown = context.redactor.text(result.stdout)
    end, reason = (
        _ended_by(stop, result)
        if stop is not None and result.interrupted
        else _verdict(context, this, result, timeout_s, shown=shown)
    )
    return Attempt(
        section=this.key.section,
        step=this.key.step,
        number=this.key.number,
        end=end,
        reason=context.redactor.text(reason),
        exit_code=result.exit_code,
        output=_kept(shown),
        error_output=_kept(context.redactor.text(result.stderr)),
        duration_s=result.duration_s,
    )


def _verdict(
    context: Context, this: Try, result: CommandResult, timeout_s: float, *, shown: str
) -> tuple[AttemptEnd, str]:
    """What became of it, in words that may be shown; `shown` is the output with its secrets masked."""
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
    told = judge(expectation, exit_code=result.exit_code, stdout=shown)
    words = (
        told.reason if told.holds == judgement.holds else "a secret in the output decides; it is not shown"
    )
    return (AttemptEnd.SUCCEEDED if judgement.holds else AttemptEnd.FAILED), words


def _ended_by(stop: Stop, result: CommandResult) -> tuple[AttemptEnd, str]:
    why = f"{stop}, while it ran: what it had done by then stays done"
    return AttemptEnd.STOPPED, f"{why}; {result.problem}" if result.problem else why


def _timed_out(this: Try, timeout_s: float, *, problem: str) -> tuple[AttemptEnd, str]:
    """A command's processes are ended with it; a request may still be carried out over there."""
    if this.planned.action is not None and not this.planned.is_read_only:
        return AttemptEnd.OUTCOME_UNKNOWN, problem or f"the action gave no answer within {timeout_s:g} s"
    return AttemptEnd.TIMED_OUT, problem or f"no end within {timeout_s:g} s"


def _kept(redacted: str) -> str:
    if len(redacted) <= _KEPT_CHARACTERS:
        return redacted
    half = _KEPT_CHARACTERS // 2
    return f"{redacted[:half]}\n… {len(redacted) - 2 * half} characters left out …\n{redacted[-half:]}"


def _ended(key: AttemptKey, end: AttemptEnd, reason: str) -> Attempt:
    return Attempt(key.section, key.step, key.number, end, reason)
