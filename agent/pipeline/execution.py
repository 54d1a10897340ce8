"""Execution: steps in order, one attempt at a time, each charged and written down before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from agent.domain.decisions import (
    Attempt,
    AttemptEnd,
    Completed,
    EscalationTrigger,
    Execution,
    Plan,
    PlannedStep,
    Section,
    StandDown,
    Stopped,
    Terms,
)
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import AttemptKey, Changes
from agent.domain.runbook import FailureAction, Runbook, Step
from agent.library import judge
from agent.pipeline import approval
from agent.pipeline.attempt import Try, make_attempt
from agent.pipeline.capturing import bind_captured
from agent.pipeline.context import Context
from agent.pipeline.telling import preformatted, tell, tell_soon
from agent.pipeline.typed import as_typed
from agent.ports import Run


@dataclass(frozen=True, slots=True)
class Job:
    """One incident's run: what to do, and until when."""

    incident_id: str
    runbook: Runbook
    plan: Plan
    deadline: datetime
    terms: Terms


def execute(run: Run, context: Context, job: Job) -> Execution:
    """Run the steps; every way out is a value."""
    outputs: dict[int, Attempt] = {}
    succeeded = 0
    last: Attempt | None = None
    for step, planned in zip(job.runbook.steps, job.plan.steps, strict=True):
        if _skipped(step, outputs):
            run.step(f"skip-{step.index}", partial(_tell_skipped, context, job, step), returns=bool)
            last = None
            continue
        attempt = _run_step(run, context, job, step, planned)
        if isinstance(attempt, StandDown | Stopped):
            return attempt
        outputs[step.index] = last = attempt
        if attempt.end is AttemptEnd.SUCCEEDED:
            succeeded += 1
            continue
        stopped = _after_failure(run, context, job, step, attempt)
        if stopped is not None:
            return stopped
    if job.runbook.verification is None and (last is None or last.end is not AttemptEnd.SUCCEEDED):
        how = f"failed ({last.reason})" if last is not None else "was skipped"
        reason = f"the last step {how}, so nothing shows that it is fixed"
        return Stopped(reason, EscalationTrigger.NOT_VERIFIED)
    return Completed(succeeded, len(job.plan.steps))


def _skipped(step: Step, outputs: dict[int, Attempt]) -> bool:
    if step.only_if is None:
        return False
    earlier = outputs.get(step.only_if.step)
    if earlier is None:
        return True
    return not judge(step.only_if.expectation, exit_code=earlier.exit_code, stdout=earlier.output).holds


def _run_step(
    run: Run, context: Context, job: Job, step: Step, planned: PlannedStep
) -> Attempt | StandDown | Stopped:
    """All attempts of one step; the last attempt, or why the run ends here."""
    limit = step.max_attempts or job.terms.max_attempts
    delay_s = job.terms.retry_delay_s if step.retry_delay_s is None else step.retry_delay_s
    planned = bound_step(run, context, job, step, planned)
    not_now = _ask_first(run, context, job, step, planned)
    if not_now is not None:
        return not_now
    run.step(f"step-{step.index}", lambda: _tell_step(context, job, planned), returns=None)
    for number in range(1, limit + 1):
        if number > 1 and delay_s > 0:
            run.sleep(delay_s)
        key = AttemptKey(job.incident_id, planned.section, planned.index, number)
        attempt: Attempt = run.step(
            f"step-{step.index}-attempt-{number}",
            partial(_attempt_and_tell, context, job, step, planned, key),
            returns=Attempt,
        )
        ended = _ends_the_run(context, job, step, attempt)
        if ended is not None:
            return ended
        if attempt.end in (AttemptEnd.SUCCEEDED, AttemptEnd.REFUSED):
            break
    return attempt


def bound_step(run: Run, context: Context, job: Job, step: Step, planned: PlannedStep) -> PlannedStep:
    """A step that waits for captured values is bound once, and remembered as it was bound."""
    if not planned.waits_for:
        return planned
    bound: PlannedStep = run.step(
        f"{planned.section}-{planned.index}-bind",
        lambda: bind_captured(context, job.incident_id, job.runbook, job.plan, step=step, planned=planned),
        returns=PlannedStep,
    )
    return bound


