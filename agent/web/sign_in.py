"""`/console/sign-in`, `/console/sign-out` and `/console/account`: who somebody is, and what opens for them.

A name that nobody has is answered like a wrong password, in the same words and after the same work.
"""

from __future__ import annotations

import math
import re
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, redirect, request
from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from agent.adapters import passwords
from agent.domain.people import Person
from agent.domain.sign_ins import Proof, SignInLimits, TooMany
from agent.web import identity, keys
from agent.web.keys import Newcomer

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

_WRONG = "The name or the password is wrong."
_BUSY = "Others are signing in right now; try again in a moment."
_OUTDATED = "This page was out of date; please try once more."

#: A name and a password; more is neither.
_MAX_FORM_BYTES = 16 * 1024

_LIMITS = SignInLimits()

#: A place within the console: no other host, and no character that a browser reads as something else.
_OWN_PLACE = re.compile(r"/console(?:/(?!/)[A-Za-z0-9._~/%-]*)?(?:\?[A-Za-z0-9._~/%&=+:,-]*)?", re.ASCII)


def own_place(asked: str) -> str:
    """Where to go after the sign-in: a page of the console, whatever was asked for."""
    is_own = len(asked) <= 1_000 and ".." not in asked and _OWN_PLACE.fullmatch(asked)
    return asked if is_own else "/console/"


def blueprint(parts: WebParts) -> Blueprint:
    """Signing in and out."""
    routes = Blueprint("sign_in", __name__, url_prefix="/console")
    door = Door(parts)

    @routes.before_request
    def bounded() -> None:
        request.max_content_length = _MAX_FORM_BYTES
        identity.check_console_is_on(parts)

    @routes.errorhandler(HTTPException)
    def problem(error: HTTPException) -> AnyResponse:
        if error.response is not None:
            return error.get_response()
        return door.page(error.code or 500, problem=str(error.description or error.name))

    @routes.get("/sign-in")
    def ask() -> AnyResponse:
        place = door.asked_place()
        return redirect(place, 303) if identity.current(parts) is not None else door.page(200, place=place)

    @routes.post("/sign-in")
    def sign_in() -> AnyResponse:
        return door.by_password()

    @routes.post("/sign-out")
    def sign_out() -> AnyResponse:
        return door.out()

    section = parts.config.console.oidc
    if section is not None:
        from agent.web import oidc  # its libraries are loaded where it is used

        oidc.add_routes(routes, oidc.SingleSignOn(parts, door, section), door)
    return routes


