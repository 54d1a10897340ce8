"""An escalation as a row of the queue and back; what reports add up is worked out when it is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agent.adapters import codec
from agent.adapters.database import moment, moment_or_none, stamp
from agent.adapters.json_view import clean
from agent.domain.alert import Severity
from agent.domain.queue import (
    Action,
    Escalated,
    Origin,
    QueueStatus,
    Rank,
    Resolution,
    queue_id,
)
from agent.escalations.entering import BY_HAND
from agent.escalations.sla import kept

_ORDER = {rank: place for place, rank in enumerate(Rank)}

_SEVERITY = {
    Rank.CRITICAL: Severity.CRITICAL,
    Rank.HIGH: Severity.ERROR,
    Rank.MEDIUM: Severity.WARNING,
    Rank.LOW: Severity.INFO,
}

#: Facts that have a column of their own.
_COLUMNS = ("reason", "dedup_key")

#: What a human or the clock changes; a change holds only if these are still as they were read.
MUTABLE = (
    "status", "assignee", "claimed_at", "target", "channel", "rule", "level", "amber_at", "deadline",
    "warned_at", "breached_at", "respond_by", "unanswered_at",
)  # fmt: skip


def next_at(item: Escalated) -> datetime | None:
    """When its SLA has something to say next; None when it is settled or all is said."""
    if item.status.is_over or BY_HAND in item.facts:
        return None
    if item.breached_at is not None and item.breached_at >= item.deadline:
        return None
    is_warned = item.warned_at is not None or item.amber_at >= item.deadline
    then = item.deadline if is_warned else item.amber_at
    if item.respond_by is not None and item.waits_for_an_answer:
        return min(then, item.respond_by)
    return then


def changing(item: Escalated) -> dict[str, Any]:
    """The columns that a change may touch."""
    return {
        "status": item.status.value,
        "assignee": clean(item.assignee),
        "claimed_at": _stamp_or_none(item.claimed_at),
        "target": clean(item.target),
        "channel": clean(item.channel),
        "rule": clean(item.rule),
        "level": item.level,
        "amber_at": stamp(item.amber_at),
        "deadline": stamp(item.deadline),
        "warned_at": _stamp_or_none(item.warned_at),
        "breached_at": _stamp_or_none(item.breached_at),
        "respond_by": _stamp_or_none(item.respond_by),
        "unanswered_at": _stamp_or_none(item.unanswered_at),
    }


def settled(item: Escalated, now: datetime) -> dict[str, Any]:
    """The columns that its end sets."""
    if not item.status.is_over:
        return {}
    by = item.resolution
    at = by.at if by is not None else now
    columns: dict[str, Any] = {
        "settled_at": stamp(at),
        "settle_s": max(0.0, (at - item.created_at).total_seconds()),
        "was_kept": kept(item),
    }
    if by is not None:
        columns |= {
            "action": by.action.value,
            "note": clean(by.note),
            "settled_by": clean(by.by),
            "settled_with": clean(by.runbook),
        }
    return columns


def facts_of(item: Escalated) -> str:
    """The facts that have no column."""
    return codec.packed({name: value for name, value in item.facts.items() if name not in _COLUMNS})


def row_of(item: Escalated, *, severity: Severity | None = None, summary: str = "") -> dict[str, Any]:
    """A new row."""
    same = ("trigger", "title", "runbook", "policy_rule", "service", "team", "consumer", "consumer_group")
    return {
        "incident_id": item.story,
        "origin": item.origin.value,
        "reason": clean(str(item.facts.get("reason") or "")),
        "dedup_key": clean(str(item.facts.get("dedup_key") or "")),
        "severity": (severity or _SEVERITY[item.rank]).value,
        "summary": clean(summary),
        "rank": item.rank.value,
        "rank_order": _ORDER[item.rank],
        "created_at": stamp(item.created_at),
        "next_at": _stamp_or_none(next_at(item)),
        "facts": facts_of(item),
        **{name: clean(getattr(item, name)) for name in same},
        **changing(item),
    }


def item_of(row: Any) -> Escalated:
    """A row as a value."""
    created_at = moment(row.created_at)
    facts: dict[str, object] = dict(codec.loads(row.facts))
    facts |= {name: text for name in _COLUMNS if (text := getattr(row, name))}
    return Escalated(
        id=queue_id(row.incident_id),
        origin=Origin(row.origin),
        trigger=row.trigger,
        title=row.title,
        rank=Rank(row.rank),
        created_at=created_at,
        amber_at=moment_or_none(row.amber_at) or created_at,
        deadline=moment_or_none(row.deadline) or created_at,
        rule=row.rule,
        target=row.target,
        channel=row.channel,
        status=QueueStatus(row.status),
        assignee=row.assignee,
        claimed_at=moment_or_none(row.claimed_at),
        warned_at=moment_or_none(row.warned_at),
        breached_at=moment_or_none(row.breached_at),
        respond_by=moment_or_none(row.respond_by),
        answered_at=moment_or_none(row.acknowledged_at),
        unanswered_at=moment_or_none(row.unanswered_at),
        level=row.level,
        incident_id="" if queue_id(row.incident_id) == row.incident_id else row.incident_id,
        runbook=row.runbook,
        policy_rule=row.policy_rule,
        service=row.service,
        team=row.team,
        consumer=row.consumer,
        consumer_group=row.consumer_group,
        resolution=_resolution(row),
        facts=facts,
    )


def _resolution(row: Any) -> Resolution | None:
    if not row.action or row.settled_at is None:
        return None
    return Resolution(
        Action(row.action), row.settled_by, moment(row.settled_at), row.note, runbook=row.settled_with
    )


def _stamp_or_none(at: datetime | None) -> str | None:
    return None if at is None else stamp(at)
