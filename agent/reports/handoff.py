"""The evidence that goes with an incident to another agent: a document for its readers, never a command.

docs/handoff.md describes every field; `agent/web/handoff_bodies.py` is what this agent takes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from agent.domain.alert import Alert
from agent.domain.decisions import Attempt, Plan, PlannedStep
from agent.domain.handoffs import PACKAGE_TYPE, VERSION
from agent.domain.incident import Incident, TimelineEvent

#: A package holds at most so much of each: it is to be taken by any system in one request.
_MAX_OUTPUT, _MAX_EVENTS, _MAX_ATTEMPTS, _MAX_TEXT = 4_000, 300, 100, 2_000


def package(
    incident: Incident,
    plan: Plan | None,
    attempts: Sequence[Attempt],
    timeline: Sequence[TimelineEvent],
    *,
    url: str,
) -> dict[str, object]:
    """All that is known of an incident: alert, match, plan, attempts with their outputs, timeline."""
    return {
        "type": PACKAGE_TYPE,
        "version": VERSION,
        "alert": _alert(incident.alert),
        "incident": {
            "id": incident.id,
            "url": url,
            "received_at": _at(incident.received_at),
            "same_alert_count": incident.alert_count,
        },
        "match": {
            "runbook": incident.runbook_id,
            "revision": incident.runbook_revision,
            "confidence": incident.confidence,
            "reasons": list(incident.match_reasons),
        },
        "plan": None if plan is None else _plan(plan),
        "attempts": attempts_of(attempts),
        "timeline": timeline_of(timeline),
    }


def attempts_of(attempts: Sequence[Attempt]) -> list[dict[str, object]]:
    """Every try with the end of its output."""
    return [
        {
            "section": each.section.value,
            "step": each.step,
            "number": each.number,
            "end": each.end.value,
            "reason": each.reason[:_MAX_TEXT],
            "exit_code": each.exit_code,
            "output": each.output[-_MAX_OUTPUT:],
            "error_output": each.error_output[-_MAX_OUTPUT:],
            "duration_s": round(each.duration_s, 3),
        }
        for each in attempts[-_MAX_ATTEMPTS:]
    ]


def timeline_of(timeline: Sequence[TimelineEvent]) -> list[dict[str, object]]:
    """The story so far, oldest first."""
    return [
        {"at": _at(each.at), "kind": each.kind.value, "text": each.text[:_MAX_TEXT], "actor": each.actor}
        for each in timeline[-_MAX_EVENTS:]
    ]


def _alert(alert: Alert) -> dict[str, object]:
    return {
        "source": alert.source,
        "source_id": alert.source_id,
        "title": alert.title,
        "body": alert.body,
        "service": alert.service,
        "severity": alert.severity.value if alert.severity else None,
        "urgency": alert.urgency.value if alert.urgency else None,
        "priority": alert.priority,
        "team": alert.team,
        "environment": alert.environment,
        "labels": dict(alert.labels),
        "url": alert.url,
        "dedup_key": alert.dedup_key,
        "fired_at": None if alert.fired_at is None else _at(alert.fired_at),
        "links": list(alert.links),
    }


def _plan(plan: Plan) -> dict[str, object]:
    return {
        "hash": plan.plan_hash,
        "parameters": {name: each.value for name, each in plan.parameters.items()},
        "refusals": list(plan.refusals),
        "steps": [_step(each) for each in (*plan.steps, *plan.verify, *plan.rollback)],
    }


def _step(step: PlannedStep) -> dict[str, object]:
    return {
        "section": step.section.value,
        "index": step.index,
        "title": step.title,
        "commands": [list(each.argv) for each in step.commands],
        "effects": [
            f"{effect.count} × {effect.effect_class.value} on {effect.target}"
            for command in step.commands
            for effect in command.effects
        ],
        "refusal": None if step.refusal is None else str(step.refusal),
    }


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
