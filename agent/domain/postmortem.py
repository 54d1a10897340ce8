"""A post-mortem: what an incident was, told from facts alone, for people to finish and sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agent.domain.decision_event import GovernanceData
from agent.domain.decisions import Attempt, Plan
from agent.domain.incident import Incident, TimelineEvent
from agent.domain.queue import Escalated


@dataclass(frozen=True, slots=True)
class Proof:
    """One piece of evidence by its SHA-256: whoever has the thing can show that it is this one."""

    what: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of an incident: what a post-mortem is made of, and nothing else.

    `folded` are the ids at the source of the same alert's further incidents. `sla_s` is how long a human had.
    """

    incident: Incident
    timeline: Sequence[TimelineEvent]
    attempts: Sequence[Attempt] = ()
    plan: Plan | None = None
    item: Escalated | None = None
    folded: Sequence[str] = ()
    charged: Mapping[str, int] = field(default_factory=dict)
    events: GovernanceData | None = None
    proofs: tuple[Proof, ...] = ()
    pages_url: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline; `is_turn` marks those that a reader in a hurry looks for."""

    at: datetime
    text: str
    is_turn: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may have been the cause, and what speaks for it; a human decides."""

    text: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt with what it put out."""

    place: str
    title: str
    number: int
    ended: str
    is_good: bool
    why: str = ""
    command: str = ""
    exit_code: int | None = None
    duration_s: float = 0.0
    output: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ActionItem:
    """Something to do so that it does not happen again, and the fact that asks for it."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody, and what they did."""

    name: str
    did: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened in a few sentences; `model` is the one that wrote it, "" where rules did.

    `why_not`: why a model that was asked did not write it.
    """

    text: str
    model: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Postmortem:
    """The whole document; `ended_at` is None while it goes on."""

    incident_id: str
    title: str
    started_at: datetime
    ended_at: datetime | None
    duration: str
    severity: str
    status: str
    summary: Summary
    timeline: tuple[Moment, ...]
    causes: tuple[Candidate, ...]
    impact: tuple[tuple[str, str], ...]
    tried: tuple[Tried, ...]
    went_well: tuple[str, ...]
    went_badly: tuple[str, ...]
    actions: tuple[ActionItem, ...]
    participants: tuple[Participant, ...]
    links: tuple[tuple[str, str], ...]
    proofs: tuple[Proof, ...]
    events: GovernanceData | None = None
