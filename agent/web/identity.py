"""Who asks, and whether they may: the one gate of the JSON API (tokens) and of the console (sessions).

Every change by web goes through `actor` or `signed_in`; both ask `people.refusal`, like every other face.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlencode, urlsplit

from flask import abort, g, redirect, request

from agent.config import Config
from agent.domain.people import Actor, Deed, Person, Role, Via, refusal
from agent.domain.sign_ins import TOKEN_PREFIX, Proof, Session
from agent.web import bodies, tokens

if TYPE_CHECKING:
    from agent.web.app import WebParts

#: Where a console form says that it comes from a page of ours, and where a script does.
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"

#: A cookie with this beginning cannot be set by another host or path, nor without https (RFC 6265bis, 4.1.3).
_HOST_ONLY = "__Host-"

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def check_writer(parts: WebParts) -> None:
    """Let through who has a token that counts; what exactly they may do is asked by `actor`."""
    if _personal(parts) is None:
        tokens.check_writer(parts)


def check_reader(parts: WebParts) -> None:
    """Let through who may read the API: a token that counts, or this machine where none is configured."""
    person = _personal(parts)
    if person is None:
        tokens.check_reader(parts)
    elif why := refusal(person, Deed.VIEW):
        abort(403, why)


def check_reader_or_writer(parts: WebParts) -> None:
    """Let through who may do what this request's method does: read, or change something with JSON."""
    if request.method in _READS:
        check_reader(parts)
    else:
        check_writer(parts)
        bodies.check_is_json()


def actor(parts: WebParts, deed: Deed) -> Actor:
    """Who changes something by the JSON API; 401 or 403 with words if they may not.

    With `server.api_token` that is an admin whom the body names (`by`); with a personal token it is its
    owner, and a body that names somebody else is 400.
    """
    person = _personal(parts)
    said = bodies.said_by()
    if person is None:
        tokens.check_writer(parts)
        if not said:
            abort(400, "by: say who you are")
        return Actor(Person(said, Role.ADMIN), Via.API, is_shown=False)
    if said and said.casefold() != person.name.casefold():
        abort(400, f"by: this token is {person.name}'s; leave `by` out, or name them")
    if why := refusal(person, deed):
        abort(403, why)
    return Actor(person, Via.API)


def signed_in(parts: WebParts, deed: Deed) -> Actor:
    """Who asks the console; without a session the answer leads to the sign-in, without the right it is 403.

    A change (any method but GET) must also bring the session's CSRF token, as a form field or a header.
    """
    check_console_is_on(parts)
    found = current(parts)
    if found is None:
        _lead_to_sign_in()
    session, person = found
    if request.method not in _READS:
        check_csrf(parts, session_secret(parts))
    if why := refusal(person, deed):
        abort(403, why)
    parts.store.session_seen(session, parts.store.clock.now())
    return Actor(person, Via.CONSOLE, is_shown=_is_one(parts.config, person))


def _is_one(config: Config, person: Person) -> bool:
    """Whether they are nobody else of `people`: who comes by a group could be one without an address."""
    return config.person(person.name) is not None or all(each.email for each in config.people)


def current(parts: WebParts) -> tuple[Session, Person] | None:
    """The session of this request, and whose it is; None if there is none that counts.

    Looked up once a request. A page that stays open (events) asks `still_counts` from time to time.
    """
    if "signed_in" not in g:
        g.signed_in = _look_up(parts, session_secret(parts))
    found: tuple[Session, Person] | None = g.signed_in
    return found


def still_counts(parts: WebParts, secret_digest: str) -> bool:
    """Whether a session that was found before counts still; for answers that go on for long."""
    session = parts.store.session_by(secret_digest)
    return session is not None and _counts(parts, session) and person_of(parts, session) is not None


def session_digest(parts: WebParts) -> str:
    """What `still_counts` is asked with; opens nothing."""
    return digest(session_secret(parts))


def csrf_token(parts: WebParts) -> str:
    """What a form on a page of this session must bring back; "" without a session."""
    secret = session_secret(parts)
    return csrf_of(secret) if secret else ""