def _ask_first(
    run: Run, context: Context, job: Job, step: Step, planned: PlannedStep
) -> Stopped | StandDown | None:
    """A step that says `Approval: required` waits for its own yes, as long as the incident has time.

    So does each one that changes something, if whoever approved the plan wants to see it step by step.
    """
    asks = step.approval_required or (job.terms.step_by_step and not planned.is_read_only)
    if not asks or planned.refusal is not None:
        return None
    return approval.ask_for_step(
        run,
        context,
        job.incident_id,
        plan=job.plan,
        planned=planned,
        runbook=job.runbook,
        timeout_s=job.terms.approval_timeout_s,
        until=job.deadline,
    )


def _ends_the_run(context: Context, job: Job, step: Step, attempt: Attempt) -> StandDown | Stopped | None:
    match attempt.end:
        case AttemptEnd.INTERRUPTED:
            return context.store.stand_down_of(job.incident_id) or StandDown("somebody", "took over")
        case AttemptEnd.OUT_OF_TIME:
            return Stopped(f"step {step.index}: {attempt.reason}", EscalationTrigger.DEADLINE)
        case AttemptEnd.OUTCOME_UNKNOWN:
            return Stopped(
                f"outcome unknown: step {step.index} ({step.title}): {attempt.reason}, and it changes "
                "things, so it is not run again",
                EscalationTrigger.OUTCOME_UNKNOWN,
            )
        case AttemptEnd.STOPPED | AttemptEnd.FROZEN:
            trigger = (
                EscalationTrigger.KILL_SWITCH
                if attempt.end is AttemptEnd.STOPPED
                else EscalationTrigger.FREEZE
            )
            return Stopped(f"{attempt.reason}; it was at step {step.index} ({step.title})", trigger)
        case AttemptEnd.REFUSED if attempt.number == 1:
            # It never ran, so there is no failure that its failure action could be about.
            return Stopped(
                f"step {step.index} ({step.title}) refused: {attempt.reason}", EscalationTrigger.REFUSED
            )
        case AttemptEnd.SUCCEEDED | AttemptEnd.FAILED | AttemptEnd.TIMED_OUT | AttemptEnd.REFUSED:
            return None


def _after_failure(
    run: Run, context: Context, job: Job, step: Step, attempt: Attempt
) -> Stopped | StandDown | None:
    """What the step's failure action makes of it; None goes on with the next step."""
    tries = "once" if attempt.number == 1 else "twice" if attempt.number == 2 else f"{attempt.number} times"
    reason = f"Runbook step failed {tries}: {step.title} ({attempt.reason})"
    match step.failure_action:
        case FailureAction.CONTINUE:
            return None
        case FailureAction.ESCALATE:
            return Stopped(reason, EscalationTrigger.STEP_FAILED)
        case FailureAction.STOP:
            return Stopped(f"{reason}; the runbook says stop", EscalationTrigger.STOPPED_BY_RUNBOOK)
        case FailureAction.ROLLBACK:
            return _roll_back(run, context, job, reason)


def _roll_back(run: Run, context: Context, job: Job, reason: str) -> Stopped | StandDown:
    """Run the Rollback section as far as it goes, then call a human in any case."""
    for step, unbound in zip(job.runbook.rollback, job.plan.rollback, strict=True):
        planned = bound_step(run, context, job, step, unbound)
        key = AttemptKey(job.incident_id, Section.ROLLBACK, planned.index, 1)
        not_now = _ask_first(run, context, job, step, planned)
        if not_now is not None:
            return not_now
        run.step(f"rollback-{step.index}", partial(_tell_step, context, job, planned), returns=None)
        attempt: Attempt = run.step(
            f"rollback-{step.index}-attempt-1",
            partial(_attempt_and_tell, context, job, step, planned, key),
            returns=Attempt,
        )
        ended = _ends_the_run(context, job, step, attempt)
        if ended is not None:
            return ended
        if attempt.end is not AttemptEnd.SUCCEEDED:
            return Stopped(f"{reason}; rollback step {step.index} failed too", EscalationTrigger.STEP_FAILED)
    done = "rolled back" if job.plan.rollback else "there is no Rollback section to run"
    return Stopped(f"{reason}; {done}", EscalationTrigger.STEP_FAILED)


