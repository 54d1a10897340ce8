"""Keeptrusts' escalations: taken into the queue with their page, ended with it, in whatever order.

What Keeptrusts tells may come twice, late, or the end before the beginning. For each escalation there is one
place in the queue and one incident of PagerDuty, and both are over in the end: the page and its clearing are
letters of one story, delivered in order, written in the transaction that changes the queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import structlog

from agent.config import Config
from agent.config.keeptrusts import Keeptrusts
from agent.domain.alert import Alert
from agent.domain.decisions import StandDown
from agent.domain.incident import DESK_SOURCE, Entry, EventKind
from agent.domain.keeptrusts import (
    ESCALATION_ID,
    KeeptrustsEscalation,
    KeeptrustsResolution,
    given_id,
    item_id,
    page_key,
    page_url,
    paged_for,
)
from agent.domain.outbox import NO_CLIENT, Channel, Message, PageHuman
from agent.domain.queue import Action, Escalated, Origin, QueueStatus, Resolution, rank_of
from agent.escalations import claims
from agent.escalations.entering import Received
from agent.escalations.notices import PAGES, Occasion, cleared, told
from agent.pipeline.context import Context
from agent.pipeline.keeptrusts_tickets import ticket_closed, ticket_for
from agent.pipeline.queueing import QueueDesk, redacted_entry
from agent.pipeline.telling import redacted
from agent.ports.keeptrusts import KeeptrustsStore

log = structlog.get_logger()

#: What the published page calls every such alert.
KIND = "ai-governance"

#: What the page links to, in its own words and ours.
_CONSOLE_WORDS, _RUNBOOK_WORDS = "View in Keeptrusts Console", "Runbook"

#: Somebody may be faster as often as this.
_TRIES = 5

_NOT_SAID = "it does not say how"

#: Keeptrusts, where it does not say who.
_THEY = "Keeptrusts"


class Taken(StrEnum):
    """What became of one webhook."""

    NEW = "accepted"
    OVER = "accepted, and over already"
    KNOWN = "duplicate"
    CLOSED = "closed"
    EARLY = "over before it was told to be there"
    CONTENDED = "others change it at this very moment"


@dataclass(frozen=True, slots=True)
class KeeptrustsDesk:
    """What working on them needs; `queue` is the desk of the queue over the same store."""

    store: KeeptrustsStore
    queue: QueueDesk
    config: Config
    section: Keeptrusts


def created(
    desk: KeeptrustsDesk, escalation: KeeptrustsEscalation, raw: Mapping[str, object], *, now: datetime
) -> Taken:
    """A policy wants a human: the queue, the page and the ticket at once; told again, nothing."""
    escalation = _without_secrets(desk, escalation)
    for _ in range(_TRIES):
        if desk.store.queue_item(item_id(escalation.escalation_id)) is not None:
            return Taken.KNOWN
        over = desk.store.keeptrusts_early(escalation.escalation_id)
        item, entries, messages = _entering(desk, escalation, raw, now)
        if over is not None:
            item, entry, ending = _ended(desk, item, over, now)
            entries, messages = [*entries, entry], [*messages, *ending]
        is_new = desk.store.keeptrusts_add(
            item,
            entries,
            messages,
            escalation_id=escalation.escalation_id,
            is_over=over is not None,
        )
        if is_new:
            return Taken.NEW if over is None else Taken.OVER
    return Taken.CONTENDED


def resolved(desk: KeeptrustsDesk, over: KeeptrustsResolution, *, now: datetime) -> Taken:
    """Keeptrusts says that it is over: so it is here; what we settled ourselves is over already."""
    for _ in range(_TRIES):
        item = desk.store.queue_item(item_id(over.escalation_id))
        if item is None:
            if desk.store.keeptrusts_early(over.escalation_id) is not None:
                return Taken.KNOWN
            if desk.store.keeptrusts_over_early(_redacted(desk, over), _early(desk, over)):
                return Taken.EARLY
            continue
        if item.status.is_over:
            return Taken.KNOWN
        after, entry, messages = _ended(desk, item, over, now)
        if desk.store.queue_change(item, after, entry, messages):
            return Taken.CLOSED
    return Taken.CONTENDED


def waiting(context: Context, alert: Alert) -> StandDown | None:
    """Whether a page of Keeptrusts' came back for which no runbook is: its human is called, and by it."""
    escalation_id = _paged_for(alert)
    item = context.store.queue_item(item_id(escalation_id)) if escalation_id else None
    if item is None:
        return None
    state = "is over" if item.status.is_over else f"waits for {item.assignee or item.target}"
    return StandDown(_THEY, f"called a human with it: {item.id} {state}")


