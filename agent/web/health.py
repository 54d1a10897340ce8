"""`/health`, `/ready`, `/metrics`: for the supervisor, the load balancer and Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agent.domain.errors import StoreError
from agent.web.incident_metrics import MeasuresCollector, StandingCollector, WhileTheStoreIsThere
from agent.web.llm_metrics import LlmCollector
from agent.web.metrics import StoreCollector
from agent.web.pulse_metrics import PulseCollector, StuckCollector

if TYPE_CHECKING:
    from agent.web.app import WebParts


def blueprint(parts: WebParts) -> Blueprint:
    """The three of them."""
    routes = Blueprint("health", __name__)
    stored = (
        StoreCollector(parts.store),
        MeasuresCollector(parts.store),
        StandingCollector(parts.store, parts.config),
        LlmCollector(parts.store),
        StuckCollector(parts.store),
    )
    parts.metrics.registry.register(WhileTheStoreIsThere(parts.store, *stored))
    parts.metrics.registry.register(PulseCollector(parts.pulse))

    @routes.get("/health")
    def health() -> Response:
        shown = {"status": "healthy", "uptime_seconds": round(time.monotonic() - parts.started_at)}
        # as last seen: whether the process lives is answered without asking the database anything
        stopped = [stop.what for stop in parts.stopped()]
        return jsonify(shown | ({"stopped": stopped} if stopped else {}))

    @routes.get("/ready")
    def ready() -> tuple[Response, int]:
        problem = _not_ready(parts)
        if problem:
            return jsonify({"status": "not ready", "reason": parts.redactor.text(problem)}), 503
        shown = {"status": "ready", "runbooks": len(parts.library.runbooks)}
        # what comes in is taken, and something else cannot be done: `oncall-agent watch` pages for it
        problems = [parts.redactor.text(each) for each in parts.pulse.problems()]
        return jsonify(shown | ({"problems": problems} if problems else {})), 200

    @routes.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(parts.metrics.registry), mimetype=CONTENT_TYPE_LATEST)

    return routes


def _not_ready(parts: WebParts) -> str:
    if not parts.ready.is_set():
        return "starting or stopping"
    try:
        parts.store.agenda()
    except StoreError as error:
        return str(error)
    return "; ".join(parts.pulse.late())
