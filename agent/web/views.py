"""Incidents and runbooks as the API and `--json` show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.adapters import codec
from agent.adapters.store import Store
from agent.domain.decisions import Attempt, AttemptEnd, Plan, PlannedStep
from agent.domain.incident import Incident, TimelineEvent
from agent.domain.runbook import Runbook
from agent.domain.stops import Stop


def incident(store: Store, incident_id: str) -> dict[str, Any]:
    """Everything about one incident."""
    found = store.incident(incident_id)
    attempts = store.attempts(incident_id)
    return {
        "id": found.id,
        "source": found.alert.source,
        "source_id": found.alert.source_id,
        "title": found.alert.title,
        "status": found.status.value,
        "service": found.alert.service,
        "severity": found.alert.severity.value if found.alert.severity else None,
        "urgency": found.alert.urgency.value if found.alert.urgency else None,
        "received_at": found.received_at.isoformat(),
        "started_at": found.started_at.isoformat() if found.started_at else None,
        "ended_at": found.ended_at.isoformat() if found.ended_at else None,
        "runbook": found.runbook_id or None,
        "runbook_revision": found.runbook_revision or None,
        "autonomy": found.autonomy or None,
        "match": _match(found),
        "steps": _steps(store.plan(incident_id), attempts),
        "charges": dict(store.charged(incident_id)),
        "result": found.result or None,
        "alert_count": found.alert_count,
        "last_alert_at": found.last_alert_at.isoformat() if found.last_alert_at else None,
        "folded_into": found.folded_into or None,
        "escalation": _escalation(store.escalation(incident_id)),
        "timeline": [event(each) for each in store.timeline(incident_id)],
    }


def stop(found: Stop) -> dict[str, Any]:
    """One stop, in force or lifted."""
    return {
        "id": found.id,
        "scope": found.scope.value,
        "name": found.name or None,
        "reason": found.reason,
        "by": found.by,
        "at": found.at.isoformat(),
        "ends_running": found.ends_running,
        "lifted_at": found.lifted_at.isoformat() if found.lifted_at else None,
        "lifted_by": found.lifted_by or None,
    }


def runbook(found: Runbook) -> dict[str, Any]:
    """A runbook in short."""
    return {
        "id": found.id,
        "title": found.title,
        "path": found.path,
        "revision": found.revision,
        "steps": [step.title for step in found.steps],
        "autonomy": found.autonomy.value if found.autonomy else None,
        "owner": found.owner or None,
    }


def _match(found: Incident) -> dict[str, Any] | None:
    if found.confidence is None:
        return None
    return {"confidence": found.confidence, "reasons": list(found.match_reasons)}


def _steps(plan: Plan | None, attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    if plan is None:
        return []
    planned = (*plan.steps, *plan.verify, *plan.rollback)
    return [_step(step, [each for each in attempts if _is_of(each, step)]) for step in planned]


def _is_of(attempt: Attempt, step: PlannedStep) -> bool:
    return attempt.section is step.section and attempt.step == step.index


def _step(step: PlannedStep, attempts: Sequence[Attempt]) -> dict[str, Any]:
    return {
        "index": step.index,
        "section": step.section.value,
        "title": step.title,
        "status": _step_status(step, attempts),
        "commands": [list(command.argv) for command in step.commands],
        "attempts": [codec.to_data(attempt) for attempt in attempts],
    }


def _step_status(step: PlannedStep, attempts: Sequence[Attempt]) -> str:
    if step.refusal is not None:
        return "refused"
    if not attempts:
        return "pending"
    last = attempts[-1]
    if last.end is AttemptEnd.OUTCOME_UNKNOWN and last.reason == "not ended yet":
        return "running"
    return last.end.value


def _escalation(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        name: row[name] for name in ("trigger", "reason", "severity", "dedup_key", "status", "created_at")
    }


def event(told: TimelineEvent) -> dict[str, Any]:
    """One line of a timeline."""
    return {
        "seq": told.seq,
        "at": told.at.isoformat(),
        "kind": told.kind.value,
        "text": told.text,
        "actor": told.actor,
        "data": dict(told.data),
    }
