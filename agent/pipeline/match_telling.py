"""What matching found, in the timeline: verdict, probability, strongest reasons; and read back from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.domain.decisions import Ambiguous, Candidate, Match, Matched, NoMatch
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import Message
from agent.domain.records import Changes
from agent.domain.runbook import Runbook
from agent.pipeline import earned
from agent.pipeline.advice import Consulted, data_of, in_words
from agent.pipeline.advice_counts import counts_of
from agent.pipeline.context import Context
from agent.pipeline.telling import nth, tell, tell_soon

_KEY = "matched"

#: In the data of what was matched: all whose rules hold, of which a human may choose another one.
ELIGIBLE = "eligible"


def told_before(context: Context, incident_id: str) -> Matched | None:
    """The runbook that the incident runs by, if that was settled before a crash."""
    told = context.store.incident(incident_id)
    if not told.runbook_revision:
        return None
    matched = [event for event in context.store.timeline(incident_id) if event.kind is EventKind.MATCHED]
    data = matched[-1].data if matched else {}
    given = data.get("parameters")
    parameters = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    return Matched(
        told.runbook_id, told.runbook_revision, told.confidence or 0.0, told.match_reasons, parameters
    )


def tell_found(
    context: Context,
    incident_id: str,
    found: Match,
    *,
    runbooks: Mapping[str, Runbook],
    eligible: int,
    consulted: Consulted | None,
    among: Sequence[object] = (),
) -> None:
    """Tell it, with what the advisor said first. A human's choice is told by whoever asks for it."""
    said = _advice(consulted)
    if consulted is not None and consulted.answer is not None:
        context.store.count(counts_of(consulted.answer))  # asked again after a crash, it is paid for again
    if said:
        # alone: asked again after a crash it may say something else, and what follows from that is told too
        tell(context, incident_id, *said)
    match found:
        case Matched():
            runbook = runbooks[found.runbook_id]
            tell_matched(context, incident_id, runbook, found, eligible=eligible, among=among)
        case NoMatch(reasons):
            text = "⚠️ No runbook matched" + _lines(reasons)
            tell(context, incident_id, Entry("no_match", EventKind.NO_MATCH, text, {"why": list(reasons)}))
        case Ambiguous(candidates):
            # what is offered is what will run, whatever happens to the file meanwhile
            for each in candidates:
                context.store.keep_revision(runbooks[each.runbook_id])


def tell_matched(
    context: Context,
    incident_id: str,
    runbook: Runbook,
    found: Matched,
    *,
    eligible: int = 1,
    among: Sequence[object] = (),
    before: Sequence[Entry] = (),
    messages: Sequence[Message] = (),
    number: int = 1,
) -> None:
    """Tell which runbook it is and keep its revision. `number`: its plan's, which another runbook counts up.

    `among`: what a human may choose in its place.
    """
    context.store.keep_revision(runbook)
    autonomy = earned.level(context.config, context.store.autonomy_of(runbook.id), runbook)
    best = f", probability {found.confidence:.2f} among {eligible}" if eligible > 1 else ""
    sure = best or (f", probability {found.confidence:.2f}" if found.confidence < 1 else "")
    text = f"📋 Matched runbook: {runbook.id}{sure}, because {'; '.join(found.reasons)}"
    data = {
        "runbook": runbook.id,
        "revision": runbook.revision,
        "confidence": found.confidence,
        "why": list(found.reasons),
        "autonomy": autonomy.value,
        "parameters": dict(found.parameters),
        **({ELIGIBLE: list(among)} if among else {}),
    }
    changes = Changes(
        status=Status.MATCHED, match=found, runbook_title=runbook.title, autonomy=autonomy.value
    )
    entry = Entry(nth(_KEY, number), EventKind.MATCHED, text, data)
    tell_soon(context, incident_id, *before, entry, changes=changes, messages=messages)


def choices_in_words(incident_id: str, candidates: Sequence[Candidate]) -> str:
    """Ranked choices, each with the command that takes it."""
    return _lines(
        f"{each.runbook_id} ({each.confidence:.2f}): {'; '.join(each.reasons)}; "
        f"`oncall-agent choose {incident_id} {each.runbook_id}`"
        for each in candidates
    )


def _advice(consulted: Consulted | None) -> list[Entry]:
    if consulted is None or consulted.answer is None:
        return []
    return [Entry("advice", EventKind.NOTE, f"💡 {in_words(consulted)}", {"advice": data_of(consulted)})]


def _lines(reasons: Iterable[str]) -> str:
    return "".join(f"\n    {reason}" for reason in reasons)