def answered(context: Context, incident_id: str, by: StandDown) -> bool:
    """Whoever takes its page at PagerDuty has begun to look; False if nothing waited for that."""
    escalation_id = _paged_for(context.store.incident(incident_id).alert)
    for _ in range(_TRIES):
        item = context.store.queue_item(item_id(escalation_id)) if escalation_id else None
        if item is None or by.is_by_itself or item.status.is_over or item.answered_at is not None:
            return False
        now = context.clock.now()
        text = f"👀 {by.by} {by.how} of {item.id}"
        data = {"escalation": item.id, "deed": "answered", "by": by.by}
        entry = redacted(context, Entry("queue-answered", EventKind.QUEUE, text, data, by.by))
        if context.store.queue_change(item, claims.answered(item, now), entry):
            return True
    return False


def page_of(section: Keeptrusts, escalation: KeeptrustsEscalation) -> PageHuman:
    """The page as published, for the service of PagerDuty that the policy type belongs to."""
    url = page_url(section.console_url, escalation.escalation_id)
    runbook = section.runbook(escalation.policy_name)
    return PageHuman(
        dedup_key=page_key(escalation.escalation_id),
        summary=headline(escalation),
        severity=escalation.severity,
        source=f"keeptrusts-gateway-{escalation.gateway_id}",
        component=escalation.model,
        details={
            "event_id": escalation.event_id,
            "escalation_id": escalation.escalation_id,
            "policy_name": escalation.policy_name,
            "model": escalation.model,
            "user_id": escalation.user_id,
            "console_url": url,
        },
        links=((url, _CONSOLE_WORDS), *(((runbook, _RUNBOOK_WORDS),) if runbook else ())),
        target=section.pager_target(escalation.policy_type),
        group=escalation.org_id,
        kind=KIND,
        at=escalation.timestamp,
        client=NO_CLIENT,
    )


def headline(escalation: KeeptrustsEscalation) -> str:
    """What it is called everywhere; the published listing joins the two words, which nobody could read."""
    return f"AI Policy Escalation: {escalation.policy_name} — {escalation.action}"


def _paged_for(alert: Alert) -> str:
    """Only where it was paged it can come back from: the same key elsewhere is somebody else's alert."""
    return paged_for(alert.dedup_key) if alert.source == DESK_SOURCE else ""


def _entering(
    desk: KeeptrustsDesk, escalation: KeeptrustsEscalation, raw: Mapping[str, object], now: datetime
) -> tuple[Escalated, list[Entry], list[Message]]:
    queueing = desk.queue.queueing
    facts = desk.queue.redactor.value(_facts(desk.section, escalation, raw))
    given = Received(
        given_id(escalation.escalation_id),
        escalation.policy_name,
        headline(escalation),
        rank_of(escalation.severity, None),
        policy_rule=escalation.policy_name,
        service=escalation.gateway_id,
        consumer=escalation.user_id,
        facts=facts if isinstance(facts, dict) else {},
    )
    item = queueing.received(given.item(now))
    messages: list[Message] = []
    if Channel.PAGER in queueing.channels:
        page = page_of(desk.section, escalation)
        item = replace(item, facts={**item.facts, PAGES: [[page.dedup_key, page.target]]})
        messages.append(page)
    item, notices = told(queueing, item, Occasion.CREATED)
    # its own ticket before that of a routing rule: one key has one ticket, the first
    messages += [*ticket_for(escalation, config=desk.config), *notices]
    text = f"🆕 {item.id} from Keeptrusts: {escalation.policy_name}, {escalation.action}, for {item.target}"
    data = {"escalation": item.id, "deed": "received", "rule": item.rule, "target": item.target}
    entry = Entry("queue-received", EventKind.QUEUE, text, data, str(Origin.KEEPTRUSTS))
    return item, [redacted_entry(desk.queue, entry)], messages