class Door:
    """Lets people in and out."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._templates = Environment(
            loader=PackageLoader("agent.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(
        self, status: int, *, place: str = "/console/", name: str = "", problem: str = ""
    ) -> AnyResponse:
        """The sign-in page, with what went wrong."""
        visitor = self.visitor() or self.new_visitor()
        section = self._parts.config.console.oidc
        html = self._templates.get_template("console/sign_in.html").render(
            csrf=identity.csrf_of(visitor),
            place=place,
            name=name,
            problem=problem,
            label=section.label if section is not None else "",
            nobody_can=not self._parts.config.people and (section is None or not section.roles),
        )
        return self.remember_visitor(Response(html, status, mimetype="text/html"), visitor)

    def by_password(self) -> AnyResponse:
        """A name and a password were given."""
        place, name = own_place(request.form.get("next", "")), request.form.get("name", "").strip()[:200]
        try:
            identity.check_csrf(self._parts, self.visitor())
        except HTTPException:
            return self.page(403, place=place, name=name, problem=_OUTDATED)
        with passwords.place() as has_room:
            if not has_room:
                return self.busy(place=place, name=name)
            outcome = self._checked(name, request.form.get("password", ""))
        if isinstance(outcome, TooMany):
            left_s = max(1.0, (outcome.until - self._now()).total_seconds())
            words = f"Too many failed tries. Try again in {math.ceil(left_s / 60)} minutes."
            return self._later(self.page(429, place=place, name=name, problem=words), left_s)
        if outcome is None:
            return self.page(401, place=place, name=name, problem=_WRONG)
        newcomer = Newcomer(outcome, Proof.PASSWORD, self.address(), request.user_agent.string)
        return self.let_in(newcomer, place)

    def busy(self, *, place: str = "/console/", name: str = "") -> AnyResponse:
        """The page of those for whom there is no room right now."""
        return self._later(self.page(503, place=place, name=name, problem=_BUSY), 1)

    def let_in(self, newcomer: Newcomer, place: str) -> AnyResponse:
        """With a new session, whatever the browser brought: nobody can have prepared it for them."""
        before = identity.current(self._parts)
        if before is not None:
            keys.end_session(self._store, before[0].id, before[1], why="signed in anew")
        secret = keys.open_session(self._store, newcomer)
        log.info("signed_in", person=newcomer.person.name, proof=newcomer.proof, address=newcomer.address)
        answer: AnyResponse = redirect(place, 303)
        longest = self._parts.config.console.rules().longest
        self._set_cookie(
            answer, identity.cookie_name(self._parts.config), secret, int(longest.total_seconds())
        )
        self._set_cookie(answer, identity.visitor_cookie_name(self._parts.config), "", 0)
        return answer

    def out(self) -> AnyResponse:
        """The session is over; a browser that had none is led to the sign-in all the same."""
        found = identity.current(self._parts)
        if found is not None:
            identity.check_csrf(self._parts, identity.session_secret(self._parts))
            session, person = found
            keys.end_session(self._store, session.id, person, why="signed out")
        answer: AnyResponse = redirect("/console/sign-in", 303)
        self._set_cookie(answer, identity.cookie_name(self._parts.config), "", 0)
        return answer

    @staticmethod
    def asked_place() -> str:
        """Where the address says that the way goes on."""
        return own_place(request.args.get("next", ""))

    @staticmethod
    def new_visitor() -> str:
        """For a browser that was never here."""
        return secrets.token_urlsafe(32)

    def visitor(self) -> str:
        """What this browser was given before anybody signed in; "" if nothing yet."""
        return request.cookies.get(identity.visitor_cookie_name(self._parts.config), "")[:100]

    def remember_visitor(self, answer: AnyResponse, visitor: str) -> AnyResponse:
        """So that a form or a way back can be told from one that another browser began."""
        self._set_cookie(answer, identity.visitor_cookie_name(self._parts.config), visitor, 3_600)
        return answer

    def address(self) -> str:
        """Where the request comes from, beyond the reverse proxies that are ours."""
        proxies = self._parts.config.console.behind_proxies
        passed = [each.strip() for each in ",".join(request.headers.getlist("X-Forwarded-For")).split(",")]
        if proxies and len(passed) >= proxies and passed[-proxies]:
            return passed[-proxies][:100]
        return request.remote_addr or "unknown"

    def _checked(self, name: str, password: str) -> Person | TooMany | None:
        """Whose password it is; the try is counted before it is looked at."""
        person = self._somebody(name)
        account = identity.digest(name.casefold())[:32]  # as typed: what counts together must tell nothing
        address = self.address()
        begun = self._store.begin_sign_in(account, address, self._now(), _LIMITS)
        if isinstance(begun, TooMany):
            known = person.name if person is not None else ""
            if keys.tell_burst(self._store, account, address, name=known, until=begun.until):
                log.warning("sign_in_burst", person=known, address=address)
            return begun
        kept = self._store.password_of(person.name if person is not None else name)
        is_right = passwords.is_right(password, kept if person is not None else None)
        if person is None or not is_right:
            log.info("sign_in_failed", person=person.name if person is not None else "", address=address)
            return None
        self._store.sign_in_worked(account, address)
        if kept is not None and passwords.is_outdated(kept):
            self._store.rehashed(person.name, kept, passwords.hashed(password))
        return person

    def _somebody(self, name: str) -> Person | None:
        config = self._parts.config
        by_email = (each.person() for each in config.people if each.email and each.email == name.casefold())
        return config.person(name) or next(by_email, None)

    def _set_cookie(self, answer: AnyResponse, name: str, value: str, lives_s: int) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=lives_s,
            path="/",
            secure=self._parts.config.is_https,
            httponly=True,
            samesite="Lax",
        )

    @staticmethod
    def _later(answer: AnyResponse, seconds: float) -> AnyResponse:
        answer.headers["Retry-After"] = str(math.ceil(seconds))
        return answer

    def _now(self) -> datetime:
        return self._store.clock.now()
