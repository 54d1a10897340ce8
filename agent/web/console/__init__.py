"""The console: the agent in a browser, at `/console`. All of it can be read and decided without script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from agent.domain.errors import StoreError
from agent.domain.people import Actor, Deed, Via
from agent.web import identity
from agent.web.console import analytics, audit, events, incident, now, postmortem, queue, runbooks, settings
from agent.web.console.frame import Frame

if TYPE_CHECKING:
    from agent.web.app import WebParts

#: A form is a few words and a note; more is none.
_MAX_FORM_BYTES = 256 * 1024

_TITLES = {403: "Not yours to do", 404: "There is nothing here", 409: "Not possible now"}


def blueprint(parts: WebParts) -> Blueprint:
    """Every page and form of the console; signing in and out is `web.sign_in`'s."""
    routes = Blueprint("console", __name__, url_prefix="/console", static_folder="../static")
    frame = Frame(parts)

    @routes.before_request
    def bounded() -> None:
        request.max_content_length = _MAX_FORM_BYTES
        identity.check_console_is_on(parts)
        # before anything is looked for: strangers do not even learn what is there
        if request.endpoint != "console.static" and identity.current(parts) is None:
            identity.signed_in(parts, Deed.VIEW)

    @routes.errorhandler(HTTPException)
    def problem(error: HTTPException) -> AnyResponse:
        if isinstance(error.response, AnyResponse):  # on the way to the sign-in
            return error.response
        code = error.code or 500
        return frame.problem(
            _actor(parts), code, _TITLES.get(code, "That did not work"), error.description or ""
        )

    @routes.errorhandler(StoreError)
    def away(_: StoreError) -> Response:
        why = "The database cannot be used right now. Work goes on as soon as it is back; reload in a moment."
        return frame.problem(None, 503, "The database is away", why)

    for page in (now, incident, postmortem, queue, runbooks, analytics, audit, settings):
        page.add_routes(routes, parts, frame)
    events.add_routes(routes, parts)

    @routes.get("/<path:rest>")
    def nowhere(rest: str) -> Response:
        frame.viewer()
        abort(404, f"the console has no page {rest[:200]}")

    return routes


def _actor(parts: WebParts) -> Actor | None:
    found = identity.current(parts)
    return Actor(found[1], Via.CONSOLE) if found is not None else None
