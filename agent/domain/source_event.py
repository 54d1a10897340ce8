"""What a source's webhook says, in our own words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.domain.alert import Alert


class EventType(StrEnum):
    """The events that mean something to the agent; everything else is OTHER and does nothing."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    REASSIGNED = "reassigned"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    OTHER = "other"


class ActorKind(StrEnum):
    """Who did it, as far as the source tells."""

    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One event. `delivery_id` is the same for every attempt of the source to deliver it.

    `known_by_key`: where no incident has its `source_id`, it is about the open one of the same alert.
    """

    source: str
    delivery_id: str
    type: EventType
    name: str
    source_id: str
    actor_kind: ActorKind = ActorKind.UNKNOWN
    actor_id: str = ""
    actor_name: str = ""
    client: str = ""
    alert: Alert | None = None
    occurred_at: datetime | None = None
    known_by_key: bool = False


class Acceptance(StrEnum):
    """What became of a webhook when it was stored; only BACKLOG_FULL was not: it has to be sent again."""

    NEW_INCIDENT = "new_incident"
    KNOWN_INCIDENT = "known_incident"
    STORED = "stored"
    DUPLICATE = "duplicate"
    FOLDED = "folded"
    BACKLOG_FULL = "backlog_full"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A webhook is safely stored, unless the backlog was full."""

    acceptance: Acceptance
    incident_id: str = ""
