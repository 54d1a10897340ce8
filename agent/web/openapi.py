"""The API's own description."""

from __future__ import annotations

from typing import Any, Final

from agent.domain.incident import Status

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
        "timeline": {"type": "array", "items": {"type": "object"}},
    },
}  # fmt: skip


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": description, "content": {"application/json": {"schema": schema}}}}


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
                    "404": {"description": "There is no such incident"},
                },
            }
        },
        "/api/v1/escalations": {
            "get": {
                "summary": "Open escalations, oldest first",
                "responses": _answer("Escalations", _list_of("escalations", {"type": "object"})),
            }
        },
        "/api/v1/runbooks": {
            "get": {
                "summary": "The runbooks in force",
                "responses": _answer("Runbooks", _list_of("runbooks", {"type": "object"})),
            }
        },
    },
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "security": [{"token": []}, {}],
}
