"""An incident: our case, from the alert's reception to its end; and its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.domain.alert import Alert
from agent.domain.decisions import StandDown

#: The source of incidents that a person runs by hand on the command line.
MANUAL_SOURCE = "command line"

#: The source of incidents that somebody asked the daemon for: it runs them, and no source has them open.
ASKED_SOURCE = "asked"

#: How the ids of these begin, so that whoever has no more than the id knows that there is nothing to close.
ASKED_PREFIX = "inc-asked-"


#: The one source with a desk of its own (PagerDuty's REST API): what its alert is about is asked there, and
#: there it is acknowledged, noted and resolved. Every other source says by itself when an alert is over.
DESK_SOURCE = "pagerduty"


def is_asked(incident_id: str) -> bool:
    """Whether somebody asked for this run, and no alert of any source did."""
    return incident_id.startswith(ASKED_PREFIX)


class Status(StrEnum):
    """Where an incident stands."""

    RECEIVED = "received"
    MATCHED = "matched"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    VERIFYING = "verifying"
    RESOLVED = "resolved"
    ESCALATED = "escalated"
    STOOD_DOWN = "stood_down"
    IGNORED = "ignored"

    @property
    def is_terminal(self) -> bool:
        """Whether the agent has nothing more to do."""
        return self in _TERMINAL


_TERMINAL = frozenset({Status.RESOLVED, Status.ESCALATED, Status.STOOD_DOWN, Status.IGNORED})


class EventKind(StrEnum):
    """What a timeline entry tells; views (Slack, audit, API) decide by it."""

    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    LEARNED = "learned"
    MATCHED = "matched"
    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"
    CHOSEN = "chosen"
    RECURRING = "recurring"
    FOLDED = "folded"
    PLANNED = "planned"
    REFUSED = "refused"
    APPROVAL_REQUESTED = "approval_requested"
    VOTED = "voted"
    APPROVED = "approved"
    PARAMETERS_EDITED = "parameters_edited"
    APPROVAL_REJECTED = "approval_rejected"
    APPROVAL_EXPIRED = "approval_expired"
    STEP_STARTED = "step_started"
    ATTEMPT_STARTED = "attempt_started"
    ATTEMPT_FAILED = "attempt_failed"
    STEP_SUCCEEDED = "step_succeeded"
    STEP_FAILED = "step_failed"
    STEP_SKIPPED = "step_skipped"
    OUTCOME_UNKNOWN = "outcome_unknown"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    STOOD_DOWN = "stood_down"
    STOPPED = "stopped"
    RESUMED = "resumed"
    FROZEN = "frozen"
    AUTONOMY = "autonomy"
    RESOLVED = "resolved"
    ESCALATED = "escalated"
    QUEUE = "queue"
    SUMMARY = "summary"
    IGNORED = "ignored"
    NOTE = "note"
    DELIVERY = "delivery"
    SYSTEM = "system"
    ACCESS = "access"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline before it is stored.

    `key` names it uniquely within its incident, so that telling it again after a crash adds nothing.
    """

    key: str
    kind: EventKind
    text: str
    data: Mapping[str, object] = field(default_factory=dict)
    actor: str = "agent"


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One stored line of the timeline; `seq` orders all of them, `at` is aware UTC."""

    seq: int
    incident_id: str
    at: datetime
    kind: EventKind
    text: str
    data: Mapping[str, object]
    actor: str
    key: str


@dataclass(frozen=True, slots=True)
class Incident:
    """Our case for one alert of one source.

    `alert_count`: how often the source has opened the same alert while this one was open; each time beyond
    the first is an incident of its own, `ignored` and `folded_into` this one.
    """

    id: str
    alert: Alert
    status: Status
    received_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    runbook_id: str = ""
    runbook_title: str = ""
    runbook_revision: str = ""
    steps_total: int = 0
    steps_done: int = 0
    autonomy: str = ""
    confidence: float | None = None
    match_reasons: tuple[str, ...] = ()
    result: str = ""
    stood_down_by: str = ""
    stood_down_how: str = ""
    alert_count: int = 1
    last_alert_at: datetime | None = None
    folded_into: str = ""

    @property
    def stand_down(self) -> StandDown | None:
        """Who took over, if anybody did."""
        return StandDown(self.stood_down_by, self.stood_down_how) if self.stood_down_by else None
