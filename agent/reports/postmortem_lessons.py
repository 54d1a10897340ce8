"""What may have been the cause, what went well, and what did not: each by a rule, from kept facts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from agent.domain.decisions import AttemptEnd, EscalationTrigger
from agent.domain.incident import EventKind
from agent.domain.postmortem import Candidate
from agent.domain.queue import Action
from agent.reports.postmortem_facts import Facts, gap, without_sign
from agent.reports.summary import duration

#: A source that tells later than this of what it saw tells late.
_LATE_S = 60.0

#: What the agent says of itself where something could not be told to somebody.
_NOT_TOLD = ("undeliverable", "not-told", "page-late", "page-left-open", "late-")


def causes(facts: Facts) -> Iterator[Candidate]:
    """What may have been the cause, what speaks most for itself first. A human decides."""
    item = facts.item
    settled = item.resolution if item is not None else None
    if item is not None and settled is not None and settled.action is not Action.FALSE_ALARM:
        done = str(item.facts.get("what_was_done") or "").replace("\n", "; ")
        yield Candidate(
            f"As {settled.by} wrote when settling it: “{settled.note}”",
            f"done by hand: {done}" if done else settled.action.replace("_", " "),
        )
    elif settled is not None:
        yield Candidate("A false alarm: nothing was broken", f"{settled.by}: “{settled.note}”")
    again = facts.first(EventKind.RECURRING)
    if again is not None:
        fixed_by = str(again.data.get("fixed_by") or "")
        what = f"Something that {fixed_by} does not reach" if fixed_by else "Something that comes and goes"
        yield Candidate(what, _first_line(again.text))
    yield from _of_the_run(facts)
    yield from _of_events(facts)
    related = next((event for event in facts.all(EventKind.NOTE) if event.key == "related"), None)
    if related is not None:
        others = "; ".join(line.strip() for line in related.text.splitlines()[1:])
        yield Candidate("The same trouble as other alerts of this service, shortly before it", others)


def _of_the_run(facts: Facts) -> Iterator[Candidate]:
    if facts.is_resolved:
        title = facts.incident.runbook_title or facts.runbook
        done = "it ended well"
        held = ", and its Verify section held" if facts.first(EventKind.VERIFIED) is not None else ""
        reasons = facts.incident.match_reasons
        chosen = f"; matched: {reasons[0]}" if reasons else ""
        yield Candidate(f"What the runbook “{title}” is written for", f"{done}{held}{chosen}")
    failed = [each for each in facts.not_good if each.end in (AttemptEnd.FAILED, AttemptEnd.TIMED_OUT)]
    if failed and not facts.is_resolved:
        last = failed[-1]
        yield Candidate(f"What {facts.named(last)} ran into", last.reason)


def _of_events(facts: Facts) -> Iterator[Candidate]:
    events = facts.case.events
    if events is None or not events.policies or not events.blocked:
        return
    first = events.policies[0]
    yield Candidate(
        f"The policy {first.name}",
        f"it blocked {first.blocked:,} requests between {events.since:%H:%M} and {events.until:%H:%M}, "
        "more than any other",
    )


def went_well(facts: Facts) -> Iterator[str]:
    """What helped."""
    received, worked, item = facts.incident.received_at, facts.worked_at, facts.item
    if worked is not None:
        yield f"The first step began {gap(received, worked)} after the alert came in."
    if facts.is_resolved:
        asked = facts.first(EventKind.APPROVED)
        how = "after one yes" if asked is not None else "without waking anybody"
        held = ", and what was fixed was verified" if facts.first(EventKind.VERIFIED) is not None else ""
        yield f"It was resolved {how}{held}."
    if _was_refused(facts) and not facts.case.charged:
        yield "A guard refused what nobody had allowed before anything was changed."
    if item is not None:
        called = gap(received, item.created_at)
        tried = ", with everything that had been tried" if facts.case.attempts else ""
        yield f"A human was called {called} after the alert came in{tried}."
        ended = facts.ended_at
        if ended is not None and ended <= item.deadline:
            took, had = (
                duration((each - item.created_at).total_seconds()) for each in (ended, item.deadline)
            )
            yield f"It was settled in time: {took} of the {had} that a human has."
    if facts.incident.alert_count > 1:
        yield f"The same alert came {facts.incident.alert_count} times and was worked on once."


def went_badly(facts: Facts) -> Iterator[str]:
    """What did not."""
    late_s = (facts.incident.received_at - facts.started_at).total_seconds()
    if late_s > _LATE_S:
        yield f"The source told of it {duration(late_s)} after it had begun."
    yield from _unanswered(facts)
    for _, group in groupby(facts.not_good, key=lambda each: (each.section, each.step)):
        attempts = list(group)
        often = "" if len(attempts) == 1 else f", {len(attempts)} attempts"
        yield f"{facts.named(attempts[-1])} did not work{often}: {sentence(attempts[-1].reason)}"
    item = facts.item
    if item is not None and (item.breached_at is not None or _is_late(facts)):
        had = duration((item.deadline - item.created_at).total_seconds())
        yield f"The SLA was missed: a human has {had} for it."
    for event in facts.case.timeline:
        if event.key.startswith(_NOT_TOLD) or "Nobody is paged" in event.text:
            yield sentence(without_sign(event.text.splitlines()[-1]))


def _unanswered(facts: Facts) -> Iterator[str]:
    trigger = facts.item.trigger if facts.item is not None else ""
    match trigger:
        case EscalationTrigger.NO_MATCH:
            yield "No runbook answered it."
        case EscalationTrigger.AMBIGUOUS:
            yield "More than one runbook could have answered it, and nobody chose one in time."
        case EscalationTrigger.APPROVAL_EXPIRED:
            yield "A plan was ready, and nobody answered in time whether it may run."
        case EscalationTrigger.NOT_VERIFIED:
            yield "Every step worked, and it was not fixed."
        case EscalationTrigger.RECURRENCE:
            yield "It had been fixed shortly before, and came back: the symptom was cured, not the cause."
        case EscalationTrigger.FLAPPING:
            yield f"It keeps coming back: {sentence(facts.item.reason if facts.item is not None else '')}"
        case EscalationTrigger.STUCK | EscalationTrigger.AGENT_ERROR:
            yield f"The agent itself failed: {sentence(facts.item.reason if facts.item is not None else '')}"


def _was_refused(facts: Facts) -> bool:
    is_trigger = facts.item is not None and facts.item.trigger == EscalationTrigger.REFUSED
    return is_trigger or facts.first(EventKind.REFUSED) is not None


def _is_late(facts: Facts) -> bool:
    ended = facts.ended_at
    return facts.item is not None and ended is not None and ended > facts.item.deadline


def sentence(text: str) -> str:
    """Words that were not written as a sentence, with its end."""
    plain = text.strip()
    return plain if plain.endswith((".", "!", "?", "…")) or not plain else f"{plain}."


def _first_line(text: str) -> str:
    return without_sign(text.partition("\n")[0])
