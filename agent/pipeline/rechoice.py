"""Another runbook in the place of the one that is asked about: only one whose rules held for this alert too.

What may be chosen is settled when the alert is matched, each with the revision that it had then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.domain.alert import Alert
from agent.domain.decisions import Candidate, Matched
from agent.domain.incident import EventKind, TimelineEvent
from agent.domain.runbook import Runbook
from agent.library import evaluate
from agent.pipeline.context import Context
from agent.pipeline.kept import kept_runbook
from agent.pipeline.match_telling import ELIGIBLE, tell_matched


@dataclass(frozen=True, slots=True)
class Rechosen:
    """Neither yes nor no: a new plan is to be made with this runbook."""

    runbook_id: str
    by: str


def eligible(context: Context, alert: Alert, found: Iterable[tuple[Candidate, Runbook]]) -> list[object]:
    """Those whose rules hold, as the timeline keeps them, each with its revision; none if there is only one.

    What scores alone speak for is none of them.
    """
    offered = list(found)
    if len(offered) < 2:
        return []
    held = [(each, runbook) for each, runbook in offered if evaluate(runbook.trigger, alert).holds]
    if len(held) < 2:
        return []
    for _, runbook in held:
        context.store.keep_revision(runbook)
    return [
        [runbook.id, runbook.revision, round(each.confidence, 4), list(each.reasons)]
        for each, runbook in held
    ]


def others(timeline: Sequence[TimelineEvent], runbook_id: str) -> tuple[Candidate, ...]:
    """What may be chosen in the place of this runbook, the more probable first."""
    return tuple(each for each in _kept(timeline) if each.runbook_id != runbook_id)


def _kept(timeline: Sequence[TimelineEvent]) -> list[Candidate]:
    matched = (event.data.get(ELIGIBLE) for event in timeline if event.kind is EventKind.MATCHED)
    rows = next((each for each in matched if isinstance(each, list)), [])
    return [
        Candidate(str(name), float(confidence), tuple(map(str, reasons)), str(revision))
        for name, revision, confidence, reasons in rows
    ]


def take(context: Context, incident_id: str, chosen: Rechosen, *, number: int) -> Matched | None:
    """The incident runs by the chosen runbook from now on, told once; None if it was not offered.

    `number` is that of its plan.
    """
    kept = _kept(context.store.timeline(incident_id))
    candidate = next((each for each in kept if each.runbook_id == chosen.runbook_id), None)
    if candidate is None:
        return None
    runbook = kept_runbook(context, candidate.runbook_id, candidate.revision)
    found = Matched(
        runbook.id, runbook.revision, candidate.confidence, (f"chosen by {chosen.by}", *candidate.reasons)
    )
    tell_matched(context, incident_id, runbook, found, number=number)
    return found
