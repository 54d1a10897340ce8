"""The API's own description of what changes something, made from the very models that read it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from agent.domain.stops import StopScope
from agent.web import bodies

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_TEXT_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"]}
_VALUES: Final[dict[str, Any]] = {"type": "object", "additionalProperties": _TEXT}
_MISSING: Final[dict[str, Any]] = {
    "type": "integer",
    "description": "So many people more must say yes before it runs; 0: it is decided",
}
_AGAIN: Final[dict[str, Any]] = {
    "type": "boolean",
    "description": "It was so before: the same was said by the same human",
}

STOP: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "scope", "name", "reason", "by", "at", "ends_running", "lifted_at", "lifted_by"],
    "properties": {
        "id": _TEXT,
        "scope": {"type": "string", "enum": [scope.value for scope in StopScope]},
        "name": _TEXT_OR_NULL,
        "reason": _TEXT,
        "by": _TEXT,
        "at": _TEXT,
        "ends_running": {"type": "boolean"},
        "lifted_at": {"type": ["string", "null"], "description": "null while it is in force"},
        "lifted_by": _TEXT_OR_NULL,
        "again": _AGAIN,
    },
}

_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, in words"}},
}

#: What any request may be answered.
_FAILURES: Final[dict[str, str]] = {
    "400": "The request says something else than it should",
    "401": "The token is missing, wrong, revoked or expired",
    "403": "No token is configured, or it may not do this",
    "503": "The database cannot be used right now; nothing was changed",
}

_REFUSALS: Final[dict[str, str]] = {
    "404": "There is no such incident or stop",
    "413": f"The body is over {bodies.MAX_BODY_BYTES} bytes",
    "415": "The content type is not application/json",
}

_CONFLICT: Final[dict[str, str]] = {
    "409": "It is not asked, too late, decided by somebody else, or stopped; the words say which"
}


def answer(status: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One answer with its schema."""
    return {status: {"description": description, "content": {"application/json": {"schema": schema}}}}


def failures(*kinds: dict[str, str]) -> dict[str, Any]:
    """Answers that say in words what is wrong."""
    told = {status: text for kind in (_FAILURES, *kinds) for status, text in kind.items()}
    return {
        code: each for status, text in told.items() for code, each in answer(status, text, _ERROR).items()
    }


def _said(**properties: dict[str, Any]) -> dict[str, Any]:
    shown = {"incident": _TEXT, "by": _TEXT, **properties, "again": _AGAIN}
    return {"type": "object", "required": list(shown), "properties": shown}


def change(
    summary: str, body: type[BaseModel], responses: dict[str, Any], *, of: str = "", conflicts: bool = False
) -> dict[str, Any]:
    """One POST that changes something."""
    place = {"name": "id", "in": "path", "required": True, "description": f"The {of}'s id", "schema": _TEXT}
    refusals = (_REFUSALS, _CONFLICT) if conflicts else (_REFUSALS,)
    schema = body.model_json_schema()
    return {
        "post": {
            "summary": summary,
            "parameters": [place] if of else [],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": responses | failures(*refusals),
            "security": [{"token": []}],
        }
    }


def _decision(summary: str, body: type[BaseModel]) -> dict[str, Any]:
    taken = answer("200", "It counts", _said(decision=_TEXT, plan_hash=_TEXT, waits_for=_MISSING))
    return change(summary, body, taken, of="incident", conflicts=True)


CHANGES: Final[dict[str, Any]] = {
    "/api/v1/incidents/{id}/approve": _decision("Let exactly this plan run", bodies.Approval),
    "/api/v1/incidents/{id}/reject": _decision("Do not let this plan run; a human is paged", bodies.Answer),
    "/api/v1/incidents/{id}/parameters": change(
        "Other values for the plan that is asked about: another plan is made with them, and asked about",
        bodies.Parameters,
        answer("200", "It counts", _said(plan_hash=_TEXT, parameters=_VALUES)),
        of="incident",
        conflicts=True,
    ),
    "/api/v1/incidents/{id}/choose": change(
        "Say which of the offered runbooks answers it; or, while a plan is asked about, which other one",
        bodies.Choice,
        answer("200", "It counts", _said(runbook=_TEXT)),
        of="incident",
        conflicts=True,
    ),
    "/api/v1/incidents/{id}/stand-down": change(
        "Hand it to a human: what runs is ended, nothing more is started",
        bodies.HandOver,
        answer("200", "The agent stands down", _said()),
        of="incident",
        conflicts=True,
    ),
    "/api/v1/runs": change(
        "Have a runbook run for an alert that is given; its plan waits for a yes",
        bodies.Run,
        answer("200", "It was asked for before", _said(runbook=_TEXT))
        | answer("201", "It is an incident now", _said(runbook=_TEXT)),
        conflicts=True,
    ),
    "/api/v1/stops/{id}/resume": change(
        "Lift a stop", bodies.Resume, answer("200", "It is not in force any more", STOP), of="stop"
    ),
}

PUT_STOP: Final[dict[str, Any]] = change(
    "Stop the agent, all of it or one service or runbook; in force when it is answered",
    bodies.PutStop,
    answer("200", "It was in force before", STOP) | answer("201", "It is in force", STOP),
)
