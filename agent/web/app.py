"""The app factory: routes, and what each error looks like from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Request, Response, jsonify
from flask.sessions import NullSession, SessionInterface
from werkzeug.exceptions import HTTPException

from agent.adapters.clock import SystemClock
from agent.adapters.courtesy import Courtesy
from agent.adapters.patience import until
from agent.adapters.store import Store
from agent.config import Config
from agent.domain.decisions import PlannedStep
from agent.domain.errors import StoreError
from agent.domain.runbook import Runbook
from agent.domain.stops import Stop
from agent.library import Library
from agent.pulse import Pulse
from agent.safety.redaction import Redactor
from agent.web import (
    account,
    api,
    api_autonomy,
    api_changes,
    api_evidence,
    api_postmortems,
    api_queue,
    console,
    handoffs,
    headers,
    health,
    jira,
    keeptrusts,
    sign_in,
    slack,
    webhooks,
)
from agent.web.metrics import Metrics
from agent.web.refusals import broke
from agent.web.room import Room

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

#: PagerDuty gives a webhook 5 s (webhooks, "Behavior"), Slack a press 3 s ("Handling user interaction"); the
#: answer is to be there before.
_SOONER_S = {"/webhook/": 1.5, "/slack/": 2.6}

_REQUEST_S = 10.0


@dataclass
class WebParts:
    """What the web face may use; `notify` wakes the dispatcher. A worker serves its health alone."""

    config: Config
    store: Store
    library: Library
    redactor: Redactor
    notify: Callable[[], None]
    ready: threading.Event
    serves_web: bool = True
    stopped: Callable[[], Sequence[Stop]] = tuple
    priced: Callable[[Runbook], Sequence[PlannedStep]] = lambda _: ()
    courtesy: Courtesy = field(default_factory=Courtesy)
    pulse: Pulse = field(default_factory=lambda: Pulse(SystemClock()))
    started_at: float = field(default_factory=time.monotonic)
    metrics: Metrics = field(default_factory=Metrics)
    room: Room = field(default_factory=Room)


def create_app(parts: WebParts, desk: webhooks.Desk | None = None) -> Flask:
    """A Flask app over these parts; nothing is started. `desk`: who takes webhooks, if there already."""
    app = Flask("oncall-agent", static_folder=None)  # else ./static of wherever it was started is served
    app.session_interface = _NoSession()
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False  # an address that is none is 404, and not sent to another one
    app.register_blueprint(health.blueprint(parts))
    if parts.serves_web:
        app.register_blueprint(webhooks.blueprint(desk or webhooks.Desk(parts)))
        app.register_blueprint(keeptrusts.blueprint(parts))
        app.register_blueprint(jira.blueprint(parts))
        app.register_blueprint(slack.blueprint(parts))
        app.register_blueprint(api.blueprint(parts))
        app.register_blueprint(api_changes.blueprint(parts))
        app.register_blueprint(api_queue.blueprint(parts))
        app.register_blueprint(handoffs.blueprint(parts))
        app.register_blueprint(api_autonomy.blueprint(parts))
        app.register_blueprint(api_postmortems.blueprint(parts))
        app.register_blueprint(api_evidence.blueprint(parts))
        app.register_blueprint(sign_in.blueprint(parts))
        app.register_blueprint(account.blueprint(parts))
        app.register_blueprint(console.blueprint(parts))
    headers.install(app, parts.config)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(StoreError, _store_down)
    app.register_error_handler(Exception, _broken)
    app.wsgi_app = _in_time(app.wsgi_app)  # type: ignore[method-assign, assignment]
    return app


class _NoSession(SessionInterface):
    """Flask keeps nothing for anybody: who has signed in stands in the store."""

    _none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:  # noqa: ARG002 (Flask's)
        return self._none


def _in_time(answer: WSGIApplication) -> WSGIApplication:
    """A store that does not answer is one that is down: said in time, so that the source sends it again."""

    def answer_in_time(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        wanted_s = next((each for start, each in _SOONER_S.items() if path.startswith(start)), _REQUEST_S)
        with until(time.monotonic() + wanted_s):
            return answer(environ, start_response)

    return answer_in_time


def _http_error(error: HTTPException) -> tuple[Response, int]:
    return jsonify({"error": error.description}), error.code or 500


def _store_down(error: StoreError) -> tuple[Response, int]:
    """Never a 4xx: the source sends a webhook again after a 503."""
    log.error("store_down", error=str(error))
    return jsonify({"error": "the store cannot be used right now; send it again"}), 503


def _broken(error: Exception) -> Response:
    """Whatever broke in a request."""
    return broke(error).response()
