"""The frame around every page: who looks, what stands still, what waits; and how a page is made."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from flask import Response, abort, request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from agent.domain.people import Actor, Deed, Via, refusal
from agent.escalations.sla import light
from agent.reports.plots import bar
from agent.web import identity
from agent.web.console import words

if TYPE_CHECKING:
    from agent.web.app import WebParts


#: What the console's script sends when it asks for an open page anew.
LIVE_HEADER = "X-Live"


class Frame:
    """Makes pages. Whatever a template writes is escaped, and has no sign that a reader cannot see."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._templates = Environment(
            loader=PackageLoader("agent.web", "templates"),
            autoescape=True,
            finalize=words.shown,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters: Mapping[str, Callable[..., object]] = {
            "clock": words.clock,
            "day": words.day,
            "ago": words.ago,
            "left": words.left,
            "span": words.span,
            "plain": words.plain,
            "long": words.long,
            "combined": lambda before, more: {**before, **more},
        }
        self._templates.filters.update(filters)
        self._templates.globals.update(bar=lambda share: Markup(bar(share)), light=light)  # noqa: S704
        # a plan is kept as it will run, with whatever its file or its parameters hold
        self._templates.filters.update(command=self._command, redacted=parts.redactor.text)

    def now(self) -> datetime:
        """The moment that a page tells of."""
        return self._parts.store.clock.now()

    def viewer(self) -> Actor:
        """Who looks at a page. One that a script asks for anew by itself is no sign of life of anybody."""
        if LIVE_HEADER not in request.headers:
            return identity.signed_in(self._parts, Deed.VIEW)
        found = identity.current(self._parts)
        if found is None:
            abort(401, "nobody is signed in here any more; reload the page")
        return Actor(found[1], Via.CONSOLE)

    def page(self, template: str, actor: Actor, *, status: int = 200, **values: object) -> Response:
        """A whole page for this person."""
        html = self._templates.get_template(f"console/{template}").render(
            **self._around(actor), **self._cleared(values)
        )
        return Response(html, status, mimetype="text/html")

    def problem(self, actor: Actor | None, status: int, title: str, why: str) -> Response:
        """A page that says what is wrong and what to do."""
        around = self._around(actor) if actor is not None else _NOBODY
        html = self._templates.get_template("console/problem.html").render(
            **around, title=title, why=self._parts.redactor.text(why)
        )
        return Response(html, status, mimetype="text/html")

    def _around(self, actor: Actor) -> dict[str, object]:
        store = self._parts.store
        person = actor.person
        return {
            "person": person,
            "csrf": identity.csrf_token(self._parts),
            "may": {deed.value: not refusal(person, deed) for deed in Deed},
            "stops": store.stops(),
            "seq": store.last_seq(),
            "now": self.now(),
            "path": request.path,
            "back": request.full_path.rstrip("?"),
        }

    def _command(self, argv: Sequence[str], *, is_action: bool) -> str:
        return self._parts.redactor.text(" ".join(argv) if is_action else shlex.join(argv))

    def _cleared(self, values: Mapping[str, object]) -> Mapping[str, object]:
        """Texts on their own are redacted here; what comes from the store was redacted when it was kept."""
        redactor = self._parts.redactor
        return {
            name: redactor.text(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
            for name, value in values.items()
        }


_NOBODY: Mapping[str, object] = {"person": None, "stops": (), "seq": 0, "path": "", "may": {}}
