"""Escalations as the API and `--json` show them, and the evidence that whoever reviews one wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.adapters import codec
from agent.adapters.store import Store
from agent.domain.alert import Severity
from agent.domain.queue import Escalated, QueueFilter, Rank
from agent.escalations.entering import BY_HAND
from agent.escalations.notices import PAGES
from agent.escalations.sla import light
from agent.library.draft import draft_of
from agent.pipeline import queueing
from agent.web import views

#: PagerDuty's word for a rank, as the list has always shown it.
_SEVERITY = {
    Rank.CRITICAL: Severity.CRITICAL,
    Rank.HIGH: Severity.ERROR,
    Rank.MEDIUM: Severity.WARNING,
    Rank.LOW: Severity.INFO,
}

#: Facts that are the queue's own business or have a field.
_OWN_FACTS = frozenset({PAGES, BY_HAND, "reason", "dedup_key"})

#: Of the history so many are shown.
_HISTORY = 10


def item(found: Escalated, now: datetime) -> dict[str, Any]:
    """One escalation on one line."""
    by = found.resolution
    return {
        "id": found.id,
        "incident_id": found.incident_id or None,
        "origin": found.origin.value,
        "title": found.title,
        "status": found.status.value,
        "trigger": found.trigger,
        "reason": found.reason,
        "severity": _SEVERITY[found.rank].value,
        "rank": found.rank.value,
        "created_at": found.created_at.isoformat(),
        "amber_at": found.amber_at.isoformat(),
        "deadline": found.deadline.isoformat(),
        "respond_by": found.respond_by.isoformat() if found.respond_by else None,
        "answered_at": found.answered_at.isoformat() if found.answered_at else None,
        "light": light(found, now).value,
        "level": found.level,
        "rule": found.rule,
        "target": found.target,
        "channel": found.channel or None,
        "assignee": found.assignee or None,
        "claimed_at": found.claimed_at.isoformat() if found.claimed_at else None,
        "breached_at": found.breached_at.isoformat() if found.breached_at else None,
        "runbook": found.runbook or None,
        "policy_rule": found.policy_rule or None,
        "service": found.service or None,
        "team": found.team or None,
        "consumer": found.consumer or None,
        "consumer_group": found.consumer_group or None,
        "dedup_key": found.facts.get("dedup_key") or None,
        "resolution": None
        if by is None
        else {
            "escalation_id": found.id,
            "action": by.action.value,
            "reviewer": by.by,
            "at": by.at.isoformat(),
            "note": by.note,
            "runbook": by.runbook or None,
            "resolution_time_seconds": round((by.at - found.created_at).total_seconds()),
        },
        "waits_for": "a human",
        "until": None,
    }


def page(store: Store, wanted: QueueFilter, now: datetime) -> dict[str, Any]:
    """A page of the queue; the first one of all that is open begins with the questions that expire."""
    found = store.queue_page(wanted)
    is_whole = wanted == QueueFilter(limit=wanted.limit)
    questions = [dict(row) for row in store.waiting()] if is_whole else []
    return {
        "escalations": questions + [item(each, now) for each in found.items],
        "next": found.next,
        "open": found.open,
    }


def whole(store: Store, found: Escalated, now: datetime) -> dict[str, Any]:
    """One escalation with all that is known."""
    shown = {"facts": facts_of(found), "draft": draft_text(found), "evidence": evidence_of(store, found, now)}
    return item(found, now) | shown


def draft_text(found: Escalated) -> str | None:
    """The runbook that is drafted from what was done by hand; None if nobody said what was done."""
    return draft_of(queueing.fixed(found)).text if found.facts.get("what_was_done") else None


def facts_of(found: Escalated) -> Mapping[str, object]:
    """What was sent with it, or said in the runbook: request, policy match, response, context, raw."""
    return {name: value for name, value in found.facts.items() if name not in _OWN_FACTS}


def evidence_of(store: Store, found: Escalated, now: datetime) -> dict[str, Any]:
    """What a reviewer decides by: the alert, why it matched, what was tried, what was before."""
    shown: dict[str, Any] = {
        "timeline": [views.event(each) for each in store.timeline(found.story)],
        "history": [item(each, now) for each in store.queue_like(found, limit=_HISTORY)],
    }
    if not found.incident_id:
        return shown
    incident = views.incident(store, found.incident_id)
    same = ("match", "steps", "charges", "result", "runbook_revision", "alert_count")
    return {
        "alert": codec.to_data(store.incident(found.incident_id).alert),
        **{name: incident[name] for name in same},
        **shown,
    }
