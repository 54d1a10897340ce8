"""*Post-mortem*: the document of one incident, ready to be finished, signed and printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from agent.reports.postmortem_text import as_body, as_markdown, as_page, style_sheet
from agent.web import postmortems
from agent.web.api_evidence import download
from agent.web.found import incident_or_404

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """The page, the same as a file, and its style, which prints alike from both."""

    @routes.get("/incidents/<incident_id>/postmortem")
    def postmortem(incident_id: str) -> Response:
        actor = frame.viewer()
        incident = incident_or_404(parts, incident_id)
        with parts.room.taken():
            made = postmortems.postmortem_of(parts.store, parts.config, parts.redactor, incident)
        match request.args.get("format", ""):
            case "md":
                return _file(as_markdown(made), f"postmortem-{incident.id}.md", "text/markdown")
            case "html":
                return _file(as_page(made), f"postmortem-{incident.id}.html", "text/html")
            case _:
                return frame.page("postmortem.html", actor, incident=incident, body=as_body(made))

    @routes.get("/evidence")
    def taken_away() -> Response:
        frame.viewer()
        return download(parts)

    @routes.get("/postmortem.css")
    def style() -> Response:
        return Response(style_sheet(), mimetype="text/css")


def _file(text: str, name: str, mimetype: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, mimetype=mimetype, headers=headers)
