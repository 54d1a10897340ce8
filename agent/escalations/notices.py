"""Who is told of an escalation, on which way and in which words: when it is made, runs short, or is overdue.

The incident's own page is not this module's: it wakes a human whatever the rules say. Here is what the rules
add to it. A way that is not configured is left out here and told by `doctor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from enum import StrEnum

from agent.domain.alert import Severity
from agent.domain.outbox import (
    Channel,
    ChannelNotice,
    ClearPage,
    HookNotice,
    MailHuman,
    Message,
    PageHuman,
    channel_of,
)
from agent.domain.queue import Escalated, Origin, Rank
from agent.escalations.entering import BY_HAND, Queueing
from agent.escalations.tickets import WAY as TICKET_WAY
from agent.escalations.tickets import told_by_ticket, with_ticket

#: The beginning of every page's key that is ours: so it is known when it comes back as a webhook.
_KEY_PREFIX = "oncall-agent-"

#: PagerDuty Events API v2 cuts a longer summary.
_MAX_SUMMARY = 1_024

#: A subject line that mail readers show whole (RFC 5322 allows 998 characters a line).
_MAX_SUBJECT = 200

_SEVERITY = {
    Rank.CRITICAL: Severity.CRITICAL,
    Rank.HIGH: Severity.ERROR,
    Rank.MEDIUM: Severity.WARNING,
    Rank.LOW: Severity.INFO,
}

PAGES = "pages"


class Occasion(StrEnum):
    """What it is told for."""

    CREATED = "created"
    AMBER = "amber"
    BREACHED = "breached"
    MOVED = "moved"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class _Way:
    kind: Channel
    name: str = ""


def told(queueing: Queueing, item: Escalated, occasion: Occasion) -> tuple[Escalated, list[Message]]:
    """The messages, and the escalation that remembers the pages among them: they are cleared at its end."""
    messages: list[Message] = []
    if BY_HAND in item.facts and occasion is not Occasion.MOVED:
        return item, messages
    for way in _ways(item, occasion):
        message = _message(queueing, item, occasion, way)
        if message is not None and channel_of(message) in queueing.channels:
            messages.append(message)
            item = with_ticket(item, message)
    if not messages and not _is_paged(item, occasion) and Channel.PAGER in queueing.channels:
        messages.append(_page(queueing, item, occasion, ""))  # rather than tell nobody
    pages = [[each.dedup_key, each.target] for each in messages if isinstance(each, PageHuman)]
    if not pages:
        return item, messages
    return replace(item, facts={**item.facts, PAGES: [*_pages(item), *pages]}), messages


def paged_instead(queueing: Queueing, item: Escalated, why: str) -> tuple[Escalated, PageHuman] | None:
    """A page where a way that was chosen takes nothing; None if somebody was paged for it, or nobody can be.

    Without it nobody would know of the escalation: half of its time and its breach are told on the same way.
    """
    was_paged = _is_paged(item, Occasion.CREATED) or bool(_pages(item)) or BY_HAND in item.facts
    if item.status.is_over or was_paged or Channel.PAGER not in queueing.channels:
        return None
    page = _page(queueing, item, Occasion.CREATED, "")
    page = replace(page, summary=f"{why}. {page.summary}"[:_MAX_SUMMARY])
    return replace(item, facts={**item.facts, PAGES: [[page.dedup_key, page.target]]}), page


def cleared(queueing: Queueing, item: Escalated, why: str) -> list[Message]:
    """What ends every page that was sent for it, the incident's own as well."""
    if Channel.PAGER not in queueing.channels:
        return []
    own = str(item.facts.get("dedup_key") or "")
    found: list[Message] = [ClearPage(own, why)] if own else []
    return found + [ClearPage(key, why, target) for key, target in _pages(item)]


def _pages(item: Escalated) -> list[list[str]]:
    pages = item.facts.get(PAGES)
    return [[str(part) for part in each] for each in pages] if isinstance(pages, list) else []


def _ways(item: Escalated, occasion: Occasion) -> Sequence[_Way]:
    """On its target's own way, and on its rule's channel."""
    found: list[_Way] = []
    for text in (item.target, item.channel):
        kind, _, name = text.partition(":")
        if kind == "pagerduty":
            found.append(_Way(Channel.PAGER, name))
        elif kind == "slack" and name:
            found.append(_Way(Channel.NOTICE, name))
        elif kind == "hook" and name:
            found.append(_Way(Channel.HOOK, name))
        elif kind == TICKET_WAY:
            found.append(_Way(Channel.TICKET, name))
        elif text == "email" or ("@" in text and not name):
            found.append(_Way(Channel.MAIL, item.target if text == "email" else text))
    found = found or [_Way(Channel.PAGER)]
    is_paged = _is_paged(item, occasion)
    wanted = [each for each in found if not (is_paged and each == _Way(Channel.PAGER))]
    return list(dict.fromkeys(wanted))


