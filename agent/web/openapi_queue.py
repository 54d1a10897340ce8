"""The API's own description of the queue."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from agent.domain.queue import Action, Origin, QueueStatus, Rank
from agent.escalations.sla import Light
from agent.web import queue_bodies
from agent.web.openapi_changes import answer, failures

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_TEXT_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Final[dict[str, Any]] = {"type": ["number", "null"]}

_MISSING: Final[dict[str, str]] = {"404": "There is no such escalation"}
_REFUSED: Final[dict[str, str]] = {
    "404": "There is no such escalation",
    "409": "Somebody else has it, it is settled already, or this does not settle it; the words say which",
    "413": "The body is too long",
    "415": "The content type is not application/json",
}


def _words(
    *kinds: type[QueueStatus] | type[Rank] | type[Origin] | type[Light] | type[Action],
) -> dict[str, Any]:
    return {"type": "string", "enum": [word.value for kind in kinds for word in kind]}


_RESOLUTION: Final[dict[str, Any]] = {
    "type": ["object", "null"],
    "properties": {
        "escalation_id": _TEXT,
        "action": _words(Action),
        "reviewer": _TEXT,
        "at": _TEXT,
        "note": _TEXT,
        "runbook": _TEXT_OR_NULL,
        "resolution_time_seconds": {"type": "integer"},
    },
}

ITEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "title", "status", "trigger", "rank", "created_at", "deadline", "light", "target"],
    "properties": {
        "id": _TEXT,
        "incident_id": _TEXT_OR_NULL,
        "origin": _words(Origin),
        "title": _TEXT,
        "status": _words(QueueStatus),
        "trigger": _TEXT,
        "reason": _TEXT,
        "severity": _TEXT,
        "rank": _words(Rank),
        "created_at": _TEXT,
        "amber_at": {"type": "string", "description": "when half of its time is left"},
        "deadline": {"type": "string", "description": "when its SLA is breached"},
        "respond_by": {"type": ["string", "null"], "description": "until when somebody has to begin to look"},
        "answered_at": {"type": ["string", "null"], "description": "when somebody did"},
        "light": _words(Light),
        "level": {"type": "integer", "description": "how often it went further up"},
        "rule": {"type": "string", "description": "the routing rule that decided whose it is"},
        "target": {"type": "string", "description": "whose it is"},
        "assignee": {"type": ["string", "null"], "description": "who claimed it"},
        "resolution": _RESOLUTION,
    },
}

_WHOLE: Final[dict[str, Any]] = {
    **ITEM,
    "properties": {
        **ITEM["properties"],
        "facts": {"type": "object", "description": "what was sent with it"},
        "draft": {"type": ["string", "null"], "description": "a runbook drafted from what was done by hand"},
        "evidence": {
            "type": "object",
            "description": "alert, match reasons, steps tried with output, timeline, history",
        },
    },
}

_TALLY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "made": {"type": "integer"},
        "settled": {"type": "integer"},
        "within_sla": {"type": "integer"},
        "breaches": {"type": "integer"},
        "compliance": _NUMBER_OR_NULL,
        "responses_within_sla": {"type": "integer"},
        "responses_late": {"type": "integer"},
        "response_compliance": _NUMBER_OR_NULL,
        "mean_to_acknowledge_s": _NUMBER_OR_NULL,
        "mean_to_resolve_s": _NUMBER_OR_NULL,
    },
}

_REPORT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["total", "by_severity", "by_week", "trend"],
    "properties": {
        "since": _TEXT,
        "until": _TEXT,
        "total": _TALLY,
        "by_severity": {"type": "object", "additionalProperties": _TALLY},
        "by_week": {"type": "array", "items": _TALLY},
        "trend": {"enum": ["improving", "steady", "degrading"]},
        "top_triggers": {"type": "array", "items": {"type": "object"}},
        "by_action": {"type": "object", "additionalProperties": {"type": "integer"}},
        "reviewers": {"type": "array", "items": {"type": "object"}},
        "repeat_consumers": {"type": "array", "items": {"type": "object"}},
        "by_hour": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}


def _query(name: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    where = {"in": "query", "required": False}
    return {"name": name, "description": description, "schema": schema or _TEXT, **where}


_ID: Final[dict[str, Any]] = {
    "name": "id", "in": "path", "required": True, "description": "The escalation's id, or its incident's",
    "schema": _TEXT,
}  # fmt: skip


def _deed(summary: str, body: type[BaseModel]) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "parameters": [_ID],
            "requestBody": _body(body),
            "responses": answer("200", "How it is now", ITEM) | failures(_REFUSED),
            "security": [{"token": []}],
        }
    }


def _body(body: type[BaseModel]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": body.model_json_schema()}}}


QUEUE: Final[dict[str, Any]] = {
    "/api/v1/escalations/report": {
        "get": {
            "summary": "How the queue does: deadlines kept, times to settle, what calls humans",
            "parameters": [
                _query("days", "So many days back", {"type": "integer", "minimum": 1, "maximum": 3660}),
                _query("origin", "Who called a human; everybody if left out", _words(Origin)),
            ],
            "responses": answer("200", "The report", _REPORT) | failures(),
        }
    },
    "/api/v1/escalations/{id}": {
        "get": {
            "summary": "One escalation with all its evidence",
            "parameters": [_ID],
            "responses": answer("200", "The escalation", _WHOLE) | failures(_MISSING),
        }
    },
    "/api/v1/escalations/{id}/claim": _deed("Make it mine", queue_bodies.Claim),
    "/api/v1/escalations/{id}/release": _deed("Give it back to the queue", queue_bodies.Release),
    "/api/v1/escalations/{id}/reassign": _deed("Put it before somebody else", queue_bodies.Reassign),
    "/api/v1/escalations/{id}/further": _deed("Escalate it further", queue_bodies.Further),
    "/api/v1/escalations/{id}/resolve": _deed("Settle it, with a note", queue_bodies.Resolve),
}

RECEIVE: Final[dict[str, Any]] = {
    "post": {
        "summary": "Put in an escalation of another system; the same id again is the same one",
        "parameters": [],
        "requestBody": _body(queue_bodies.Receive),
        "responses": answer("200", "It was there before", ITEM)
        | answer("201", "It is in the queue", ITEM)
        | failures({"413": "The body is too long", "415": "The content type is not application/json"}),
        "security": [{"token": []}],
    }
}

LIST_PARAMETERS: Final[list[dict[str, Any]]] = [
    _query("status", "Where it stands; open and claimed if left out", _words(QueueStatus)),
    _query("severity", "How grave", _words(Rank)),
    _query("origin", "Who called a human", _words(Origin)),
    *(
        _query(name, description)
        for name, description in (
            ("trigger", "Why a human is needed"),
            ("service", "The alert's service"),
            ("runbook", "The runbook's id"),
            ("assignee", "Who claimed it"),
            ("target", "Whose it is"),
            ("text", "Words in its title"),
            ("after", "The `next` of the page before"),
        )
    ),
    _query("limit", "How many", {"type": "integer", "minimum": 1, "maximum": 500}),
]