def _attempt_and_tell(
    context: Context, job: Job, step: Step, planned: PlannedStep, key: AttemptKey
) -> Attempt:
    this = Try(step, planned, key, job.runbook, job.deadline, passes=job.terms.passes)
    return make_attempt(context, this, partial(_tell_attempt, context, job, step, planned))


def _tell_step(context: Context, job: Job, planned: PlannedStep) -> None:
    name = _step_name(planned)
    commands = as_typed(planned)
    tell_soon(
        context,
        job.incident_id,
        Entry(
            f"{planned.section}-{planned.index}",
            EventKind.STEP_STARTED,
            f"▶️ {name}: {planned.title}{commands}",
            {"step": planned.index, "section": planned.section.value},
        ),
        changes=Changes(status=Status.RUNNING),
    )


def _tell_skipped(context: Context, job: Job, step: Step) -> bool:
    earlier = f"step {step.only_if.step}" if step.only_if else "an earlier step"
    text = f"⏭️ Step {step.index} skipped: its condition on {earlier} does not hold"
    return tell(context, job.incident_id, Entry(f"steps-{step.index}-skipped", EventKind.STEP_SKIPPED, text))


def _tell_attempt(context: Context, job: Job, step: Step, planned: PlannedStep, attempt: Attempt) -> None:
    name = _step_name(planned)
    key = f"{planned.section}-{step.index}-attempt-{attempt.number}"
    kind, text = _attempt_in_words(name, step, attempt)
    data = attempt_data(attempt, planned)
    done = Changes(steps_done=step.index) if planned.section is Section.STEPS else None
    tell_soon(context, job.incident_id, Entry(key, kind, text, data), changes=done)


def _attempt_in_words(name: str, step: Step, attempt: Attempt) -> tuple[EventKind, str]:
    code = f"exit code {attempt.exit_code}, " if attempt.exit_code else ""
    took = f" ({code}{attempt.duration_s:.1f} s)"
    match attempt.end:
        case AttemptEnd.SUCCEEDED:
            return EventKind.STEP_SUCCEEDED, f"✅ {name} succeeded{took}{_output(attempt)}"
        case AttemptEnd.FAILED | AttemptEnd.TIMED_OUT:
            failed = f"❌ {name} attempt {attempt.number} failed: {attempt.reason}{took}"
            return EventKind.ATTEMPT_FAILED, failed + _output(attempt)
        case AttemptEnd.REFUSED:
            return EventKind.REFUSED, f"🛑 {name} attempt {attempt.number} refused: {attempt.reason}"
        case AttemptEnd.INTERRUPTED | AttemptEnd.OUT_OF_TIME:
            return EventKind.ATTEMPT_FAILED, f"⏹️ {name} attempt {attempt.number} stopped: {attempt.reason}"
        case AttemptEnd.STOPPED:
            return EventKind.STOPPED, f"⛔ {name} attempt {attempt.number}: {attempt.reason}"
        case AttemptEnd.FROZEN:
            return EventKind.FROZEN, f"🧊 {name} attempt {attempt.number} not started: {attempt.reason}"
        case AttemptEnd.OUTCOME_UNKNOWN:
            why = f"{attempt.reason}; not run again"
            unknown = f"❓ {name} attempt {attempt.number}: outcome unknown ({step.title}): {why}"
            return EventKind.OUTCOME_UNKNOWN, unknown


def _output(attempt: Attempt) -> str:
    return preformatted(attempt.output or attempt.error_output)


def attempt_data(attempt: Attempt, planned: PlannedStep) -> dict[str, object]:
    """What the audit log keeps of an attempt."""
    return {
        "section": attempt.section.value,
        "step": attempt.step,
        "attempt": attempt.number,
        "outcome": attempt.end.value,
        "why": attempt.reason,
        "argv": [list(command.argv) for command in planned.commands],
        "exit_code": attempt.exit_code,
        "output": attempt.output,
        "error_output": attempt.error_output,
        "duration_s": round(attempt.duration_s, 3),
    }


def _step_name(planned: PlannedStep) -> str:
    names = {Section.STEPS: "Step", Section.VERIFY: "Verify step", Section.ROLLBACK: "Rollback step"}
    return f"{names[planned.section]} {planned.index}"
