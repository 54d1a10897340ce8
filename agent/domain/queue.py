"""The escalation queue's words: what waits for a human, who has it, until when, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.domain.alert import Severity, Urgency


class Rank(StrEnum):
    """How grave an escalation is: the four words that people, runbooks and Keeptrusts use."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


_RANK_OF = {
    Severity.CRITICAL: Rank.CRITICAL,
    Severity.ERROR: Rank.HIGH,
    Severity.WARNING: Rank.MEDIUM,
    Severity.INFO: Rank.LOW,
}


def rank_of(severity: Severity | None, urgency: Urgency | None) -> Rank:
    """The rank of an alert; one that says nothing of itself counts as high: nobody is to sleep over it."""
    if severity is not None:
        return _RANK_OF[severity]
    return Rank.LOW if urgency is Urgency.LOW else Rank.HIGH


class Origin(StrEnum):
    """Who called a human: this agent, or Keeptrusts."""

    AGENT = "agent"
    KEEPTRUSTS = "keeptrusts"


class QueueStatus(StrEnum):
    """Where an escalation stands; `expired`: what was asked lapsed before anybody answered."""

    OPEN = "open"
    CLAIMED = "claimed"
    RESOLVED = "resolved"
    EXPIRED = "expired"

    @property
    def is_over(self) -> bool:
        """Whether nobody has to do anything any more."""
        return self in (QueueStatus.RESOLVED, QueueStatus.EXPIRED)


class Action(StrEnum):
    """How a human settles an escalation."""

    FIXED_BY_HAND = "fixed_by_hand"
    FALSE_ALARM = "false_alarm"
    RAN_RUNBOOK = "ran_runbook"
    NEEDS_RUNBOOK = "needs_runbook"
    ALLOW = "allow"
    BLOCK = "block"
    REDACT_AND_ALLOW = "redact_and_allow"
    ESCALATE_FURTHER = "escalate_further"


#: What settles an escalation of each origin; escalating further settles nothing, it is a way on.
ACTIONS: Mapping[Origin, frozenset[Action]] = {
    Origin.AGENT: frozenset(
        {Action.FIXED_BY_HAND, Action.FALSE_ALARM, Action.RAN_RUNBOOK, Action.NEEDS_RUNBOOK}
    ),
    Origin.KEEPTRUSTS: frozenset({Action.ALLOW, Action.BLOCK, Action.REDACT_AND_ALLOW}),
}


@dataclass(frozen=True, slots=True)
class Resolution:
    """How it was settled, by whom, and why. `runbook` names the one that was run by hand."""

    action: Action
    by: str
    at: datetime
    note: str
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Escalated:
    """One escalation in the queue.

    `trigger` is why a human is needed: an EscalationTrigger of ours, or Keeptrusts' word. `target` is whose
    it is by the routing rule named `rule`: a person, `team:x`, `pagerduty:key`, `slack:#channel`, an address.
    `assignee` is who claimed it. `deadline` is the end of the SLA, `amber_at` when half of it is left;
    `respond_by` is until when somebody has to have begun to look, where that is asked for, `answered_at` when
    somebody first did, as it is stored.
    """

    id: str
    origin: Origin
    trigger: str
    title: str
    rank: Rank
    created_at: datetime
    amber_at: datetime
    deadline: datetime
    rule: str
    target: str
    channel: str = ""
    status: QueueStatus = QueueStatus.OPEN
    assignee: str = ""
    claimed_at: datetime | None = None
    warned_at: datetime | None = None
    breached_at: datetime | None = None
    respond_by: datetime | None = None
    answered_at: datetime | None = field(default=None, compare=False)
    unanswered_at: datetime | None = None
    level: int = 0
    incident_id: str = ""
    runbook: str = ""
    policy_rule: str = ""
    service: str = ""
    team: str = ""
    consumer: str = ""
    consumer_group: str = ""
    resolution: Resolution | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def waits_for_an_answer(self) -> bool:
        """Whether nobody has begun to look yet, and nobody was told so."""
        answered = self.answered_at or self.claimed_at or self.unanswered_at
        return self.respond_by is not None and answered is None and not self.status.is_over

    @property
    def story(self) -> str:
        """Under which id its timeline, its letters and its row are kept: its incident's, else its own."""
        return self.incident_id or self.id

    @property
    def reason(self) -> str:
        """Why a human is needed, in words."""
        return str(self.facts.get("reason") or self.trigger)


_ESCALATION, _INCIDENT = "esc-", "inc-"

#: What is received from elsewhere has no incident: it stands for itself, under the id that it came with.
RECEIVED_PREFIX = "esc-kt-"


def queue_id(story: str) -> str:
    """The id of the escalation whose story is kept under this one: inc-… has esc-…"""
    if story.startswith(_ESCALATION):
        return story
    return _ESCALATION + story.removeprefix(_INCIDENT)


def stories(item_id: str) -> tuple[str, ...]:
    """The ids under which an escalation's story may be kept; an incident's id names its escalation too."""
    rest = item_id.removeprefix(_ESCALATION)
    return (item_id,) if rest == item_id else (item_id, _INCIDENT + rest, rest)


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which escalations are asked for; what is empty asks nothing.

    Open ones come by rank and then age, settled ones newest first. `targets`: whose they are by routing, one
    of these. `text` is looked for in the title. `after` is the `next` of the page before.
    """

    settled: bool = False
    status: QueueStatus | None = None
    rank: Rank | None = None
    origin: Origin | None = None
    trigger: str = ""
    service: str = ""
    runbook: str = ""
    assignee: str = ""
    targets: tuple[str, ...] = ()
    text: str = ""
    after: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class QueuePage:
    """One page of the queue; `next` is asked for behind it, "" at the end. `open`: how many wait in all."""

    items: Sequence[Escalated]
    next: str
    open: int
