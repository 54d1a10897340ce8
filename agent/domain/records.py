"""What is written down about an incident beside its timeline: changes, attempts, decisions, own writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.domain.alert import Alert, Severity
from agent.domain.approvals import STEP_BY_STEP
from agent.domain.autonomy import FileChanged, RunEnded
from agent.domain.command import Refusal
from agent.domain.decisions import Attempt, EscalationTrigger, Matched, Plan, Section
from agent.domain.incident import Status
from agent.domain.limits import Busy
from agent.domain.outbox import DeskResolve
from agent.domain.queue import Rank


@dataclass(frozen=True, slots=True)
class Changes:
    """What else changes with a timeline entry; None leaves a field as it is.

    `waits_until`: the end of the time that a human has, or that something must hold; it goes with the status
    and ends with it. `earned`: what this says about the runbook's autonomy.
    """

    status: Status | None = None
    waits_until: datetime | None = None
    alert: Alert | None = None
    match: Matched | None = None
    runbook_title: str | None = None
    plan: Plan | None = None
    autonomy: str | None = None
    steps_done: int | None = None
    result: str | None = None
    escalation: Escalation | None = None
    folded: FoldedEnd | None = None
    earned: RunEnded | FileChanged | None = None


@dataclass(frozen=True, slots=True)
class FoldedEnd:
    """What becomes of the same alert's other incidents when the one that was worked on ends.

    Each is closed at its source with `resolve`. `released`: what is still open at its source was told of by
    nobody, so the oldest of them is worked on, and the others wait for it.
    """

    result: str
    resolve: DeskResolve | None = None
    released: bool = False


@dataclass(frozen=True, slots=True)
class Escalation:
    """A human is needed, as kept in the queue.

    `rank`, `routing` and `message` are the runbook's word (`## Escalation`), where it has one.
    """

    trigger: EscalationTrigger
    reason: str
    severity: Severity
    dedup_key: str
    summary: str
    rank: Rank | None = None
    routing: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Names one try of one step of one incident; the journal is unique on it."""

    incident_id: str
    section: Section
    step: int
    number: int

    @property
    def marker(self) -> str:
        """What every process of the attempt carries in its environment."""
        return f"{self.incident_id}/{self.section}/{self.step}/{self.number}"


@dataclass(frozen=True, slots=True)
class Begun:
    """Charged and written down: the attempt may run."""


@dataclass(frozen=True, slots=True)
class AlreadyEnded:
    """It ran before a restart; this is how it ended."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Unfinished:
    """It was begun before a restart and nobody knows how it ended."""


BeginAttempt = Begun | AlreadyEnded | Unfinished | Refusal | Busy


#: Stands in the place of a plan's hash where the question was which runbook.
CHOICE = "choice"

#: Begins what is said beside where another runbook is to answer the incident, neither yes nor no to a plan.
INSTEAD = "runbook:"

#: Stands there where a human took the incident over: it answers no question, and wakes a run that waits.
STAND_DOWN = "stand-down"


@dataclass(frozen=True, slots=True)
class Decision:
    """A human's answer to one plan hash.

    `choice` is what is said beside: the runbook chosen, where that was the question; `STEP_BY_STEP`; or the
    parameters that a new plan is to be made with, as JSON, or another runbook (`INSTEAD`), which are neither
    yes nor no to this one.
    """

    plan_hash: str
    approved: bool
    by: str
    at: datetime
    choice: str = ""

    @property
    def is_step_by_step(self) -> bool:
        """Whether each step that changes something is to ask once more."""
        return self.approved and self.choice == STEP_BY_STEP

    @property
    def edited(self) -> Mapping[str, str] | None:
        """The values of a new plan, if that is what was said."""
        if self.approved or not self.choice.startswith("{"):
            return None
        return {str(name): str(value) for name, value in json.loads(self.choice).items()}

    @property
    def rechosen(self) -> str:
        """The runbook that is to answer the incident in the place of this plan's; "" if nobody said so."""
        is_said = not self.approved and self.choice.startswith(INSTEAD)
        return self.choice.removeprefix(INSTEAD) if is_said else ""


@dataclass(frozen=True, slots=True)
class OwnWrite:
    """A change that the agent made at the source; its echo comes back as a webhook."""

    action: str
    begun_at: datetime
    ended_at: datetime | None = None
    actor_id: str = ""
