"""What the API says of itself: post-mortems and evidence."""

from __future__ import annotations

from typing import Any, Final

from agent.web.openapi_changes import answer, failures

_ID: Final[dict[str, Any]] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The incident's id",
    "schema": {"type": "string"},
}


def _query(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


_TEXTS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "string"}}
_THINGS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "object"}}

_POSTMORTEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": [
        "incident_id",
        "title",
        "started_at",
        "duration",
        "severity",
        "summary",
        "actions",
        "markdown",
    ],
    "properties": {
        "incident_id": {"type": "string"},
        "title": {"type": "string"},
        "started_at": {"type": "string"},
        "ended_at": {"type": ["string", "null"], "description": "null while it is not over"},
        "duration": {"type": "string"},
        "severity": {"type": "string"},
        "status": {"type": "string"},
        "summary": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "model": {"type": "string", "description": "the model that wrote it; empty: rules did"},
                "why_not": {"type": "string"},
            },
        },
        "timeline": _THINGS,
        "causes": {**_THINGS, "description": "what may have been the cause, and what speaks for it"},
        "events": {"type": ["object", "null"], "description": "what an AI gateway decided meanwhile"},
        "impact": {"type": "object"},
        "tried": _THINGS,
        "went_well": _TEXTS,
        "went_badly": _TEXTS,
        "actions": {**_THINGS, "description": "what is to be done, and the fact that asks for it"},
        "participants": _THINGS,
        "links": _THINGS,
        "markdown": {"type": "string", "description": "the whole document as Markdown"},
        "proofs": {**_THINGS, "description": "the SHA-256 of each piece of evidence"},
    },
}

POSTMORTEMS: Final[dict[str, Any]] = {
    "/api/v1/incidents/{id}/postmortem": {
        "get": {
            "summary": "The post-mortem: facts from the audit log, with blanks for what people know",
            "parameters": [_ID],
            "responses": {
                **answer("200", "The document", _POSTMORTEM),
                **failures({"404": "There is no such incident"}),
            },
        }
    },
    "/api/v1/evidence": {
        "get": {
            "summary": "What is kept of a window or an incident, as one ZIP file with hashes",
            "parameters": [
                _query("since", "From this time on: 2026-04-23 or 2026-04-23T14:00:00Z"),
                _query("until", "Before this time; left out, now"),
                _query("incident", "All of this incident instead"),
            ],
            "responses": {
                "200": {
                    "description": "JSONL and CSV of each kind, and manifest.json",
                    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
                },
                **failures({"404": "There is no such incident"}),
            },
        }
    },
}
