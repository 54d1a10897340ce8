"""`GET /api/v1/incidents/{id}/postmortem`: what an incident was, as facts and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from agent.reports.postmortem_text import as_markdown
from agent.web import identity, postmortems
from agent.web.found import incident_or_404

if TYPE_CHECKING:
    from agent.web.app import WebParts


def blueprint(parts: WebParts) -> Blueprint:
    """One route; whoever may read incidents may read this."""
    routes = Blueprint("api_postmortems", __name__, url_prefix="/api/v1")

    @routes.before_request
    def only_who_may_read() -> None:
        identity.check_reader(parts)

    @routes.get("/incidents/<incident_id>/postmortem")
    def postmortem(incident_id: str) -> Response:
        incident = incident_or_404(parts, incident_id)
        with parts.room.taken():
            made = postmortems.postmortem_of(parts.store, parts.config, parts.redactor, incident)
        return jsonify(postmortems.as_json(made) | {"markdown": as_markdown(made)})

    return routes
