"""Incidents that agents hand to each other: what is kept of them, and the words that both ends use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.domain.decisions import EscalationTrigger

#: The source of incidents that another agent handed to this one.
HANDOFF_SOURCE = "handoff"

#: Stands in the place of a plan's hash where another agent was asked.
HANDOFF = "handoff"

#: The key of the entry that tells whom it was handed to, until when.
HANDED_OVER = "handed-over"

#: The types and the version of what is posted to and fro.
PACKAGE_TYPE, ANSWER_TYPE, VERSION = "oncall.handoff", "oncall.handoff.answer", 1

#: Who posts it, by the name that both ends have for it.
SENDER = "X-Oncall-From"

#: Why another agent may be asked before a human is: nobody has been asked yet, and it is known what was done.
#: Whatever a human has said or stopped is a human's alone, and so is what comes back after it was mended.
FOR_AGENTS_TOO = frozenset(
    {
        EscalationTrigger.NO_MATCH,
        EscalationTrigger.REFUSED,
        EscalationTrigger.STEP_FAILED,
        EscalationTrigger.STOPPED_BY_RUNBOOK,
        EscalationTrigger.DEADLINE,
        EscalationTrigger.NOT_VERIFIED,
        EscalationTrigger.NOT_AUTONOMOUS,
    }
)

#: Of these the runbook's steps had been allowed to run: its own Verify section may be asked as well.
MAY_VERIFY = frozenset(
    {
        EscalationTrigger.STEP_FAILED,
        EscalationTrigger.STOPPED_BY_RUNBOOK,
        EscalationTrigger.DEADLINE,
        EscalationTrigger.NOT_VERIFIED,
    }
)


#: How the result begins of an incident that another agent mended: no runbook of ours has fixed it.
MENDED_BY = "Resolved by "


class Outcome(StrEnum):
    """What an agent answers: it is mended, or a human is needed."""

    RESOLVED = "resolved"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What another agent handed to this one. `id` names it here, `key` there; `chain` is who had it before.

    `deadline`: until then the sender waits. `outcome` is what was answered, "" while nothing was.
    """

    id: str
    sender: str
    key: str
    chain: tuple[str, ...]
    deadline: datetime
    received_at: datetime
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the other agent said, as it is kept beside the decision."""

    words: str
    evidence: Mapping[str, object] = field(default_factory=dict)


def id_of(sender: str, key: str) -> str:
    """Under which a hand-over is known here: two senders may use the same key."""
    return f"{sender}/{key}"
