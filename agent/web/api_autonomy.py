"""`/api/v1/autonomy`: how far each runbook goes alone; promoted by an approver, demoted by a responder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, jsonify

from agent.domain.people import Deed
from agent.domain.runbook import Autonomy
from agent.pipeline import earned
from agent.pipeline.telling import Teller
from agent.web import bodies, identity

if TYPE_CHECKING:
    from agent.web.app import WebParts


def blueprint(parts: WebParts) -> Blueprint:
    """Reading and moving it."""
    routes = Blueprint("autonomy", __name__, url_prefix="/api/v1/autonomy")

    @routes.before_request
    def only_who_may() -> None:
        identity.check_reader_or_writer(parts)

    @routes.get("")
    def every() -> Response:
        rows = earned.listed(parts.store, parts.config, parts.library.runbooks.values())
        return jsonify(parts.redactor.value({"autonomy": rows}))

    @routes.post("/<runbook_id>/promote")
    def promote(runbook_id: str) -> Response:
        return _move(parts, runbook_id, Deed.PROMOTE)

    @routes.post("/<runbook_id>/demote")
    def demote(runbook_id: str) -> Response:
        return _move(parts, runbook_id, Deed.STOP)

    return routes


def _move(parts: WebParts, runbook_id: str, deed: Deed) -> Response:
    body = bodies.read(bodies.Level)
    actor = identity.actor(parts, deed)
    runbook = parts.library.runbooks.get(runbook_id)
    if runbook is None:
        abort(404, "there is no such runbook; GET /api/v1/runbooks lists them")
    teller = Teller(parts.store, parts.redactor, parts.config.channels())
    move = earned.promote if deed is Deed.PROMOTE else earned.demote
    to = Autonomy(body.to) if body.to else None
    level = move(teller, parts.config, runbook, to=to, by=str(actor), why=body.reason, actor=actor)
    if not isinstance(level, Autonomy):
        abort(409, parts.redactor.text(level))
    parts.notify()
    return jsonify(parts.redactor.value({"runbook": runbook.id, "level": level.value, "by": str(actor)}))
