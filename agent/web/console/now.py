"""*Now*: what waits for somebody, what runs, whether the agent is stopped; and the switch itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from agent.domain.people import Deed
from agent.domain.queue import QueueFilter
from agent.domain.search import IncidentsAsked
from agent.domain.stops import StopAsked, StopScope, words
from agent.pipeline import stops
from agent.pipeline.telling import Teller
from agent.web import identity
from agent.web.console import seams
from agent.web.found import stop_or_404

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame

_SHOWN = 8


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """The page and the kill switch."""

    @routes.get("/")
    def now() -> Response:
        return _page(parts, frame)

    @routes.get("/stops")
    def linked_stops() -> AnyResponse:
        """What the card of a stop links to."""
        return redirect("/console/#stop", 303)

    @routes.post("/stop")
    def stop() -> AnyResponse:
        actor = identity.signed_in(parts, Deed.STOP)
        reason = words(request.form.get("reason", ""))
        name = words(request.form.get("name", ""))
        scope = request.form.get("scope", "")
        problem = _problem_with(scope, name, reason)
        if problem:
            return _page(parts, frame, problem=problem, status=400)
        asked = StopAsked(StopScope(scope), name, reason, str(actor), "end_running" in request.form)
        stops.put(_teller(parts), asked, now=frame.now())
        parts.notify()
        return redirect("/console/", 303)

    @routes.post("/stops/<stop_id>/resume")
    def resume(stop_id: str) -> AnyResponse:
        actor = identity.signed_in(parts, Deed.RESUME)
        found = stop_or_404(parts, stop_id)
        if found.is_foreign:
            return _page(parts, frame, problem=f"{found}; remove the file by hand", status=409)
        stops.lift(_teller(parts), found, by=str(actor), now=frame.now())
        parts.notify()
        return redirect("/console/", 303)


def _page(parts: WebParts, frame: Frame, *, problem: str = "", status: int = 200) -> Response:
    actor = frame.viewer()
    store, now = parts.store, frame.now()
    waiting = store.waiting()
    asked_about = {row["incident_id"] for row in waiting}
    running = [each for each in store.unfinished() if each.id not in asked_about]
    page = store.queue_page(QueueFilter(limit=_SHOWN))
    day = store.ends(now - timedelta(days=1), now + timedelta(seconds=1))
    ended = [each for each in store.incidents_found(IncidentsAsked(limit=30)) if each.status.is_terminal]
    return frame.page(
        "now.html",
        actor,
        status=status,
        problem=problem,
        waiting=[seams.Waiting.of(row) for row in waiting],
        running=running,
        ended=ended[:_SHOWN],
        queue=page.items,
        counts=seams.Counts(page.open, store.late_escalations(now)),
        ended_alone=sum(each.resolved for each in day),
        ended_all=sum(each.total for each in day),
        known_runbooks=sorted(parts.library.runbooks),
    )


def _problem_with(scope: str, name: str, reason: str) -> str:
    """Why it is no stop, in words; "" if it is one."""
    if scope not in set(StopScope):
        return "say what is to stop: everything, a service or a runbook"
    if (scope == StopScope.ALL) == bool(name):
        return "everything takes no name" if name else f"say which {scope}"
    return "" if reason else "say why: everybody who is paged meanwhile reads it"


def _teller(parts: WebParts) -> Teller:
    return Teller(parts.store, parts.redactor, parts.config.channels())
