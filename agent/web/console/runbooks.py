"""*Runbooks*: the text as people read it, beside how the agent reads it, and how its runs went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Blueprint, Response, abort, redirect, request
from markdown_it import MarkdownIt
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from agent.domain.decisions import PlannedStep
from agent.domain.people import Actor, Deed
from agent.domain.runbook import Autonomy, Runbook, Step
from agent.domain.search import IncidentsAsked
from agent.domain.stops import words
from agent.library.lint import lint
from agent.pipeline import earned
from agent.pipeline.telling import Teller
from agent.web import identity
from agent.web.console.words import visible

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame

#: How far back success is counted.
_RECORD = timedelta(days=90)
_LAST_RUNS = 8

#: What ended at this very moment counts too.
_TO_NOW = timedelta(seconds=1)


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """The list and a page each."""

    @routes.get("/runbooks")
    def runbooks() -> Response:
        actor = frame.viewer()
        now = frame.now()
        library = parts.library.snapshot
        default = parts.config.runbooks.default_autonomy
        return frame.page(
            "runbooks.html",
            actor,
            found=[
                (each, each.autonomy_or(default), len(lint(each)))
                for each in sorted(library.runbooks.values(), key=lambda runbook: runbook.title.casefold())
            ],
            broken=library.broken,
            documentation=library.documentation,
            records=parts.store.runbook_records(now - _RECORD, now + _TO_NOW),
            levels={
                row["runbook"]: row["level"]
                for row in earned.listed(parts.store, parts.config, library.runbooks.values())
            },
            folder=parts.config.runbooks.path,
        )

    @routes.get("/runbooks/<path:runbook_id>")
    def runbook(runbook_id: str) -> Response:
        return page(runbook_id, frame.viewer())

    @routes.post("/runbooks/<path:runbook_id>/<any(promote, demote):deed>")
    def give(runbook_id: str, deed: str) -> AnyResponse:
        is_more = deed == "promote"
        # less is a responder's, like a stop
        actor = identity.signed_in(parts, Deed.PROMOTE if is_more else Deed.STOP)
        found, why = known(runbook_id), words(request.form.get("why", ""))
        if not why:
            return page(runbook_id, actor, problem="say why: it is kept with its record", status=400)
        teller = Teller(parts.store, parts.redactor, parts.config.channels())
        change = earned.promote if is_more else earned.demote
        given = change(teller, parts.config, found, to=None, by=str(actor), why=why, actor=actor)
        if not isinstance(given, Autonomy):
            return page(runbook_id, actor, problem=given, status=409)
        parts.notify()
        return redirect(f"/console/runbooks/{quote(found.id)}", 303)

    def known(runbook_id: str) -> Runbook:
        found = parts.library.runbooks.get(runbook_id)
        if found is None:
            abort(404, f"there is no runbook {runbook_id[:200]}; it may be broken, or gone: see the list")
        return found

    def page(runbook_id: str, actor: Actor, *, problem: str = "", status: int = 200) -> Response:
        found, now = known(runbook_id), frame.now()
        return frame.page(
            "runbook.html",
            actor,
            status=status,
            runbook=found,
            rendered=rendered(found.text),
            findings=lint(found),
            priced=_priced(parts.priced(found), found),
            standing=earned.listed(parts.store, parts.config, [found])[0],
            problem=problem,
            record=parts.store.runbook_records(now - _RECORD, now + _TO_NOW).get(found.id),
            runs=parts.store.incidents_found(IncidentsAsked(runbook=found.id, limit=_LAST_RUNS)),
        )


def rendered(text: str) -> Markup:
    """Markdown as HTML: no HTML of the author's own, no address that runs anything."""
    without_front_matter = text.split("\n---", 1)[-1] if text.startswith("---\n") else text
    html = _MARKDOWN.render(visible(without_front_matter))
    return Markup(html)  # noqa: S704  (markdown-it escapes everything: html is off)


_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


def _priced(planned: Sequence[PlannedStep], runbook: Runbook) -> Sequence[tuple[Step, PlannedStep | None]]:
    """Each step as written with its price, if it could be priced without an alert."""
    prices = {(each.section.value, each.index): each for each in planned}
    verify = runbook.verification.steps if runbook.verification is not None else ()
    return [
        (step, prices.get((section, step.index)))
        for section, steps in (("steps", runbook.steps), ("verify", verify), ("rollback", runbook.rollback))
        for step in steps
    ]
