"""`/console/account`: one's own sessions and tokens; of anybody else's nothing is shown or ended here."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, abort, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from agent.domain.people import Actor, Deed, Role, Via
from agent.domain.stops import words
from agent.web import identity, keys
from agent.web.console.frame import Frame

if TYPE_CHECKING:
    from agent.web.app import WebParts

_MAX_FORM_BYTES = 16 * 1024

#: What one may choose from: a token that never ends is made on the command line, with a thought.
DAYS = (7, 30, 90, 365)

#: More than anybody can tell apart.
_MOST_TOKENS = 20


def blueprint(parts: WebParts) -> Blueprint:
    """The page and its forms."""
    routes = Blueprint("account", __name__, url_prefix="/console/account")
    frame = Frame(parts)
    account = _Account(parts, frame)

    @routes.before_request
    def bounded() -> None:
        request.max_content_length = _MAX_FORM_BYTES

    @routes.errorhandler(HTTPException)
    def problem(error: HTTPException) -> AnyResponse:
        if error.response is not None:
            return error.get_response()
        found = identity.current(parts) if parts.config.console_is_on else None
        actor = Actor(found[1], Via.CONSOLE) if found is not None else None
        return frame.problem(actor, error.code or 500, "That did not work", error.description or "")

    @routes.get("")
    def page() -> AnyResponse:
        return account.page(identity.signed_in(parts, Deed.VIEW))

    @routes.post("/sessions/<session_id>/end")
    def end(session_id: str) -> AnyResponse:
        actor = identity.signed_in(parts, Deed.VIEW)
        if not keys.end_session(parts.store, session_id, actor.person, why="ended a session of theirs"):
            abort(404, "you have no such session, or it is over")
        return redirect("/console/account", 303)

    @routes.post("/tokens")
    def make() -> AnyResponse:
        return account.make_token(identity.signed_in(parts, Deed.VIEW))

    @routes.post("/tokens/<token_id>/revoke")
    def revoke(token_id: str) -> AnyResponse:
        actor = identity.signed_in(parts, Deed.VIEW)
        if not keys.revoke_token(parts.store, token_id, by=str(actor), person=actor.person):
            abort(404, "you have no such token, or it is revoked")
        return redirect("/console/account", 303)

    return routes


class _Account:
    """What belongs to whoever asks."""

    def __init__(self, parts: WebParts, frame: Frame) -> None:
        self._parts = parts
        self._store = parts.store
        self._frame = frame

    def page(self, actor: Actor, *, made: str = "") -> AnyResponse:
        """All of it; `made` is a new token, shown this once."""
        found = identity.current(self._parts)
        rules, now = self._parts.config.console.rules(), self._frame.now()
        name = actor.person.name
        return self._frame.page(
            "account.html",
            actor,
            this=found[0].id if found is not None else "",
            sessions=[each for each in self._store.sessions_of(name) if rules.counts(each, now)],
            tokens=[each for each in self._store.tokens(name) if each.counts(now)],
            roles=[role for role in Role if actor.person.role.covers(role)],
            days=DAYS,
            may_have_tokens=self._parts.config.person(name) is not None,
            made=(made,) if made else (),
        )

    def make_token(self, actor: Actor) -> AnyResponse:
        """A token with at most their own role."""
        person, now = actor.person, self._frame.now()
        if self._parts.config.person(person.name) is None:
            abort(403, "a token needs somebody of `people` in config.yaml; you come in by your group's role")
        if sum(each.counts(now) for each in self._store.tokens(person.name)) >= _MOST_TOKENS:
            abort(409, f"you have {_MOST_TOKENS} tokens; revoke one first")
        days, role = request.form.get("days", ""), request.form.get("role", "")
        if days not in map(str, DAYS) or role not in list(Role):
            abort(400, "choose a role and for how many days")
        _, secret = keys.create_token(
            self._store,
            person,
            Role(role),
            name=words(request.form.get("name", ""))[:60],
            expires_at=now + timedelta(days=int(days)),
            by=str(actor),
        )
        return self.page(actor, made=secret)
