"""The API's own description of what agents post to each other, made from the models that read it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from agent.domain.handoffs import SENDER
from agent.domain.signing import SIGNATURE, TOLERANCE_S
from agent.web.handoff_bodies import MAX_BODY_BYTES, HandedAnswer, Package

_TEXT: Final[dict[str, Any]] = {"type": "string"}

_TAKEN: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["received"],
    "properties": {
        "received": {"type": "boolean"},
        "outcome": _TEXT,
        "incident": _TEXT,
    },
}

_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, in words"}},
}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": _TEXT}


_SIGNED: Final[dict[str, Any]] = _header(
    SIGNATURE,
    f"t=SECONDS,v1=HEX: HMAC-SHA256 over the time, a dot and the body; at most {TOLERANCE_S} s old",
)
_FAILURES: Final[dict[str, str]] = {
    "400": "The body says something else than it should",
    "401": "It is not signed by anybody of handoff.accept_from",
    "404": "Nothing was handed over under this key",
    "409": "It is not taken, and why: the human is called where it comes from",
    "413": f"The body is over {MAX_BODY_BYTES} bytes",
    "503": "It cannot be taken right now; it is to be posted again",
}


def _posted(
    summary: str,
    model: type[BaseModel],
    done: str,
    said: str,
    *,
    failing: str,
    parameters: list[dict[str, Any]],
) -> dict[str, Any]:
    def answered(description: str, shape: dict[str, Any]) -> dict[str, Any]:
        return {"description": description, "content": {"application/json": {"schema": shape}}}

    schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="validation")
    schema.pop("$defs", None)
    return {
        "summary": summary,
        "security": [{}],
        "parameters": [_SIGNED, *parameters],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            done: answered(said, _TAKEN),
            **{status: answered(_FAILURES[status], _ERROR) for status in failing.split()},
        },
    }


def _parts(*models: type[BaseModel]) -> dict[str, Any]:
    """What the two bodies are made of."""
    found: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="validation")
        found |= schema.get("$defs", {})
    return found


HANDOFF_PARTS: Final[dict[str, Any]] = _parts(Package, HandedAnswer)

HANDOFFS: Final[dict[str, Any]] = {
    "/api/v1/handoffs": {
        "post": _posted(
            "Take an incident over from another agent; posted again it is the one that is there",
            Package,
            "202",
            "It is an incident here now",
            failing="400 401 409 413 503",
            parameters=[_header(SENDER, "The sender's name in handoff.accept_from")],
        )
    },
    "/api/v1/handoffs/{id}/answer": {
        "post": _posted(
            "What became of an incident that was handed over; the first answer counts",
            HandedAnswer,
            "200",
            "It is kept; `too late` after the deadline",
            failing="400 401 404 413 503",
            parameters=[
                {"name": "id", "in": "path", "required": True, "description": "Its key", "schema": _TEXT}
            ],
        )
    },
}
