"""A button that was pressed, or a command that was typed, in the chat; and a question that stands there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PressAction(StrEnum):
    """What a button of ours asks for."""

    APPROVE = "approve"
    REJECT = "reject"
    CHOOSE = "choose"
    STEP_BY_STEP = "step_by_step"
    TAKE_OVER = "take_over"
    OTHER_RUNBOOK = "other_runbook"


@dataclass(frozen=True, slots=True)
class Press:
    """One press or typed command. `key` is the same however often it is sent; `about` an incident, or ""."""

    key: str
    user: str
    action: str
    at: datetime
    about: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """One answer that is offered. `answers` is what it answers: a plan's hash, a runbook's id, or both."""

    action: PressAction
    label: str
    answers: str = ""
    is_first: bool = False
    is_grave: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A question that stands in the chat: its key within the incident, where, and what it showed last."""

    key: str
    ref: str
    shown: str
