"""The app factory: routes, and what each error looks like from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from agent.adapters.store import Store
from agent.config import Config
from agent.domain.errors import StoreError
from agent.library import Library
from agent.safety.redaction import Redactor
from agent.web import api, health, webhooks
from agent.web.metrics import Metrics

log = structlog.get_logger()


@dataclass
class WebParts:
    """What the web face may use; `notify` wakes the dispatcher."""

    config: Config
    store: Store
    library: Library
    redactor: Redactor
    notify: Callable[[], None]
    ready: threading.Event
    started_at: float = field(default_factory=time.monotonic)
    metrics: Metrics = field(default_factory=Metrics)


def create_app(parts: WebParts) -> Flask:
    """A Flask app over these parts; nothing is started."""
    app = Flask("oncall-agent")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(webhooks.blueprint(parts))
    app.register_blueprint(health.blueprint(parts))
    app.register_blueprint(api.blueprint(parts))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(StoreError, _store_down)
    app.register_error_handler(Exception, _broken)
    return app


def _http_error(error: HTTPException) -> tuple[Response, int]:
    return jsonify({"error": error.description}), error.code or 500


def _store_down(error: StoreError) -> tuple[Response, int]:
    """Never a 4xx: the source sends a webhook again after a 503."""
    log.error("store_down", error=str(error))
    return jsonify({"error": "the store cannot be used right now; send it again"}), 503


def _broken(error: Exception) -> tuple[Response, int]:
    """The boundary of a request: told in the log, answered as 500, and a webhook is sent again."""
    log.error("request_broke", error=f"{type(error).__name__}: {error}", exc_info=error)
    return jsonify({"error": "the agent could not answer; it is in its log"}), 500
