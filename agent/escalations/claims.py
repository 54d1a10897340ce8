"""Claim, release, reassign, escalate further, resolve: what a human may do with an escalation, as values.

Each gives the escalation as it is afterwards, or says why not. Whoever stores it makes sure that it was
still as it was read: two claims at once are one claim and one no.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from agent.domain.decisions import EscalationTrigger
from agent.domain.queue import ACTIONS, Action, Escalated, QueueStatus, Resolution
from agent.escalations.routing import Rule
from agent.escalations.sla import Sla


@dataclass(frozen=True, slots=True)
class NotPossible:
    """Why it cannot be done, for the person who asked."""

    why: str


Changed = Escalated | NotPossible


def claim(item: Escalated, by: str, now: datetime) -> Changed:
    """Make it mine; claiming what is mine already changes nothing."""
    if item.status.is_over:
        return NotPossible(_is_over(item))
    if item.assignee and item.assignee != by:
        return NotPossible(f"{item.assignee} has claimed it")
    if item.assignee == by:
        return item
    return replace(item, status=QueueStatus.CLAIMED, assignee=by, claimed_at=now)


def release(item: Escalated, by: str, *, may_for_others: bool = False) -> Changed:
    """Give it back to the queue."""
    if item.status is not QueueStatus.CLAIMED:
        return NotPossible(_is_over(item) if item.status.is_over else "nobody has claimed it")
    if item.assignee != by and not may_for_others:
        return NotPossible(f"{item.assignee} has claimed it, and only they can release it")
    return replace(item, status=QueueStatus.OPEN, assignee="", claimed_at=None)


def reassign(item: Escalated, to: str) -> Changed:
    """Put it before somebody else, a person or a team; it is to be claimed anew."""
    if item.status.is_over:
        return NotPossible(_is_over(item))
    if not to.strip():
        return NotPossible("say to whom")
    return replace(item, status=QueueStatus.OPEN, assignee="", claimed_at=None, target=to.strip())


def escalate_further(
    item: Escalated, to: str, *, by: str, now: datetime, sla: Sla, may_for_others: bool = False
) -> Changed:
    """One level up, with its time from now on: whoever gets it has the whole of it."""
    if item.status.is_over:
        return NotPossible(_is_over(item))
    if item.assignee and item.assignee != by and not may_for_others:
        return NotPossible(f"{item.assignee} has claimed it, and only they or an approver can pass it on")
    if not to.strip():
        return NotPossible("say to whom")
    return replace(
        item,
        status=QueueStatus.OPEN,
        assignee="",
        claimed_at=None,
        target=to.strip(),
        level=item.level + 1,
        amber_at=sla.amber_at(item.rank, now),
        deadline=sla.deadline(item.rank, now),
        warned_at=None,
        # whoever passes it on has looked at it
        answered_at=item.answered_at or (now if item.respond_by is not None else None),
    )


def resolve(item: Escalated, resolution: Resolution) -> Changed:
    """Settle it; a note is always asked for, it is what the next one learns from."""
    if item.status.is_over:
        return NotPossible(_is_over(item))
    if item.assignee and item.assignee != resolution.by:
        return NotPossible(f"{item.assignee} has claimed it")
    if resolution.action not in ACTIONS[item.origin]:
        known = ", ".join(sorted(ACTIONS[item.origin]))
        return NotPossible(f"{resolution.action} does not settle it; one of {known} does")
    if not resolution.note.strip():
        return NotPossible("write a note: what was found, what was done")
    if resolution.action is Action.RAN_RUNBOOK and not resolution.runbook:
        return NotPossible("say which runbook was run")
    return replace(
        item, status=QueueStatus.RESOLVED, assignee=item.assignee or resolution.by, resolution=resolution
    )


def warn(item: Escalated, now: datetime) -> Escalated:
    """Half of its time is over: its people were told."""
    return replace(item, warned_at=now)


def answered(item: Escalated, now: datetime) -> Escalated:
    """Somebody has begun to look, wherever it was; whose it is does not change."""
    return replace(item, answered_at=now)


def unanswered(item: Escalated, now: datetime) -> Escalated:
    """Nobody began to look in time: its people were told."""
    return replace(item, unanswered_at=now)


def breach(item: Escalated, rule: Rule, now: datetime) -> Escalated:
    """Its time is over: it goes to whom the rule names, and whoever sat on it has it no more."""
    return replace(
        item,
        status=QueueStatus.OPEN,
        assignee="",
        claimed_at=None,
        target=rule.on_breach or rule.route_to,
        warned_at=item.warned_at or now,
        breached_at=now,
        level=item.level + 1,
    )


def expire(item: Escalated) -> Changed:
    """What was asked lapsed at its source: nothing is left to decide."""
    return NotPossible(_is_over(item)) if item.status.is_over else replace(item, status=QueueStatus.EXPIRED)


def _is_over(item: Escalated) -> str:
    if item.resolution is not None:
        return f"{item.resolution.by} has resolved it already ({item.resolution.action})"
    return f"it is {item.status} already"


def was_as_shown(item: Escalated, by: Resolution) -> bool | None:
    """Whether a human did what the agent had only shown (a shadow, a suggestion); None if nobody can tell.

    Somebody who mended it by hand may have typed the very same; a false alarm needed nothing at all.
    """
    if item.trigger != EscalationTrigger.NOT_AUTONOMOUS or not item.runbook:
        return None
    if by.action is Action.FALSE_ALARM:
        return False
    if by.action is Action.RAN_RUNBOOK and by.runbook:
        return by.runbook.strip().removesuffix(".md").casefold() == item.runbook.casefold()
    return None
