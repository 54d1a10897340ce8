"""Anthropic's Messages API on loopback: refuses what the API refuses, answers as a chosen mind would.

    with AnthropicSimulator(mind=obedient) as llm:
        advisor = AnthropicAdvisor(llm.api_key, Asking("claude-haiku-4-5"), …, base_url=llm.url)

`say` scripts whole answers; faults (slow, cut, 429, 529) are those of every simulator.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from flask import Flask, Response, request

from agent.simulators.anthropic_minds import Mind, Spoken, sensible
from agent.simulators.anthropic_requests import (
    MAX_BYTES,
    MODELS,
    Asked,
    RefusedError,
    check_headers,
    read_request,
)
from agent.simulators.server import Simulator

__all__ = ["AnthropicSimulator", "Scripted", "message_body"]

API_KEY = "sk-ant-simulated-key"
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Scripted:
    """One whole answer; a body that is no text is sent as JSON."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class AnthropicSimulator(Simulator):
    """One account with one key. Without scripted answers `mind` says what the model answers."""

    def __init__(
        self,
        *,
        api_key: str = API_KEY,
        mind: Mind = sensible,
        models: Sequence[str] = MODELS,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.api_key = api_key
        self.mind = mind
        self.models = tuple(models)
        self._asked: list[Asked] = []
        self._script: list[Scripted] = []
        self._turn = threading.Lock()
        app = Flask("anthropic-simulator")
        self._serve(app)
        super().__init__(app, host=host, port=port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def say(self, *answers: Scripted) -> None:
        """Give these answers, in order, before the mind is asked again."""
        with self._turn:
            self._script.extend(answers)

    def asked(self) -> list[Asked]:
        """What was understood so far, oldest first."""
        with self._turn:
            return list(self._asked)

    def forget(self) -> None:
        """Begin anew: nothing asked, nothing scripted, no faults, a sensible mind."""
        self.behave()
        with self._lock:
            self._requests.clear()
        with self._turn:
            self._asked.clear()
            self._script.clear()
        self.mind = sensible

    def _serve(self, app: Flask) -> None:
        @app.post("/v1/messages")
        def messages() -> Response:
            check_headers(dict(request.headers), self.api_key)
            asked = read_request(_json_body(), self.models)
            with self._turn:
                self._asked.append(asked)
                scripted = self._script.pop(0) if self._script else None
            if scripted is not None:
                return _answer(scripted)
            return _answer(Scripted(message_body(asked, self.mind(asked))))

        @app.errorhandler(RefusedError)
        def refused(error: RefusedError) -> Response:
            return _answer(Scripted(error_body(error.kind, str(error)), error.status))


def _json_body() -> object:
    if len(request.get_data()) > MAX_BYTES:
        raise RefusedError(413, _ERRORS[413], "Request exceeds the maximum size")
    try:
        return json.loads(request.get_data())
    except ValueError:
        raise RefusedError(400, "invalid_request_error", "the body is not JSON") from None


def error_body(kind: str, message: str) -> dict[str, object]:
    """An error as the API writes it."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_simulated"}


def scripted_error(status: int, *, headers: Mapping[str, str] | None = None) -> Scripted:
    """The API's own answer with this status."""
    body = error_body(_ERRORS.get(status, "api_error"), "simulated")
    return Scripted(body, status, headers or {})


def message_body(asked: Asked, spoken: Spoken) -> dict[str, object]:
    """A message with what the mind said, as text or as the input of the forced tool."""
    text = spoken.said if isinstance(spoken.said, str) else json.dumps(spoken.said)
    block: dict[str, object] = {"type": "text", "text": text}
    stop_reason = spoken.stop_reason
    if asked.tool:
        block = {"type": "tool_use", "id": "toolu_simulated", "name": asked.tool, "input": spoken.said}
        stop_reason = "tool_use" if stop_reason == "end_turn" else stop_reason
    read = len(asked.system) + len(asked.text)
    return {
        "id": "msg_simulated",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [block] if text else [],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": read // _CHARACTERS_A_TOKEN,
            "output_tokens": len(text) // _CHARACTERS_A_TOKEN + 1,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def _answer(scripted: Scripted) -> Response:
    text = scripted.body if isinstance(scripted.body, str) else json.dumps(scripted.body)
    headers = {"request-id": "req_simulated", **scripted.headers}
    return Response(text, status=scripted.status, headers=headers, mimetype="application/json")