def _ended(
    desk: KeeptrustsDesk, item: Escalated, over: KeeptrustsResolution, now: datetime
) -> tuple[Escalated, Entry, list[Message]]:
    """As Keeptrusts says, and what ends its page and its ticket."""
    over = _redacted(desk, over)
    by, how = over.by or _THEY, over.resolution or _NOT_SAID
    note = f"Resolved in Keeptrusts: {how}." + (f" {over.notes}" if over.notes else "")
    resolution = Resolution(_action_of(over.resolution), by, now, note)
    after = replace(item, status=QueueStatus.RESOLVED, assignee=item.assignee or by, resolution=resolution)
    why = f"{by} resolved it in Keeptrusts ({how})"
    data = {
        "escalation": item.id,
        "deed": "closed at its source",
        "by": by,
        "action": resolution.action.value,
        "resolution_time_seconds": round((now - item.created_at).total_seconds()),
    }
    entry = Entry("queue-closed-at-keeptrusts", EventKind.QUEUE, f"✅ {item.id} is over: {why}", data, by)
    tickets = ticket_closed(over.escalation_id, resolution.action.value, note, config=desk.config)
    messages: Sequence[Message] = (*cleared(desk.queue.queueing, after, why), *tickets)
    return after, redacted_entry(desk.queue, entry), list(messages)


def _early(desk: KeeptrustsDesk, over: KeeptrustsResolution) -> Entry:
    story = item_id(over.escalation_id)
    text = f"⏳ {story} is over in Keeptrusts, which has not told yet that it is there"
    data = {"escalation": story, "deed": "over early", "action": over.resolution}
    entry = Entry("queue-over-early", EventKind.QUEUE, text, data, str(Origin.KEEPTRUSTS))
    return redacted_entry(desk.queue, entry)


def _facts(
    section: Keeptrusts, escalation: KeeptrustsEscalation, raw: Mapping[str, object]
) -> dict[str, object]:
    context = {
        "model": escalation.model,
        "gateway": escalation.gateway_id,
        "organisation": escalation.org_id,
        "policy type": escalation.policy_type,
        "action": escalation.action,
        "console": page_url(section.console_url, escalation.escalation_id),
        "runbook": section.runbook(escalation.policy_name),
    }
    return {
        "reason": f"policy {escalation.policy_name} says {escalation.action}",
        ESCALATION_ID: escalation.escalation_id,
        "context": {name: text for name, text in context.items() if text},
        "raw": dict(raw),
    }


def _action_of(word: str) -> Action:
    """Keeptrusts' own three; any other word, such as a tracker's, means that somebody dealt with it there."""
    plain = "_".join(word.casefold().replace("-", " ").replace("_", " ").split())
    own = {each.value: each for each in (Action.ALLOW, Action.BLOCK, Action.REDACT_AND_ALLOW)}
    return own.get(plain, Action.FIXED_BY_HAND)


def _redacted(desk: KeeptrustsDesk, over: KeeptrustsResolution) -> KeeptrustsResolution:
    text = desk.queue.redactor.text
    return replace(over, resolution=text(over.resolution), notes=text(over.notes), by=text(over.by))


def _without_secrets(desk: KeeptrustsDesk, escalation: KeeptrustsEscalation) -> KeeptrustsEscalation:
    """Redacted before it is kept, paged or told; its id is what it is found again by."""
    text = desk.queue.redactor.text
    return replace(
        escalation,
        policy_name=text(escalation.policy_name),
        action=text(escalation.action),
        event_id=text(escalation.event_id),
        policy_type=text(escalation.policy_type),
        model=text(escalation.model),
        gateway_id=text(escalation.gateway_id),
        org_id=text(escalation.org_id),
        user_id=text(escalation.user_id),
    )
