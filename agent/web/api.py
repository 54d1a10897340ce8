"""`/api/v1`, what only reads: incidents as JSON. Open on loopback, with a bearer token beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, jsonify, request

from agent.adapters.json_view import clean
from agent.domain.incident import Status
from agent.web import identity, views
from agent.web.found import incident_or_404
from agent.web.openapi import OPENAPI

if TYPE_CHECKING:
    from agent.web.app import WebParts

_MAX_PAGE = 500


def blueprint(parts: WebParts) -> Blueprint:
    """The read API."""
    routes = Blueprint("api", __name__, url_prefix="/api/v1")

    @routes.before_request
    def only_who_may_read() -> None:
        identity.check_reader(parts)

    @routes.get("/incidents")
    def incidents() -> Response:
        found = parts.store.incidents(limit=_limit(), source_id=_source_id(), status=_status())
        shown = [views.incident(parts.store, each.id) for each in found]
        return jsonify(parts.redactor.value({"incidents": shown}))

    @routes.get("/incidents/<incident_id>")
    def incident(incident_id: str) -> Response:
        incident_or_404(parts, incident_id)
        return jsonify(parts.redactor.value(views.incident(parts.store, incident_id)))

    @routes.get("/stops")
    def stops() -> Response:
        found = parts.store.all_stops() if _flag("all") else parts.store.stops()
        return jsonify(parts.redactor.value({"stops": [views.stop(each) for each in found]}))

    @routes.get("/runbooks")
    def runbooks() -> Response:
        return jsonify({"runbooks": [views.runbook(each) for each in parts.library.runbooks.values()]})

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(OPENAPI)

    return routes


def _source_id() -> str | None:
    given = request.args.get("source_id")
    return None if given is None else clean(given)


def _limit() -> int:
    text = request.args.get("limit", "50")
    is_short_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PAGE))
    if not is_short_number or not 0 < int(text) <= _MAX_PAGE:
        abort(400, f"limit must be a number from 1 to {_MAX_PAGE}")
    return int(text)


def _flag(name: str) -> bool:
    text = request.args.get(name, "false")
    if text not in ("true", "false"):
        abort(400, f"{name} must be true or false")
    return text == "true"


def _status() -> str | None:
    status = request.args.get("status")
    if status is not None and status not in [each.value for each in Status]:
        abort(400, f"status must be one of {', '.join(each.value for each in Status)}")
    return status
