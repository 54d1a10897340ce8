"""The API's own description."""

from __future__ import annotations

from typing import Any, Final

from agent.domain.incident import Status
from agent.web.openapi_autonomy import AUTONOMY
from agent.web.openapi_changes import CHANGES, PUT_STOP, STOP, answer, failures
from agent.web.openapi_handoffs import HANDOFF_PARTS, HANDOFFS
from agent.web.openapi_postmortems import POSTMORTEMS
from agent.web.openapi_queue import LIST_PARAMETERS, QUEUE, RECEIVE

_INCIDENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": [
        "id", "source", "source_id", "title", "status", "runbook", "runbook_revision", "match", "steps",
        "charges", "escalation", "timeline",
    ],
    "properties": {
        "id": {"type": "string"},
        "source": {"type": "string"},
        "source_id": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "string", "enum": [status.value for status in Status]},
        "runbook": {"type": ["string", "null"]},
        "runbook_revision": {"type": ["string", "null"], "description": "SHA-256 of the runbook's bytes"},
        "match": {
            "type": ["object", "null"],
            "properties": {
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                "reasons": {"type": "array", "items": {"type": "string"}},
            },
        },
        "steps": {"type": "array", "items": {"type": "object"}},
        "charges": {"type": "object", "additionalProperties": {"type": "integer"}},
        "escalation": {"type": ["object", "null"]},
        "alert_count": {"type": "integer", "description": "how often the same alert came while it was open"},
        "last_alert_at": {"type": ["string", "null"]},
        "folded_into": {"type": ["string", "null"], "description": "the incident of the same alert"},
        "timeline": {"type": "array", "items": {"type": "object"}},
    },
}  # fmt: skip


_WAITING: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["incident_id", "title", "status", "trigger", "reason", "created_at", "waits_for", "until"],
    "properties": {
        "incident_id": {"type": ["string", "null"]},
        "title": {"type": "string"},
        "status": {"type": "string", "enum": ["waiting", "open", "claimed", "resolved", "expired"]},
        "trigger": {"type": "string"},
        "reason": {"type": "string"},
        "severity": {"type": ["string", "null"]},
        "created_at": {"type": "string"},
        "waits_for": {"type": "string", "description": "an approval, a choice, or a human"},
        "until": {"type": ["string", "null"], "description": "when an answer no longer counts"},
    },
}


_PAGE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["escalations", "next", "open"],
    "properties": {
        "escalations": {"type": "array", "items": _WAITING},
        "next": {"type": "string", "description": "ask for it as `after`; empty at the end"},
        "open": {"type": "integer", "description": "how many escalations are open in all"},
    },
}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return answer("200", description, schema) | failures()


def _list_of(name: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "array", "items": item}}}


def _parameter(name: str, place: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


_TOKEN: Final[dict[str, str]] = {
    "type": "http",
    "scheme": "bearer",
    "description": "The agent's own (server.api_token: every right, `by` is said) or a personal one (oat_…: "
    "what its role and its owner's both may, `by` is its owner)",
}

OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "oncall-agent", "version": "1"},
    "paths": {
        "/api/v1/incidents": {
            "get": {
                "summary": "Incidents, newest first",
                "parameters": [
                    _parameter("source_id", "query", "The id at the source", {"type": "string"}),
                    _parameter("status", "query", "Where it stands", {"type": "string"}),
                    _parameter(
                        "limit", "query", "How many", {"type": "integer", "minimum": 1, "maximum": 500}
                    ),
                ],
                "responses": _answer("Incidents", _list_of("incidents", _INCIDENT)),
            }
        },
        "/api/v1/incidents/{id}": {
            "get": {
                "summary": "One incident with its whole story",
                "parameters": [_parameter("id", "path", "The incident's id", {"type": "string"})],
                "responses": {
                    **_answer("The incident", _INCIDENT),
                    **failures({"404": "There is no such incident"}),
                },
            }
        },
        "/api/v1/escalations": {
            "get": {
                "summary": "What waits for a human: approvals and choices, then escalations by rank",
                "parameters": LIST_PARAMETERS,
                "responses": _answer("Escalations", _PAGE),
            },
            **RECEIVE,
        },
        **QUEUE,
        "/api/v1/stops": {
            "get": {
                "summary": "What humans have stopped",
                "parameters": [
                    _parameter("all", "query", "Those that were lifted too", {"enum": ["true", "false"]})
                ],
                "responses": _answer("Stops in force, oldest first", _list_of("stops", STOP)),
            },
            **PUT_STOP,
        },
        **CHANGES,
        **AUTONOMY,
        **HANDOFFS,
        **POSTMORTEMS,
        "/api/v1/runbooks": {
            "get": {
                "summary": "The runbooks in force",
                "responses": _answer("Runbooks", _list_of("runbooks", {"type": "object"})),
            }
        },
    },
    "components": {"securitySchemes": {"token": _TOKEN}, "schemas": HANDOFF_PARTS},
    "security": [{"token": []}, {}],
}
