"""What the stages decide: closed sets of values, so that a forgotten case is a type error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.command import PricedCommand, Refusal, Script
from agent.domain.limits import LimitUse
from agent.domain.runbook import Action


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runbook that could answer the alert, with the words that speak for it."""

    runbook_id: str
    confidence: float
    reasons: tuple[str, ...] = ()
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Matched:
    """Exactly one runbook answers the alert. `parameters`: what the advisor says of those left open."""

    runbook_id: str
    revision: str
    confidence: float
    reasons: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No runbook answers the alert; says how near the nearest ones came."""

    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """More than one runbook answers the alert: a human chooses."""

    candidates: tuple[Candidate, ...]
    reasons: tuple[str, ...] = ()


Match = Matched | NoMatch | Ambiguous


class Section(StrEnum):
    """Which part of a runbook a step stands in."""

    STEPS = "steps"
    VERIFY = "verify"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step bound to the alert: its argvs priced, or refused.

    A typed action has no script: it is one priced command whose argv shows it in words. `waits_for`: the
    captured values without which it cannot be bound and priced yet.
    """

    index: int
    title: str
    section: Section
    script: Script | None
    commands: tuple[PricedCommand, ...] = ()
    refusal: Refusal | None = None
    action: Action | None = None
    waits_for: tuple[str, ...] = ()

    @property
    def is_read_only(self) -> bool:
        """Whether running it again changes nothing."""
        if self.refusal is not None or self.waits_for:
            return False
        return all(effect.effect_class == "read" for command in self.commands for effect in command.effects)


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A bound parameter and where its value came from."""

    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A runbook bound to an alert.

    `plan_hash` covers commands and actions, parameters, revision, effects, what each may reach, and the
    allowance; `limits` says what of each limit the steps ask for.
    """

    runbook_id: str
    revision: str
    plan_hash: str
    steps: tuple[PlannedStep, ...]
    verify: tuple[PlannedStep, ...] = ()
    rollback: tuple[PlannedStep, ...] = ()
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    limits: tuple[LimitUse, ...] = ()


class AttemptEnd(StrEnum):
    """How one try of a step ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    OUT_OF_TIME = "out_of_time"
    OUTCOME_UNKNOWN = "outcome_unknown"
    STOPPED = "stopped"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step, as told and audited; output is redacted and capped."""

    section: Section
    step: int
    number: int
    end: AttemptEnd
    reason: str = ""
    exit_code: int | None = None
    output: str = ""
    error_output: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What an incident runs under, settled once: a changed configuration does not change a run midway.

    Durations in seconds. `passes`: the strictest freeze in which it may still change things ("": none);
    `frozen`: the one that lets nothing run at all, in words. `step_by_step`: whoever approved it wants to be
    asked again before each step that changes something.
    """

    autonomy: str
    max_attempts: int
    retry_delay_s: float
    approval_timeout_s: float
    passes: str = ""
    frozen: str = ""
    step_by_step: bool = False


@dataclass(frozen=True, slots=True)
class StandDown:
    """A human took over, or the kill switch was pulled: who and how."""

    by: str
    how: str

    @property
    def is_by_itself(self) -> bool:
        """Whether nobody has taken anything over: the source counts it as over."""
        return self.how in (RESOLVED_BY_ITSELF, HAD_RESOLVED)


#: Who has it where nobody does, because the runbook says that it ends without a page.
NOBODY = "nobody"

#: How an incident is over although no human is known to have had it.
RESOLVED_BY_ITSELF = "resolved the incident (no human did)"
HAD_RESOLVED = "had resolved it before the agent began"


@dataclass(frozen=True, slots=True)
class Completed:
    """Every step ended in a way that lets the runbook count as done."""

    succeeded: int
    total: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The runbook must not go on: a human is needed."""

    reason: str
    trigger: EscalationTrigger


class EscalationTrigger(StrEnum):
    """Why a human is needed: a closed list, also the label of the metric."""

    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"
    FLAPPING = "flapping"
    RECURRENCE = "recurrence"
    REFUSED = "refused"
    STEP_FAILED = "step_failed"
    STOPPED_BY_RUNBOOK = "stopped_by_runbook"
    DEADLINE = "deadline"
    OUTCOME_UNKNOWN = "outcome_unknown"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_REJECTED = "approval_rejected"
    NOT_VERIFIED = "not_verified"
    NOT_AUTONOMOUS = "not_autonomous"
    KILL_SWITCH = "kill_switch"
    FREEZE = "freeze"
    STUCK = "stuck"
    AGENT_ERROR = "agent_error"


Execution = Completed | Stopped | StandDown
