"""A runbook as the agent understands it; `library` makes it from Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.approvals import Lapse
from agent.domain.command import Filled
from agent.domain.effects import BlastRadius
from agent.domain.expectation import Expectation
from agent.domain.probing import Probe
from agent.domain.trigger import Trigger


class Autonomy(StrEnum):
    """How far a runbook may go alone."""

    SHADOW = "shadow"
    SUGGEST = "suggest"
    APPROVE = "approve"
    AUTO = "auto"


class FailureAction(StrEnum):
    """What happens when every attempt of a step has failed."""

    CONTINUE = "continue"
    ESCALATE = "escalate"
    STOP = "stop"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Action:
    """A typed action from an ```action block: its name (`kubernetes.rollout_restart`) and arguments.

    `filled`: where parameters stand in the words of its argument `command`.
    """

    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    filled: tuple[Filled, ...] = ()


@dataclass(frozen=True, slots=True)
class Capture:
    """`Capture: name from /regex/` or `name from .jq.path`: keeps a value for later steps."""

    name: str
    pattern: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class OnlyIf:
    """`Only if:` the output of an earlier step is as expected; otherwise the step is skipped."""

    step: int
    expectation: Expectation


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered action; exactly one of command and action is set. Durations in seconds."""

    index: int
    title: str
    line: int
    command: str = ""
    command_line: int = 0
    action: Action | None = None
    expectation: Expectation | None = None
    failure_action: FailureAction = FailureAction.ESCALATE
    max_attempts: int | None = None
    retry_delay_s: float | None = None
    timeout_s: float | None = None
    approval_required: bool = False
    only_if: OnlyIf | None = None
    captures: tuple[Capture, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared value that a command may use as {{ name }}, always inside one word."""

    name: str
    line: int
    label: str = ""
    alert_field: str = ""
    field_pattern: str = ""
    pattern: str = ""
    one_of: tuple[str, ...] = ()
    default: str | None = None
    captured: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """`## Verify`: steps that must hold, and for how long (seconds)."""

    steps: tuple[Step, ...]
    hold_for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EscalationNotes:
    """`## Escalation`: where and how to page, and what follows where no yes comes; prose is for the human."""

    routing: str = ""
    severity: str = ""
    message: str = ""
    prose: str = ""
    if_rejected: Lapse | None = None
    if_expired: Lapse | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """`## Examples`: an alert text that must, or must not, match; run by `oncall-agent test`."""

    text: str
    matches: bool
    line: int


@dataclass(frozen=True, slots=True)
class Runbook:
    """One Markdown file; `revision` is the SHA-256 of its bytes in hex."""

    id: str
    title: str
    path: str
    revision: str
    text: str
    trigger: Trigger
    steps: tuple[Step, ...]
    blast_radius: BlastRadius = field(default_factory=BlastRadius)
    parameters: tuple[Parameter, ...] = ()
    verification: Verification | None = None
    rollback: tuple[Step, ...] = ()
    escalation: EscalationNotes = field(default_factory=EscalationNotes)
    examples: tuple[Example, ...] = ()
    watch: tuple[Probe, ...] = ()
    autonomy: Autonomy | None = None
    owner: str = ""
    tags: tuple[str, ...] = ()

    def autonomy_or(self, default: Autonomy) -> Autonomy:
        """How far this runbook may go: its own word, else the configured default.

        `requires_human_approval: true`, or saying whose yes it takes, never lets it go beyond `approve`; an
        author's explicit `false` (the published form, which has no front matter) is a word for `auto`.
        """
        return min(self._stated or default, self._cap, key=tuple(Autonomy).index)

    @property
    def bound(self) -> Autonomy:
        """How far it may be promoted at most: what its file says, and where it says nothing, all the way."""
        return self.autonomy_or(Autonomy.AUTO)

    @property
    def _stated(self) -> Autonomy | None:
        if self.autonomy is None and self.blast_radius.requires_human_approval is False:
            return Autonomy.AUTO
        return self.autonomy

    @property
    def _cap(self) -> Autonomy:
        asks = self.blast_radius.requires_human_approval or self.blast_radius.demand is not None
        return Autonomy.APPROVE if asks else Autonomy.AUTO
