"""A listener on loopback in the place of whatever a heartbeat, or a look, is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask, Response, jsonify

from agent.simulators.server import Simulator


class Listener(Simulator):
    """Answers as it is told, and keeps every request."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = {"status": "ready", "runbooks": 4}
        app = Flask("listener")
        app.add_url_rule("/<path:path>", "any", self._answer)
        super().__init__(app)

    def _answer(self, path: str) -> tuple[Response, int]:
        if isinstance(self.body, str):
            return Response(self.body), self.status
        return jsonify(self.body), self.status


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listening:
        yield listening  # type: ignore[misc]
