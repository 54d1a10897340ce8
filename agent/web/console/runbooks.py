"""*Runbooks*: the text as people read it, beside how the agent reads it, and how its runs went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Blueprint, Response, abort, redirect, request
from markdown_it import MarkdownIt
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from agent.domain.decisions import PlannedStep
from agent.domain.people import Actor, Deed
from agent.domain.probing import Probe, ProbeState
from agent.domain.runbook import Autonomy, Runbook, Step
from agent.domain.search import IncidentsAsked
from agent.domain.stops import words
from agent.library.lint import lint
from agent.pipeline import earned
from agent.pipeline.probe_views import rules_of, stands_as
from agent.pipeline.telling import Teller
from agent.reports.statistics import RunbookRecord
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
    """The list, and for each a page and what it may do alone."""
    shelf = _Shelf(parts, frame)

    @routes.get("/runbooks")
    def runbooks() -> Response:
        return shelf.listed()

    @routes.get("/runbooks/<path:runbook_id>")
    def runbook(runbook_id: str) -> Response:
        return shelf.page(frame.viewer(), shelf.found(runbook_id))

    @routes.post("/runbooks/<path:runbook_id>/promote")
    def promote(runbook_id: str) -> AnyResponse:
        return shelf.give(identity.signed_in(parts, Deed.PROMOTE), runbook_id, is_more=True)

    @routes.post("/runbooks/<path:runbook_id>/demote")
    def demote(runbook_id: str) -> AnyResponse:
        # less is a responder's, like a stop
        return shelf.give(identity.signed_in(parts, Deed.STOP), runbook_id, is_more=False)


class _Shelf:
    """One request each."""

    def __init__(self, parts: WebParts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame

    def listed(self) -> Response:
        actor, parts = self._frame.viewer(), self._parts
        library = parts.library.snapshot
        by_title = sorted(library.runbooks.values(), key=lambda runbook: runbook.title.casefold())
        return self._frame.page(
            "runbooks.html",
            actor,
            found=[(each, len(lint(each))) for each in by_title],
            broken=library.broken,
            documentation=library.documentation,
            records=self._records(),
            levels={
                row["runbook"]: row["level"] for row in earned.listed(parts.store, parts.config, by_title)
            },
            folder=parts.config.runbooks.path,
        )

    def found(self, runbook_id: str) -> Runbook:
        """The usable one with this id."""
        found = self._parts.library.runbooks.get(runbook_id)
        if found is None:
            abort(404, f"there is no runbook {runbook_id[:200]}; it may be broken, or gone: see the list")
        return found

    def page(self, actor: Actor, runbook: Runbook, *, problem: str = "", status: int = 200) -> Response:
        parts = self._parts
        return self._frame.page(
            "runbook.html",
            actor,
            status=status,
            problem=problem,
            runbook=runbook,
            rendered=rendered(parts.redactor.text(runbook.text)),
            findings=lint(runbook),
            priced=_priced(parts.priced(runbook), runbook),
            watched=self._watched(runbook),
            standing=earned.listed(parts.store, parts.config, [runbook])[0],
            record=self._records().get(runbook.id),
            runs=parts.store.incidents_found(IncidentsAsked(runbook=runbook.id, limit=_LAST_RUNS)),
        )

    def _watched(self, runbook: Runbook) -> Sequence[tuple[Probe, str, str, ProbeState | None]]:
        """What it watches by itself, by which rules, and what was seen."""
        if not runbook.watch:
            return ()
        states = {
            each.key: each for each in self._parts.store.probe_states() if each.runbook_id == runbook.id
        }
        return [
            (each, rules_of(each), stands_as(each, states.get(each.key)), states.get(each.key))
            for each in runbook.watch
        ]

    def give(self, actor: Actor, runbook_id: str, *, is_more: bool) -> AnyResponse:
        """One level more or less, with a reason."""
        parts, runbook = self._parts, self.found(runbook_id)
        why = words(request.form.get("why", ""))
        if not why:
            return self.page(actor, runbook, problem="say why: it is kept with its record", status=400)
        teller = Teller(parts.store, parts.redactor, parts.config.channels())
        change = earned.promote if is_more else earned.demote
        given = change(teller, parts.config, runbook, to=None, by=str(actor), why=why, actor=actor)
        if not isinstance(given, Autonomy):
            return self.page(actor, runbook, problem=given, status=409)
        parts.notify()
        return redirect(f"/console/runbooks/{quote(runbook.id)}", 303)

    def _records(self) -> Mapping[str, RunbookRecord]:
        now = self._frame.now()
        return self._parts.store.runbook_records(now - _RECORD, now + _TO_NOW)


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
