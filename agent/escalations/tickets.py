"""The ticket of an escalation: opened where a rule says `jira`, told of what follows, closed at its end.

One for each escalation: who is told later, or at another project, finds the one that is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC

from agent.domain.outbox import CloseTicket, CommentTicket, Message, OpenTicket
from agent.domain.queue import Escalated, Origin, Rank
from agent.domain.tickets import escalation_ticket

#: The fact of an escalation that holds its ticket's key.
TICKET = "ticket"

#: Where a rule writes its ticket: `jira`, or `jira:PROJECT`.
WAY = "jira"

_STEPS = (
    "Open the escalation by the link above",
    "Read what was tried, what it put out, and why the agent stopped",
    "Put it right, or find that nothing was wrong",
    "Update this ticket with findings",
    "Resolve this ticket: that settles the escalation",
)


@dataclass(frozen=True, slots=True)
class Ticketing:
    """Words of the tracker's own, as configured."""

    project: str
    issue_type: str = "Task"
    priorities: Mapping[Rank, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def with_ticket(item: Escalated, message: Message) -> Escalated:
    """The escalation that remembers its ticket, so that its end closes it."""
    if not isinstance(message, OpenTicket):
        return item
    return replace(item, facts={**item.facts, TICKET: message.key})


def told_by_ticket(
    ticketing: Ticketing, item: Escalated, *, project: str, headline: str, text: str, link: str
) -> Message:
    """The ticket, or a comment on it where it has one."""
    key = str(item.facts.get(TICKET) or "")
    if key:
        return CommentTicket(key, text)
    return OpenTicket(
        key=escalation_ticket(item.id),
        project=project or ticketing.project,
        issue_type=ticketing.issue_type,
        summary=f"{headline}: {item.title}",
        heading="On-call escalation",
        priority=ticketing.priorities.get(item.rank, ""),
        labels=tuple(filter(None, ("oncall-agent", *ticketing.labels, item.service, item.trigger))),
        fields={"Escalation ID": item.id, "Policy Name": item.policy_rule},
        facts=tuple(each for each in _facts(item) if each[1]),
        text=str(item.facts.get("message") or ""),
        steps=_STEPS,
        links=((link, "The escalation"),),
    )


def ticket_closed(item: Escalated, why: str) -> list[Message]:
    """What closes the ticket of an escalation that is over; where there is none it closes nothing."""
    key = str(item.facts.get(TICKET) or "")
    if not key and item.origin is not Origin.KEEPTRUSTS:
        return []
    key = key or escalation_ticket(item.id)
    by = item.resolution
    return [CloseTicket(key, by.action.value if by is not None else "", f"{why}. {by.note}" if by else why)]


def _facts(item: Escalated) -> tuple[tuple[str, str], ...]:
    return (
        ("Escalation", item.id),
        ("Why", item.reason),
        ("Severity", item.rank.value),
        ("Service", item.service),
        ("Runbook", item.runbook),
        ("Policy rule", item.policy_rule),
        ("For", item.target),
        ("Until", f"{item.deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC"),
        ("Incident", item.incident_id),
    )