def csrf_of(secret: str) -> str:
    """Made from what the browser alone holds: another session's is another one."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def check_csrf(parts: WebParts, secret: str) -> None:
    """Only a page of ours, opened in this very session, may change something."""
    origin = request.headers.get("Origin", "")
    if origin and origin not in (_origin(request.host_url), _origin(parts.config.server.public_url)):
        abort(403, f"this form comes from {origin[:200]!r}, not from the console; open the page anew")
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not secret or not hmac.compare_digest(given.encode(), csrf_of(secret).encode()):
        abort(403, "this page is out of date or not the console's own; go back, reload it and try again")


def check_console_is_on(parts: WebParts) -> None:
    """404 with the way to switch it on."""
    if not parts.config.console_is_on:
        abort(404, "the console is off; set console.enabled: true in config.yaml to have it beyond loopback")


def cookie_name(config: Config) -> str:
    """The session's cookie."""
    return f"{_HOST_ONLY if config.is_https else ''}oncall_session"


def visitor_cookie_name(config: Config) -> str:
    """What a browser is known by until somebody signs in with it."""
    return f"{_HOST_ONLY if config.is_https else ''}oncall_visitor"


def digest(secret: str) -> str:
    """What is kept of a session's or a token's secret; they are random, so that this needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def person_of(parts: WebParts, session: Session) -> Person | None:
    """Whose session it is, as configured now; None if they are nobody any more."""
    if session.proof is Proof.PASSWORD:
        return parts.config.person(session.person)
    vouched = vouched_for(parts.config, session.email, session.groups)
    return vouched if vouched is not None and vouched.name == session.person else None


def vouched_for(config: Config, email: str, groups: tuple[str, ...]) -> Person | None:
    """Whom an identity provider vouches for: somebody of `people`, else somebody by a group's role."""
    oidc = config.console.oidc
    if oidc is None or not email:
        return None
    for each in config.people:
        if each.email == email:
            return each.person()
    roles = [oidc.roles[group] for group in groups if group in oidc.roles]
    if not roles or config.person(email) is not None:
        return None  # somebody who is called like this address is not known to have it
    return Person(email, max(roles, key=list(Role).index), email)


def _personal(parts: WebParts) -> Person | None:
    """Whose token the request brings; None if it brings no personal one."""
    given = tokens.given()
    if not given.startswith(TOKEN_PREFIX):
        return None
    token = parts.store.token_by(digest(given))
    now = parts.store.clock.now()
    if token is None or not token.counts(now):
        abort(401, "this token is unknown, revoked or expired; `oncall-agent tokens create` makes one")
    person = parts.config.person(token.person)
    if person is None:
        abort(401, "this token's owner is not in `people` of config.yaml any more")
    parts.store.token_used(token, now)
    return token.narrows(person)


def _look_up(parts: WebParts, secret: str) -> tuple[Session, Person] | None:
    session = parts.store.session_by(digest(secret)) if secret else None
    if session is None or not _counts(parts, session):
        return None
    person = person_of(parts, session)
    return None if person is None else (session, person)


def _counts(parts: WebParts, session: Session) -> bool:
    return parts.config.console.rules().counts(session, parts.store.clock.now())


def session_secret(parts: WebParts) -> str:
    """What this browser brings; "" if it brings nothing."""
    return request.cookies.get(cookie_name(parts.config), "")


def _lead_to_sign_in() -> NoReturn:
    """A page leads there; what a script asked for says so, for a script cannot show it."""
    accepts = request.accept_mimetypes
    is_page = (accepts.accept_html or not accepts) and "text/event-stream" not in accepts.values()
    if request.method in _READS and is_page and "HX-Request" not in request.headers:
        asked = request.full_path.removesuffix("?")
        abort(redirect(f"/console/sign-in?{urlencode({'next': asked})}", 303))
    abort(401, "nobody is signed in here, or not any more; sign in at /console/sign-in")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
