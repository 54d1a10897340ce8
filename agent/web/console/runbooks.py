"""*Runbooks*: the text as people read it, beside how the agent reads it, and how its runs went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort
from markdown_it import MarkdownIt
from markupsafe import Markup

from agent.domain.decisions import PlannedStep
from agent.domain.runbook import Runbook, Step
from agent.domain.search import IncidentsAsked
from agent.library.lint import lint
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
            levels={},
            folder=parts.config.runbooks.path,
        )

    @routes.get("/runbooks/<path:runbook_id>")
    def runbook(runbook_id: str) -> Response:
        actor = frame.viewer()
        found = parts.library.runbooks.get(runbook_id)
        if found is None:
            abort(404, f"there is no runbook {runbook_id[:200]}; it may be broken, or gone: see the list")
        now = frame.now()
        return frame.page(
            "runbook.html",
            actor,
            runbook=found,
            rendered=rendered(found.text),
            findings=lint(found),
            priced=_priced(parts.priced(found), found),
            level=found.autonomy_or(parts.config.runbooks.default_autonomy).value,
            autonomy_words=(),
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
