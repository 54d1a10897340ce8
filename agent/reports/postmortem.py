"""The post-mortem of an incident: every word of it from what is kept, every number counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.domain.decision_event import HIGH_BLOCK_RATE, LEAST_OF_A_MINUTE
from agent.domain.incident import EventKind, Status, TimelineEvent
from agent.domain.postmortem import Case, Moment, Participant, Postmortem, Summary
from agent.reports.postmortem_actions import actions, person
from agent.reports.postmortem_facts import Facts, gap, without_sign
from agent.reports.postmortem_lessons import causes, sentence, went_badly, went_well
from agent.reports.summary import duration

#: What stands in the audit log and says nothing about how it went; a step's start is told with its end.
_LEFT_OUT = frozenset(
    {EventKind.SYSTEM, EventKind.DELIVERY, EventKind.SUMMARY, EventKind.LEARNED, EventKind.STEP_STARTED,
     EventKind.ATTEMPT_STARTED, EventKind.AUTONOMY, EventKind.ACCESS}
)  # fmt: skip

#: What a reader in a hurry looks for.
_TURNS = frozenset(
    {EventKind.RECEIVED, EventKind.NO_MATCH, EventKind.MATCHED, EventKind.APPROVED, EventKind.REFUSED,
     EventKind.ESCALATED, EventKind.RESOLVED, EventKind.STOOD_DOWN, EventKind.QUEUE, EventKind.VERIFIED}
)  # fmt: skip

_OUTCOMES = frozenset({EventKind.STEP_SUCCEEDED, EventKind.ATTEMPT_FAILED})

#: More lines than these are a log; the middle is in the export.
_MOST_MOMENTS = 80

#: Ids at the source of what was folded into it; the evidence export has them all.
_FOLDED_SHOWN = 20

_NO_PERSON = frozenset({"agent", "keeptrusts", "", "somebody", "nobody"})


def postmortem(case: Case, *, summary: Summary | None = None) -> Postmortem:
    """The document; with a summary that somebody else wrote, that one."""
    facts = Facts(case)
    return Postmortem(
        incident_id=facts.incident.id,
        title=facts.alert.title,
        started_at=facts.started_at,
        ended_at=facts.ended_at,
        duration=facts.took,
        severity=facts.severity,
        status=_status(facts),
        summary=summary or Summary(summary_by_rules(case)),
        timeline=tuple(sorted([*_moments(facts), *_of_events(facts)], key=lambda each: each.at)),
        causes=tuple(causes(facts)),
        impact=tuple(_impact(facts)),
        tried=tuple(facts.tried()),
        went_well=tuple(went_well(facts)),
        went_badly=tuple(went_badly(facts)),
        actions=actions(facts),
        participants=tuple(_participants(facts)),
        links=tuple(_links(facts)),
        proofs=case.proofs,
        events=case.events,
    )


def summary_by_rules(case: Case) -> str:
    """What happened and who was impacted, in a few sentences."""
    facts = Facts(case)
    return " ".join([_reported(facts), *_answered(facts), *_ended(facts), *_decided(facts)])


def _reported(facts: Facts) -> str:
    alert = facts.alert
    often = "" if facts.incident.alert_count == 1 else f", {facts.incident.alert_count} times in all"
    return (
        f"At {facts.incident.received_at:%H:%M:%S} UTC {alert.source} reported “{alert.title}” on "
        f"{facts.service} ({facts.severity}{often})."
    )


def _answered(facts: Facts) -> Iterator[str]:
    incident = facts.incident
    if incident.runbook_id:
        sure = f", confidence {incident.confidence:.0%}" if incident.confidence is not None else ""
        yield f"The agent answered it with the runbook “{incident.runbook_title or facts.runbook}”{sure}."
    said_yes = facts.last(EventKind.APPROVED)
    if said_yes is not None:
        yield f"{person(said_yes.actor)} approved the plan at {said_yes.at:%H:%M:%S}."


def _ended(facts: Facts) -> Iterator[str]:
    incident, item = facts.incident, facts.item
    total = incident.steps_total
    ran = f"{incident.steps_done} of {total} step{'' if total == 1 else 's'} ran"
    match incident.status:
        case Status.RESOLVED:
            held = " and its result was verified" if facts.first(EventKind.VERIFIED) is not None else ""
            yield f"{ran}{held}; it was resolved after {facts.took} without a human taking over."
        case Status.ESCALATED:
            first = f"{ran}, then a human was needed" if incident.steps_total else "A human was needed"
            yield f"{first}: {sentence(item.reason if item is not None else incident.result)}"
        case Status.STOOD_DOWN:
            yield sentence(f"{incident.stood_down_by} {incident.stood_down_how}")
        case Status.IGNORED:
            into = f" to {incident.folded_into}" if incident.folded_into else ""
            yield f"Nothing was started for it: it belongs{into}." if into else "Nothing was started for it."
        case _:
            yield f"It is not over: {incident.status.replace('_', ' ')}."
    yield from _settled(facts)


def _settled(facts: Facts) -> Iterator[str]:
    item = facts.item
    if item is None:
        return
    settled = item.resolution
    if settled is not None:
        took = duration((settled.at - item.created_at).total_seconds())
        what = settled.action.replace("_", " ")
        yield f"{settled.by} settled it {took} after the call ({what}): “{settled.note}”."
    elif facts.ended_at is not None:
        yield f"It cleared at its source at {facts.ended_at:%H:%M:%S} before anybody had settled it."
    elif item.assignee:
        yield f"{item.assignee} works on it."
    else:
        yield f"Nobody has claimed it yet; it is with {item.target or 'the on-call'}."


def _decided(facts: Facts) -> Iterator[str]:
    events = facts.case.events
    if events is not None and events.total:
        users = f", for {events.users:,} users of {events.teams:,} teams" if events.users else ""
        yield (
            f"Between {events.since:%H:%M} and {events.until:%H:%M} the gateway decided {events.total:,} "
            f"requests and blocked {events.blocked:,} of them ({events.blocked_share:.0%}){users}."
        )


_STATUS: Mapping[Status, str] = {
    Status.RESOLVED: "resolved by the agent",
    Status.ESCALATED: "escalated to a human",
    Status.STOOD_DOWN: "taken over by a human",
    Status.IGNORED: "nothing was started",
}


def _status(facts: Facts) -> str:
    item = facts.item
    if item is not None and item.status.is_over:
        return "settled by a human" if item.resolution is not None else "cleared at its source"
    if facts.incident.status is Status.ESCALATED:
        return "with a human, not settled yet"
    return _STATUS.get(facts.incident.status, "not over yet")


def _moments(facts: Facts) -> Iterator[Moment]:
    shown = [event for event in facts.case.timeline if event.kind not in _LEFT_OUT and event.text]
    began = facts.started_at
    if began < facts.incident.received_at:
        yield Moment(began, f"{facts.alert.source} saw it begin", is_turn=True)
    half = _MOST_MOMENTS // 2
    left_out = len(shown) - 2 * half
    for event in shown if left_out <= 0 else shown[:half]:
        yield Moment(event.at, _told(facts, event), is_turn=event.kind in _TURNS)
    if left_out > 0:
        at = shown[half].at
        yield Moment(at, f"… {left_out} entries left out; the evidence export has them …")
        for event in shown[-half:]:
            yield Moment(event.at, _told(facts, event), is_turn=event.kind in _TURNS)


def _of_events(facts: Facts) -> Iterator[Moment]:
    """When the block rate rose over what is an incident of its own, and when it fell below it for good."""
    events = facts.case.events
    told = [each for each in events.minutes if each.total >= LEAST_OF_A_MINUTE] if events is not None else []
    high = [place for place, each in enumerate(told) if each.blocked_share >= HIGH_BLOCK_RATE]
    if not high:
        return
    first, behind = high[0], high[-1] + 1
    before = f" from {told[first - 1].blocked_share:.0%}" if first else ""
    yield Moment(told[first].at, f"Block rate rose{before} to {told[first].blocked_share:.0%}", is_turn=True)
    if behind < len(told):
        after = told[behind]
        yield Moment(after.at, f"Block rate fell to {after.blocked_share:.0%}", is_turn=True)


def _told(facts: Facts, event: TimelineEvent) -> str:
    """One entry in one line; of a step with its title, which is told when it starts."""
    text = without_sign(event.text.partition("\n")[0]).replace("ESCALATING:", "Escalated:", 1)
    if event.kind not in _OUTCOMES:
        return text
    for attempt in facts.case.attempts:
        place = f"{event.data.get('section')}-{event.data.get('step')}"
        if place == f"{attempt.section.value}-{attempt.step}":
            plain = facts.named(attempt).partition(" “")[0]
            return text.replace(plain, facts.named(attempt), 1)
    return text


def _impact(facts: Facts) -> Iterator[tuple[str, str]]:
    alert, item, incident = facts.alert, facts.item, facts.incident
    rows = [("Service", alert.service), ("Environment", alert.environment), ("Team", alert.team)]
    yield from ((name, value) for name, value in rows if value)
    until = f"{facts.ended_at:%Y-%m-%d %H:%M:%S}" if facts.ended_at is not None else "not over yet"
    yield "From – to (UTC)", f"{facts.started_at:%Y-%m-%d %H:%M:%S} – {until}"
    detected = (incident.received_at - facts.started_at).total_seconds()
    if detected > 0:
        yield "Time to detect", duration(detected)
    if facts.worked_at is not None:
        yield "Time to the first step", gap(incident.received_at, facts.worked_at)
    if item is not None:
        yield "Time to call a human", gap(incident.received_at, item.created_at)
        if item.claimed_at is not None:
            yield "Time to claim", gap(item.created_at, item.claimed_at)
    yield "Time to resolve", facts.took
    if incident.alert_count > 1:
        ids = ", ".join(facts.case.folded[:_FOLDED_SHOWN])
        yield "The same alert", f"{incident.alert_count} times" + (f", also as {ids}" if ids else "")
    yield "What the agent changed", _changed(facts.case.charged)
    if facts.case.events is not None and facts.case.events.users:
        events = facts.case.events
        yield "People whose requests were blocked", f"{events.users:,} in {events.teams:,} teams"
    yield "Customer impact", "to be filled in: the agent has no figure of it"


def _changed(charged: Mapping[str, int]) -> str:
    done = [f"{many} × {name.replace('_', ' ')}" for name, many in charged.items() if many and name != "read"]
    return ", ".join(done) or "nothing"


_DEEDS = {
    "claimed": "claimed it",
    "released": "gave it back",
    "reassigned": "gave it on",
    "further": "escalated it further",
    "resolved": "settled it",
}
_DID = {
    EventKind.APPROVED: "approved the plan",
    EventKind.APPROVAL_REJECTED: "rejected the plan",
    EventKind.VOTED: "said yes to the plan",
    EventKind.CHOSEN: "chose the runbook",
    EventKind.PARAMETERS_EDITED: "changed the plan's values",
    EventKind.STOOD_DOWN: "took it over",
    EventKind.STOPPED: "stopped the agent",
    EventKind.RESUMED: "let the agent go on",
}


def _participants(facts: Facts) -> Iterator[Participant]:
    did: dict[str, dict[str, None]] = {}
    for event in facts.case.timeline:
        name = person(event.actor)
        if name.casefold() not in _NO_PERSON and name != facts.alert.source:
            deed = _DEEDS.get(str(event.data.get("deed"))) or _DID.get(event.kind)
            if deed:
                did.setdefault(name, {})[deed] = None
    for name, deeds in did.items():
        yield Participant(name, ", ".join(deeds))
    item = facts.item
    if item is not None and item.target and item.target not in did:
        yield Participant(item.target, "was called")


def _links(facts: Facts) -> Iterator[tuple[str, str]]:
    base = facts.case.pages_url
    if base:
        yield "The incident with its whole story", f"{base}/incidents/{facts.incident.id}"
    if base and facts.item is not None and base.endswith("/console"):
        yield "The escalation", f"{base}/queue/{facts.item.id}"
    for name, url in (
        ("At its source", facts.alert.url),
        *(("Of the alert", each) for each in facts.alert.links),
    ):
        if url.startswith(("https://", "http://")) and url.isprintable():
            yield name, url
