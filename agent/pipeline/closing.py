"""Closing: resolve, escalate with the evidence, or hand over; then the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

import structlog

from agent.domain.alert import Severity
from agent.domain.decisions import NOBODY, Completed, Execution, StandDown, Stopped
from agent.domain.handoffs import HANDED_OVER, HANDOFF_SOURCE, MENDED_BY
from agent.domain.incident import (
    DESK_SOURCE,
    MANUAL_SOURCE,
    Entry,
    EventKind,
    Incident,
    Status,
    TimelineEvent,
)
from agent.domain.outbox import Channel, ChatSummary, ClearPage, DeskNote, DeskResolve, Message, PageHuman
from agent.domain.queue import rank_of
from agent.domain.records import Changes, Escalation, FoldedEnd
from agent.pipeline import earned
from agent.pipeline.clearing import says_cleared
from agent.pipeline.context import Context
from agent.pipeline.escalation_notes import escalation_notes, with_runbooks_word
from agent.pipeline.intake import OWN_KEY_PREFIX
from agent.pipeline.telling import tell
from agent.reports.summary import evidence, summary, titled

#: PagerDuty Events API v2 cuts a longer summary.
_MAX_SUMMARY = 1_024

#: Spreads no one alert's text over a whole note (PagerDuty notes: 25,000 characters are shown).
_MAX_NOTE = 20_000

#: Of incidents at the source that are the same alert, so many are named in a page.
_FOLDED_SHOWN = 20

#: What an operator is told where a page has no way to anybody.
NO_PAGER = "Nobody is paged: pagerduty.routing_key is not configured"

#: Says, in the data of the entry that tells a choice, that its page was cleared with it.
CLEARS = "clears_page"

#: The key of the entry that tells that what was fixed could not be closed at its source.
_UNRESOLVED = "unresolved"

if TYPE_CHECKING:
    from agent.pipeline.handing_over import Mended

log = structlog.get_logger()


def close(context: Context, incident_id: str, end: Execution) -> bool:
    """The one way out of an incident, whoever ran it; False if it was closed before."""
    match end:
        case Completed():
            return resolve(context, incident_id, end)
        case Stopped():
            return escalate(context, incident_id, end)
        case StandDown():
            incident, story = context.store.incident(incident_id), context.store.timeline(incident_id)
            return stand_down(context, incident, story, end)
        case _ as never:
            assert_never(never)


def resolve(context: Context, incident_id: str, done: Completed) -> bool:
    """It is fixed: close it at its source, with what was done."""
    incident, story = context.store.incident(incident_id), context.store.timeline(incident_id)
    if (taken := incident.stand_down) is not None:
        return stand_down(context, incident, story, taken)
    text = "✅ Incident resolved automatically"
    if says_cleared(story):
        text += f": {incident.alert.source} says that it is over"
    resolution = f"Resolved automatically by runbook {incident.runbook_id}"
    return _end(
        context,
        incident,
        story,
        Entry("end", EventKind.RESOLVED, text, {"succeeded": done.succeeded}),
        Changes(
            status=Status.RESOLVED,
            result="Resolved automatically",
            folded=_resolved_with(context, incident),
            earned=earned.by_resolving(context, incident),
        ),
        (
            DeskResolve(incident.alert.source_id, resolution),
            *_clear_question(incident_id, story, "it is resolved"),
        ),
    )


def resolve_mended(context: Context, incident_id: str, mended: Mended) -> bool:
    """Another agent mended it: closed at its source as well; the runbook has earned nothing by it.

    Not closing it there would be the greater risk: what we acknowledged pages nobody when it fires again,
    and what we closed does.
    """
    incident, story = context.store.incident(incident_id), context.store.timeline(incident_id)
    if (taken := incident.stand_down) is not None:
        return stand_down(context, incident, story, taken)
    how = "and our own verification holds" if mended.is_verified else "by its own word"
    result = f"{MENDED_BY}{mended.by}, {how}" + (f": {mended.words}" if mended.words else "")
    return _end(
        context,
        incident,
        story,
        Entry("end", EventKind.RESOLVED, f"✅ {result}", {"by": mended.by, "verified": mended.is_verified}),
        Changes(status=Status.RESOLVED, result=result, folded=_resolved_with(context, incident)),
        (
            DeskResolve(incident.alert.source_id, result),
            *_clear_question(incident_id, story, f"{mended.by} resolved it"),
        ),
    )


def escalate(context: Context, incident_id: str, stopped: Stopped) -> bool:
    """A human is needed: page them with the alert, what was tried, the output and the reason.

    If a human has already taken over, they are not paged: they are told what state things are in.
    """
    incident, story = context.store.incident(incident_id), context.store.timeline(incident_id)
    if (taken := incident.stand_down) is not None:
        return stand_down(context, incident, story, taken, left=stopped.reason)
    over = f"; meanwhile {incident.alert.source} says that it is over" * says_cleared(story)
    reason = context.redactor.text(stopped.reason) + over
    notes = escalation_notes(context, incident)
    page = with_runbooks_word(_page(context, incident, story, reason), notes)
    unpaged = nobody_can_be_paged(context, incident)
    if unpaged:
        log.error("nobody_can_be_paged", incident_id=incident_id, reason=reason, fix=NO_PAGER)
    return _end(
        context,
        incident,
        story,
        Entry(
            "end",
            EventKind.ESCALATED,
            f"🔴 ESCALATING: {reason}" + (f"\n⚠️ {NO_PAGER}" if unpaged else ""),
            {"trigger": stopped.trigger.value, "why": reason, "dedup_key": page.dedup_key},
        ),
        Changes(
            status=Status.ESCALATED,
            result=f"Escalated to a human: {reason}",
            escalation=Escalation(
                stopped.trigger,
                reason,
                page.severity,
                page.dedup_key,
                page.summary,
                rank=rank_of(page.severity, None) if notes.severity else None,
                routing=notes.routing,
                message=notes.message,
            ),
            folded=FoldedEnd(f"Given to a human with {incident_id}, the same alert"),
            earned=earned.by_stopping(context, incident, stopped, reason),
        ),
        () if incident.alert.source == HANDOFF_SOURCE else (page,),
    )


def stand_down(
    context: Context,
    incident: Incident,
    story: Sequence[TimelineEvent],
    taken: StandDown,
    *,
    left: str = "",
) -> bool:
    """Somebody took over: say who, and what state things are in."""
    state = f" What stopped it: {left}." if left else ""
    who = f"{taken.by} {taken.how}"
    text = f"🧍 Standing down: {who}. The agent starts nothing more.{state}"
    return _end(
        context,
        incident,
        story,
        Entry("end", EventKind.STOOD_DOWN, text, {"by": taken.by, "how": taken.how}, actor=taken.by),
        Changes(
            status=Status.STOOD_DOWN,
            result=f"Ended: {who}" if taken.by == NOBODY else f"Handed over to {taken.by} ({taken.how})",
            # a human who has taken it over has the alert; what is over by itself is that one alone
            folded=FoldedEnd(f"{taken.by} has {incident.id}, the same alert", released=taken.is_by_itself),
        ),
        _clear_question(incident.id, story, f"{taken.by} {taken.how}"),
    )


def _resolved_with(context: Context, incident: Incident) -> FoldedEnd:
    """What the source opened for the same alert meanwhile is closed there too."""
    words = f"Resolved with {incident.id}, the same alert"
    if context.config.sources.clear_within_s(incident.alert.source) is not None:
        return FoldedEnd(words, released=True)  # of what fired since then it has not said that it is over
    if Channel.DESK not in context.channels or incident.alert.source != DESK_SOURCE:
        return FoldedEnd(words)
    return FoldedEnd(words, DeskResolve("", words, same_as=dict(incident.alert.labels)))


def page_for_choice(context: Context, incident: Incident, reason: str) -> PageHuman:
    """The page at once, while a human's choice is waited for; escalating without one wakes nobody again."""
    story = context.store.timeline(incident.id)
    return _page(context, incident, story, context.redactor.text(reason))


