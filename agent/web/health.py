"""`/health`, `/ready`, `/metrics`: for the supervisor, the load balancer and Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agent.domain.errors import StoreError
from agent.web.metrics import StoreCollector

if TYPE_CHECKING:
    from agent.web.app import WebParts


def blueprint(parts: WebParts) -> Blueprint:
    """The three of them."""
    routes = Blueprint("health", __name__)
    parts.metrics.registry.register(StoreCollector(parts.store))

    @routes.get("/health")
    def health() -> Response:
        return jsonify({"status": "healthy", "uptime_seconds": round(time.monotonic() - parts.started_at)})

    @routes.get("/ready")
    def ready() -> tuple[Response, int]:
        problem = _not_ready(parts)
        if problem:
            return jsonify({"status": "not ready", "reason": problem}), 503
        return jsonify({"status": "ready", "runbooks": len(parts.library.runbooks)}), 200

    @routes.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(parts.metrics.registry), mimetype=CONTENT_TYPE_LATEST)

    return routes


def _not_ready(parts: WebParts) -> str:
    if not parts.ready.is_set():
        return "starting or stopping"
    try:
        parts.store.counts_by_status()
    except StoreError as error:
        return str(error)
    return ""