def _is_paged(item: Escalated, occasion: Occasion) -> bool:
    """By its incident's own page, or by the one that it came with."""
    return occasion is Occasion.CREATED and (item.origin is Origin.AGENT or PAGES in item.facts)


def _message(queueing: Queueing, item: Escalated, occasion: Occasion, way: _Way) -> Message | None:
    if way.kind is Channel.PAGER:
        if way.name and way.name not in queueing.pager_targets:
            return None
        return _page(queueing, item, occasion, way.name)
    if way.kind is Channel.NOTICE:
        return ChannelNotice(way.name, text_of(queueing, item, occasion))
    if way.kind is Channel.TICKET:
        return _ticket(queueing, item, occasion, way.name)
    subject = f"[{item.rank.upper()}] {_headline(item, occasion)}: {item.title}"[:_MAX_SUBJECT]
    key = f"{item.id}-{occasion}-{item.level}"
    text, facts = text_of(queueing, item, occasion), _facts(item)
    links = ((link_of(queueing, item), "The escalation"),)
    if way.kind is Channel.HOOK:
        return HookNotice(way.name, key, subject, text, facts, links) if way.name in queueing.hooks else None
    to = queueing.addresses(way.name)
    return MailHuman(to, subject, text, key, facts, links) if to else None


def _ticket(queueing: Queueing, item: Escalated, occasion: Occasion, project: str) -> Message | None:
    """Or a comment on it, where it has one by now."""
    if queueing.tickets is None:
        return None
    return told_by_ticket(
        queueing.tickets,
        item,
        project=project,
        headline=_headline(item, occasion),
        text=text_of(queueing, item, occasion),
        link=link_of(queueing, item),
    )


def _page(queueing: Queueing, item: Escalated, occasion: Occasion, target: str) -> PageHuman:
    key = f"{_KEY_PREFIX}{item.id}" + ("" if occasion is Occasion.CREATED else f"-{occasion}-{item.level}")
    sent = sum(each == key or each.startswith(f"{key}-again") for each, _ in _pages(item))
    return PageHuman(
        # moved there and back: under the key of a page that is open still, nobody would be paged again
        dedup_key=key if not sent else f"{key}-again-{sent}",
        summary=f"{_headline(item, occasion)}: {item.reason} [{item.title}]"[:_MAX_SUMMARY],
        severity=_SEVERITY[item.rank],
        source="oncall-agent queue",
        component=item.service,
        details={
            "escalation": item.id,
            "trigger": item.trigger,
            "for": item.target,
            "deadline": item.deadline.isoformat(),
            "incident": item.incident_id,
            "runbook": item.runbook,
            "policy_rule": item.policy_rule,
        },
        links=((link_of(queueing, item), "The escalation"),),
        target=target,
    )


def text_of(queueing: Queueing, item: Escalated, occasion: Occasion) -> str:
    """What a mail or a channel says."""
    message = str(item.facts.get("message") or "")
    lines = (
        message,
        f"{_headline(item, occasion)} ({item.rank}): {item.title}",
        f"Why: {item.reason}" if item.reason != item.trigger else f"Trigger: {item.trigger}",
        f"Policy rule: {item.policy_rule}" if item.policy_rule else "",
        f"Service: {item.service}" if item.service else "",
        f"Runbook: {item.runbook}" if item.runbook else "",
        f"For: {item.target}" + (f", claimed by {item.assignee}" if item.assignee else ""),
        f"Until: {item.deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        f"{item.id}: {link_of(queueing, item)}",
    )
    return "\n".join(line for line in lines if line)


def _facts(item: Escalated) -> dict[str, str]:
    """The same in parts, for whoever shows or reads more than text."""
    parts = {
        "escalation": item.id,
        "severity": item.rank.value,
        "trigger": item.trigger,
        "why": item.reason,
        "policy_rule": item.policy_rule,
        "service": item.service,
        "runbook": item.runbook,
        "for": item.target,
        "claimed_by": item.assignee,
        "until": item.deadline.astimezone(UTC).isoformat(timespec="seconds"),
        "incident": item.incident_id,
    }
    return {name: value for name, value in parts.items() if value}


def link_of(queueing: Queueing, item: Escalated) -> str:
    """Where the escalation is looked at."""
    return f"{queueing.pages_url}/escalations/{item.id}"


def _headline(item: Escalated, occasion: Occasion) -> str:
    match occasion:
        case Occasion.CREATED:
            return "Escalation"
        case Occasion.AMBER:
            return f"Half of the time of {item.id} is over"
        case Occasion.BREACHED:
            return f"SLA of {item.id} is breached"
        case Occasion.MOVED:
            return f"Escalation {item.id} is yours now"
        case Occasion.UNANSWERED:
            return f"Nobody has begun to look at {item.id}"