def page_ahead(context: Context, incident: Incident, reason: str) -> PageHuman:
    """The page at once, while another agent is asked; escalating later wakes nobody again."""
    page = _page(context, incident, context.store.timeline(incident.id), reason)
    return with_runbooks_word(page, escalation_notes(context, incident))


def clear_choice(incident_id: str, why: str) -> ClearPage:
    """The page that asked for a choice is answered; the entry that tells so says `CLEARS`."""
    return ClearPage(f"{OWN_KEY_PREFIX}{incident_id}", why)


def _clear_question(incident_id: str, timeline: Sequence[TimelineEvent], why: str) -> tuple[Message, ...]:
    """Ends the page that asked for a choice, if that was not done when it was made; and one sent ahead."""
    if any(event.key == HANDED_OVER and event.data.get("paged") for event in timeline):
        return (ClearPage(_page_key(incident_id, timeline), why),)
    asked = any(event.kind is EventKind.AMBIGUOUS for event in timeline)
    cleared = any(event.data.get(CLEARS) for event in timeline if event.kind is EventKind.CHOSEN)
    return (clear_choice(incident_id, why),) if asked and not cleared else ()


def nobody_can_be_paged(context: Context, incident: Incident) -> bool:
    """Whether a page that is due has no way to anybody."""
    has_a_human_elsewhere = incident.alert.source in (MANUAL_SOURCE, HANDOFF_SOURCE)
    return Channel.PAGER not in context.channels and not has_a_human_elsewhere


