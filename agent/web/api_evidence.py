"""`GET /api/v1/evidence`: what `oncall-agent export` writes; the console's link gives the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request

from agent.adapters.evidence_file import evidence
from agent.domain.evidence import EvidenceAsked
from agent.web import identity
from agent.web.found import incident_or_404
from agent.web.postmortems import evidence_of

if TYPE_CHECKING:
    from agent.web.app import WebParts


def blueprint(parts: WebParts) -> Blueprint:
    """One route; whoever may read what is kept may take it away."""
    routes = Blueprint("api_evidence", __name__, url_prefix="/api/v1")

    @routes.before_request
    def only_who_may_read() -> None:
        identity.check_reader(parts)

    @routes.get("/evidence")
    def taken_away() -> Response:
        return download(parts)

    return routes


def download(parts: WebParts) -> Response:
    """The file as it is made, piece by piece: a reader who takes their time holds a place for as long."""
    asked = _asked(parts)
    name = asked.incident or f"{asked.since:%Y%m%d-%H%M%S}"
    headers = {"Content-Disposition": f'attachment; filename="evidence-{name}.zip"'}
    parts.room.take()
    pieces = evidence(parts.store, asked, parts.redactor.value)
    answer = Response(pieces, mimetype="application/zip", headers=headers)
    answer.call_on_close(parts.room.give_back)
    return answer


def _asked(parts: WebParts) -> EvidenceAsked:
    incident, since, until = (request.args.get(name, "") for name in ("incident", "since", "until"))
    if bool(incident) == bool(since):
        abort(400, "say of what: since=TIME (and until=TIME), or incident=ID")
    if incident:
        return evidence_of(parts.store, incident_or_404(parts, incident))
    begin = _moment("since", since)
    end = _moment("until", until) if until else parts.store.clock.now()
    if begin >= end:
        abort(400, "since must be before until")
    return EvidenceAsked(begin, end)


def _moment(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        abort(400, f"{name} is a time like 2026-04-23 or 2026-04-23T14:00:00Z")
