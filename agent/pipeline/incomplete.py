"""A runbook that mostly escalates is probably incomplete: its owner is told, and it runs alone no more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.domain.decisions import Terms
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.runbook import Autonomy, Runbook
from agent.pipeline.context import Context
from agent.pipeline.telling import nth, tell

#: Fewer runs than these say nothing.
LEAST_RUNS = 5


@dataclass(frozen=True, slots=True)
class Record:
    """How many of a revision's last runs escalated."""

    escalated: int
    runs: int


def record_of(context: Context, runbook: Runbook) -> Record | None:
    """The runbook's record if it is too bad to run alone; another revision starts with a clean one."""
    settings = context.config.matching.incomplete
    ends = context.store.run_ends(runbook.id, runbook.revision, limit=settings.runs)
    escalated = sum(end is Status.ESCALATED for end in ends)
    if len(ends) < LEAST_RUNS or escalated <= settings.escalated_share * len(ends):
        return None
    return Record(escalated, len(ends))


def held_back(
    context: Context, incident_id: str, runbook: Runbook, terms: Terms, *, number: int = 1
) -> Terms:
    """The terms with an approval demanded where the record says so; told in the thread, with the owner."""
    record = record_of(context, runbook)
    if record is None:
        return terms
    owner = runbook.owner or "not named in its front matter"
    is_held = terms.autonomy == Autonomy.AUTO.value
    needs = " It needs an approval until a run resolves its incident or the file changes." if is_held else ""
    text = (
        f"⚠️ {runbook.id} is probably incomplete: {record.escalated} of its last {record.runs} runs escalated."
        f"{needs} Owner: {owner}"
    )
    data = {"runbook": runbook.id, "escalated": record.escalated, "runs": record.runs, "owner": runbook.owner}
    tell(context, incident_id, Entry(nth("incomplete", number), EventKind.NOTE, text, data))
    return replace(terms, autonomy=Autonomy.APPROVE.value) if is_held else terms