def page_unresolved(context: Context, incident_id: str, why: str) -> bool:
    """What was fixed cannot be closed at its source: a human is told once, as a warning."""
    incident = context.store.incident(incident_id)
    reason = f"fixed, but it could not be resolved at {incident.alert.source}: {why}"
    page = replace(
        _page(context, incident, context.store.timeline(incident_id), context.redactor.text(reason)),
        dedup_key=_unresolved_key(incident_id),
        severity=Severity.WARNING,
    )
    entry = Entry(_UNRESOLVED, EventKind.NOTE, f"⚠️ {reason}")
    return tell(context, incident_id, entry, messages=(page,))


def page_not_the_same(
    context: Context, incident_id: str, source_id: str, other: Mapping[str, tuple[str, str]]
) -> bool:
    """What looked like the same alert is about something else: it is left open, and a human is told of it."""
    incident = context.store.incident(incident_id)
    differs = ", ".join(f"{name} {theirs}, not {ours}" for name, (ours, theirs) in sorted(other.items()))
    reason = context.redactor.text(
        f"{source_id} looked like the same alert and is not: {differs}; it is open"
    )
    page = replace(
        _page(context, incident, context.store.timeline(incident_id), reason),
        dedup_key=f"{OWN_KEY_PREFIX}{incident_id}-other-{source_id}",
    )
    entry = Entry(f"other-{source_id}", EventKind.NOTE, f"⚠️ {reason}", {"source_id": source_id})
    return tell(context, incident_id, entry, messages=(page,))


def now_resolved(context: Context, incident_id: str, how: str) -> bool:
    """It is closed at its source after all: the warning that it is not is taken back."""
    if not any(event.key == _UNRESOLVED for event in context.store.timeline(incident_id)):
        return False
    entry = Entry("resolved-after-all", EventKind.NOTE, f"✅ Closed at its source after all: {how}")
    return tell(context, incident_id, entry, messages=(ClearPage(_unresolved_key(incident_id), how),))


def _unresolved_key(incident_id: str) -> str:
    return f"{OWN_KEY_PREFIX}{incident_id}-unresolved"


def _end(
    context: Context,
    incident: Incident,
    story: Sequence[TimelineEvent],
    entry: Entry,
    changes: Changes,
    messages: tuple[Message, ...] = (),
) -> bool:
    """The end, its summary and everything that follows from it, in one transaction or not at all."""
    now = context.clock.now()
    last = TimelineEvent(0, incident.id, now, entry.kind, entry.text, entry.data, entry.actor, entry.key)
    text = context.redactor.text(summary(incident, [*story, last], result=changes.result or "", now=now))
    return tell(
        context,
        incident.id,
        entry,
        Entry("summary", EventKind.SUMMARY, text),
        changes=changes,
        messages=(ChatSummary(text), DeskNote(incident.alert.source_id, text[:_MAX_NOTE]), *messages),
    )


def _page(context: Context, incident: Incident, timeline: Sequence[TimelineEvent], reason: str) -> PageHuman:
    attempts = context.store.attempts(incident.id)
    details = evidence(incident, timeline, attempts, reason=reason) | _pattern(timeline)
    details |= _more_of_it(context, incident)
    redacted = context.redactor.value(details)
    return PageHuman(
        dedup_key=_page_key(incident.id, timeline),
        summary=context.redactor.text(f"AI agent escalation: {reason} [{titled(incident)}]")[:_MAX_SUMMARY],
        severity=incident.alert.severity or Severity.CRITICAL,
        source="incident-agent",
        component=context.redactor.text(incident.alert.service),
        details=redacted if isinstance(redacted, dict) else {},
        links=((f"{context.config.pages_url}/incidents/{incident.id}", "The incident's timeline"),),
    )


def _more_of_it(context: Context, incident: Incident) -> dict[str, object]:
    """How often the same alert has come since, and as what at the source."""
    if incident.alert_count == 1:
        return {}
    folded = list(context.store.folded(incident.id, limit=_FOLDED_SHOWN))
    return {"same_alert_count": incident.alert_count, "same_alert_source_ids": folded}


def _page_key(incident_id: str, timeline: Sequence[TimelineEvent]) -> str:
    return f"{OWN_KEY_PREFIX}{incident_id}" + ("-chosen" if _was_chosen(timeline) else "")


def _was_chosen(timeline: Sequence[TimelineEvent]) -> bool:
    """The page that asked for a choice is answered then: what goes wrong later has to wake somebody again."""
    return any(event.kind is EventKind.CHOSEN for event in timeline)


def _pattern(timeline: Sequence[TimelineEvent]) -> dict[str, object]:
    """How the alert came back before, for whoever is paged."""
    told = [event.data.get("earlier") for event in timeline if event.kind is EventKind.RECURRING]
    return {"earlier": told[-1]} if told else {}
