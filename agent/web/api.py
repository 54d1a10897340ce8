"""`/api/v1`: incidents as JSON. Reading only; open on loopback, with a bearer token beyond it."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, jsonify, request

from agent.config import is_loopback
from agent.domain.errors import UnknownIncidentError
from agent.domain.incident import Status
from agent.web import views
from agent.web.openapi import OPENAPI

if TYPE_CHECKING:
    from agent.web.app import WebParts

_MAX_PAGE = 500

#: What a reverse proxy adds.
_PROXY_HEADERS = ("forwarded", "x-forwarded-", "x-real-ip", "via")


def blueprint(parts: WebParts) -> Blueprint:
    """The read API."""
    routes = Blueprint("api", __name__, url_prefix="/api/v1")

    @routes.before_request
    def only_who_may_read() -> None:
        _check_token(parts)

    @routes.get("/incidents")
    def incidents() -> Response:
        found = parts.store.incidents(
            limit=_limit(), source_id=request.args.get("source_id"), status=_status()
        )
        shown = [views.incident(parts.store, each.id) for each in found]
        return jsonify(parts.redactor.value({"incidents": shown}))

    @routes.get("/incidents/<incident_id>")
    def incident(incident_id: str) -> Response:
        try:
            parts.store.incident(incident_id)
        except UnknownIncidentError as error:
            abort(404, str(error))
        return jsonify(parts.redactor.value(views.incident(parts.store, incident_id)))

    @routes.get("/escalations")
    def escalations() -> Response:
        return jsonify(parts.redactor.value({"escalations": list(parts.store.escalations())}))

    @routes.get("/runbooks")
    def runbooks() -> Response:
        return jsonify({"runbooks": [views.runbook(each) for each in parts.library.runbooks.values()]})

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(OPENAPI)

    return routes


def _check_token(parts: WebParts) -> None:
    server = parts.config.server
    if server.api_token is None:
        if is_loopback(server.host) and _is_from_this_machine():
            return
        abort(403, "set server.api_token in config.yaml to read the API beyond loopback")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    expected = server.api_token.resolve().reveal()
    if not hmac.compare_digest(given.encode(), expected.encode()):
        abort(401, "send the API token as Authorization: Bearer")


def _is_from_this_machine() -> bool:
    """Whether nothing hints at a proxy or at another name: both bring remote readers to loopback."""
    host = urlsplit(f"//{request.host}").hostname or ""
    passed_on = any(name.lower().startswith(_PROXY_HEADERS) for name in request.headers.keys())  # noqa: SIM118
    return is_loopback(host) and not passed_on


def _limit() -> int:
    text = request.args.get("limit", "50")
    is_short_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PAGE))
    if not is_short_number or not 0 < int(text) <= _MAX_PAGE:
        abort(400, f"limit must be a number from 1 to {_MAX_PAGE}")
    return int(text)


def _status() -> str | None:
    status = request.args.get("status")
    if status is not None and status not in [each.value for each in Status]:
        abort(400, f"status must be one of {', '.join(each.value for each in Status)}")
    return status
