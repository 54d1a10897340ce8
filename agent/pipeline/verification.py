"""Verification: is it really fixed?

The runbook's Verify section must hold, for as long as it says, before anything is resolved.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from agent.domain.decisions import (
    Attempt,
    AttemptEnd,
    Completed,
    EscalationTrigger,
    PlannedStep,
    StandDown,
    Stopped,
)
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import AttemptKey, Changes
from agent.domain.runbook import Step, Verification
from agent.pipeline import stops
from agent.pipeline.attempt import Try, make_attempt
from agent.pipeline.context import Context
from agent.pipeline.execution import Job, attempt_data, bound_step
from agent.pipeline.telling import tell_soon
from agent.ports import Run

#: How often a Verify section is looked at while it must hold, at most.
_LOOKS = 10

#: How long a step that does not hold yet is waited for, between looks.
_LOOK_AGAIN_S = 5.0


def verify(
    run: Run, context: Context, job: Job, done: Completed, *, again: bool = False
) -> Completed | Stopped | StandDown:
    """Look until it has held for its time; a look that fails calls a human, after one more try.

    `again`: after another agent says that it has mended it; what was looked at before counts no more.
    """
    verification = job.runbook.verification
    if verification is None:
        return done
    name = "-again" if again else ""
    run.step(f"verifying{name}", lambda: _tell_verifying(context, job, verification, name), returns=None)
    looks = _LOOKS if verification.hold_for_s else 1
    first = _LOOKS + 1 if again else 1
    for look in range(first, first + looks):
        if look > first:
            run.sleep(verification.hold_for_s / (looks - 1))
        ended = _look(run, context, job, verification, look)
        if ended is not None:
            return ended
    run.step(f"verified{name}", lambda: _tell_verified(context, job, name), returns=None)
    return done


def _look(
    run: Run, context: Context, job: Job, verification: Verification, look: int
) -> Stopped | StandDown | None:
    for step, unbound in zip(verification.steps, job.plan.verify, strict=True):
        planned = bound_step(run, context, job, step, unbound)
        for retry in (0, 1):
            number = 2 * look - 1 + retry
            end = AttemptEnd(
                run.step(
                    f"verify-{step.index}-{number}",
                    partial(_look_at, context, job, step, planned, number),
                    returns=str,
                )
            )
            if end is AttemptEnd.SUCCEEDED:
                break
            if end is AttemptEnd.INTERRUPTED:
                return context.store.stand_down_of(job.incident_id) or StandDown("somebody", "took over")
            if end is AttemptEnd.OUT_OF_TIME:
                return Stopped("verification took too long", EscalationTrigger.DEADLINE)
            if end is AttemptEnd.STOPPED:
                return stops.told(context, job.incident_id, left="it was not verified")
            if retry == 0:
                run.sleep(_LOOK_AGAIN_S if step.retry_delay_s is None else step.retry_delay_s)
        else:
            return Stopped(f"not verified: {step.title} does not hold", EscalationTrigger.NOT_VERIFIED)
    return None


def _look_at(context: Context, job: Job, step: Step, planned: PlannedStep, number: int) -> str:
    hold_s = job.runbook.verification.hold_for_s if job.runbook.verification else 0.0
    key = AttemptKey(job.incident_id, planned.section, planned.index, number)
    deadline = job.deadline + timedelta(seconds=hold_s)
    this = Try(step, planned, key, job.runbook, deadline)
    return make_attempt(context, this, partial(_tell_look, context, job, step, planned)).end.value


def _tell_look(context: Context, job: Job, step: Step, planned: PlannedStep, attempt: Attempt) -> None:
    holds = attempt.end is AttemptEnd.SUCCEEDED
    text = f"{'✅' if holds else '❌'} Verify: {step.title} {'holds' if holds else 'does not hold'}"
    if attempt.end is AttemptEnd.STOPPED:
        text = f"⛔ Verify: {step.title} was not looked at"
    if not holds:
        text += f" ({attempt.reason})"
    kind = EventKind.STEP_SUCCEEDED if holds else EventKind.ATTEMPT_FAILED
    entry_key = f"verify-{step.index}-attempt-{attempt.number}"
    tell_soon(context, job.incident_id, Entry(entry_key, kind, text, attempt_data(attempt, planned)))


def _tell_verifying(context: Context, job: Job, verification: Verification, name: str) -> None:
    hold = f", for {verification.hold_for_s:g} s" if verification.hold_for_s else ""
    entry = Entry(f"verifying{name}", EventKind.VERIFYING, f"🔎 Verifying: is it really fixed{hold}?")
    until = context.clock.now() + timedelta(seconds=verification.hold_for_s)
    changes = Changes(status=Status.VERIFYING, waits_until=until)
    tell_soon(context, job.incident_id, entry, changes=changes)


def _tell_verified(context: Context, job: Job, name: str) -> None:
    entry = Entry(f"verified{name}", EventKind.VERIFIED, "🔎 Verified: it is fixed")
    tell_soon(context, job.incident_id, entry)
