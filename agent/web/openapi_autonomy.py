"""The API's own description of how far runbooks go alone."""

from __future__ import annotations

from typing import Any, Final

from agent.domain.runbook import Autonomy
from agent.web import bodies
from agent.web.openapi_changes import answer, change, failures

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_LEVEL: Final[dict[str, Any]] = {"type": "string", "enum": [level.value for level in Autonomy]}

_ROW: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["runbook", "level", "bound", "in_a_row", "promote_after", "proposed", "evidence"],
    "properties": {
        "runbook": _TEXT,
        "level": _LEVEL,
        "bound": {**_LEVEL, "description": "How far its file lets it be promoted at most"},
        "since": {"type": ["string", "null"]},
        "by": _TEXT,
        "why": _TEXT,
        "in_a_row": {
            "type": "integer",
            "description": "Incidents that it resolved since one that it did not",
        },
        "promote_after": {"type": "integer"},
        "proposed": {"type": ["string", "null"], "description": "The level that waits for an approver"},
        "evidence": {"type": "array", "items": {"type": "object"}, "description": "The last outcomes"},
    },
}

_MOVED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["runbook", "level", "by"],
    "properties": {"runbook": _TEXT, "level": _LEVEL, "by": _TEXT},
}


def _move(summary: str) -> dict[str, Any]:
    return change(
        summary, bodies.Level, answer("200", "Where it is now", _MOVED), of="runbook", conflicts=True
    )


AUTONOMY: Final[dict[str, Any]] = {
    "/api/v1/autonomy": {
        "get": {
            "summary": "How far each runbook goes alone, what its file allows, and its last outcomes",
            "responses": answer(
                "200",
                "Every runbook in force",
                {"type": "object", "properties": {"autonomy": {"type": "array", "items": _ROW}}},
            )
            | failures(),
        }
    },
    "/api/v1/autonomy/{id}/promote": _move("Let a runbook go further alone, never beyond its file"),
    "/api/v1/autonomy/{id}/demote": _move("Let a runbook go less far alone"),
}
