"""Looking back: an alert that keeps coming back is not fixed by running the same steps once more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from agent.domain.decisions import EscalationTrigger, Section, Stopped
from agent.domain.handoffs import MENDED_BY
from agent.domain.incident import Entry, EventKind, Incident, Status
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.reports.summary import duration, timeline_lines

#: So many occurrences are drawn, the newest ones.
_DRAWN = 10

#: So many lines of each timeline.
_LINES = 15


def look_back(context: Context, this: Incident) -> Stopped | None:
    """Why nothing is to be run: the same alert came too often, or came back right after it was fixed."""
    config = context.config.escalation
    # a clock that was set forward makes earlier alerts look older than they are
    window_s = max(config.flapping.window_s, config.recurrence_window_s) + context.clock.leapt_s()
    before = context.store.same_before(this.id, since=this.received_at - timedelta(seconds=window_s))
    return _flapping(context, this, before) or _recurrence(context, this, before)


def _flapping(context: Context, this: Incident, before: Sequence[Incident]) -> Stopped | None:
    flapping = context.config.escalation.flapping
    since = this.received_at - timedelta(seconds=flapping.window_s + context.clock.leapt_s())
    together = [each for each in before if each.received_at >= since]
    if len(together) + 1 < flapping.count:
        return None
    drawn = together[-_DRAWN:]
    times = ", ".join(_clock(each.received_at) for each in (*drawn, this))
    reason = (
        f"flapping: the same alert {len(together) + 1} times within {duration(flapping.window_s)} ({times})"
    )
    earlier = [_in_words(context, each) for each in drawn]
    lines = [*earlier, f"{_clock(this.received_at)} now: nothing is run"]
    _tell(context, this, f"🔁 {_upper(reason)}", lines, earlier)
    return Stopped(reason, EscalationTrigger.FLAPPING)


def _recurrence(context: Context, this: Incident, before: Sequence[Incident]) -> Stopped | None:
    window = timedelta(seconds=context.config.escalation.recurrence_window_s + context.clock.leapt_s())
    fixed = [each for each in before if each.status is Status.RESOLVED and each.ended_at is not None]
    last = max(fixed, key=_ended, default=None)
    if last is None or not timedelta(0) <= this.received_at - _ended(last) <= window:
        return None
    gap = duration((this.received_at - _ended(last)).total_seconds())
    by_others = last.result.startswith(MENDED_BY)  # then no runbook of ours is to answer for it
    fixed_at = f"{'another agent' if by_others else last.runbook_id} fixed it at {_clock(_ended(last))}"
    reason = f"symptom, not cause: {fixed_at}, and it is back after {gap}"
    earlier = [f"before ({last.id}):", *timeline_lines(context.store.timeline(last.id))[-_LINES:]]
    now = [f"now ({this.id}):", *timeline_lines(context.store.timeline(this.id))[-_LINES:]]
    text = f"🔁 {_upper(reason)}; nothing is run"
    _tell(
        context, this, text, [*earlier, *now], [*earlier, *now], fixed_by="" if by_others else last.runbook_id
    )
    return Stopped(reason, EscalationTrigger.RECURRENCE)


def _tell(
    context: Context,
    this: Incident,
    text: str,
    lines: Sequence[str],
    earlier: Sequence[str],
    *,
    fixed_by: str = "",
) -> None:
    shown = "".join(f"\n    {line}" for line in lines)
    data = {"earlier": list(earlier), "fixed_by": fixed_by}
    entry = Entry("recurring", EventKind.RECURRING, text + shown, data)
    tell(context, this.id, entry)


def _in_words(context: Context, incident: Incident) -> str:
    """When it came, what was run and how it ended, in one line."""
    ran = {
        attempt.step: f"step {attempt.step} {attempt.end.value}"
        for attempt in context.store.attempts(incident.id)
        if attempt.section is Section.STEPS
    }
    what = f"{incident.runbook_id}: {', '.join(ran.values())}" if ran else "nothing was run"
    ended = incident.result.partition("\n")[0] or f"{incident.status} now"
    took = "" if incident.ended_at is None else f" after {_took(incident, incident.ended_at)}"
    return f"{_clock(incident.received_at)} {what}; {ended}{took}"


def _took(incident: Incident, ended_at: datetime) -> str:
    return duration((ended_at - incident.received_at).total_seconds())


def _ended(incident: Incident) -> datetime:
    return incident.ended_at or incident.received_at


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
