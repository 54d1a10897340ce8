"""A loopback Prometheus of prepared answers (HTTP API, page "Querying": instant queries)."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request

from agent.simulators.server import Simulator


class PrometheusSimulator(Simulator):
    """Answers `/api/v1/query` as prepared; a query that nobody prepared finds no series."""

    def __init__(self, *, token: str = "", port: int = 0) -> None:
        self._token = token
        self._answers: dict[str, tuple[int, dict[str, Any]]] = {}
        app = Flask(__name__)
        app.get("/api/v1/query")(self._query)
        super().__init__(app, port=port)

    def vector(self, query: str, *values: str) -> None:
        """The query finds series with these values from now on."""
        result = [
            {"metric": {"instance": f"i{number}"}, "value": [1767587843.1, value]}
            for number, value in enumerate(values)
        ]
        self.data(query, "vector", result)

    def data(self, query: str, kind: str, result: object) -> None:
        """The query gives this result of this type from now on."""
        self._answers[query] = 200, {"status": "success", "data": {"resultType": kind, "result": result}}

    def refuse(self, query: str, status: int, error: str) -> None:
        """The query is wrong (400), or cannot be carried out (422)."""
        kind = "bad_data" if status == 400 else "execution"
        self._answers[query] = status, {"status": "error", "errorType": kind, "error": error}

    def _query(self) -> tuple[Response, int]:
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            return jsonify({"status": "error", "errorType": "unauthorized", "error": "no token"}), 401
        if set(request.args) - {"query", "time", "timeout", "limit"} or "query" not in request.args:
            return jsonify({"status": "error", "errorType": "bad_data", "error": "unknown parameter"}), 400
        nothing = {"status": "success", "data": {"resultType": "vector", "result": []}}
        status, body = self._answers.get(request.args["query"], (200, nothing))
        return jsonify(body), status
