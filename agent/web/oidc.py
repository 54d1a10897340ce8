"""Single sign-on: an OpenID Connect provider vouches for a verified e-mail address of somebody in `people`.

Authlib does the protocol: discovery, code flow, PKCE, state, nonce, signature and claims. What is kept from
the way there to the way back is in the store, for one browser, for ten minutes, once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskOAuth2App
from authlib.integrations.flask_client.integration import FlaskIntegration
from flask import Blueprint, g, request
from joserfc.errors import JoseError
from werkzeug.wrappers import Response as AnyResponse

from agent.adapters.json_view import clean
from agent.config import is_loopback
from agent.config.console import Oidc
from agent.domain.sign_ins import Proof
from agent.web import identity
from agent.web.keys import Newcomer

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.sign_in import Door

log = structlog.get_logger()

CALLBACK: Final = "/console/sign-in/oidc/callback"

#: Signatures with the provider's private key; what anybody could make themselves (none, HS256) is no proof.
_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)

#: The provider's clock may be this far from ours.
_LEEWAY_S = 60

_TIMEOUT_S = 5.0

#: Anybody may begin a sign-in, and a provider that hangs holds a thread for each: webhooks need them too.
_MOST_AT_ONCE = 2

#: A provider changes its keys and addresses now and then.
_METADATA_S = 3_600.0

#: Of what Authlib would keep; the address that the browser was sent to holds the state itself.
_NEEDED_BACK: Final = ("redirect_uri", "code_verifier", "nonce")

_ROUND_TRIP = timedelta(minutes=10)

#: What goes wrong between us and a provider, and in what it sends; everything else is a mistake of ours.
_TROUBLE = (
    AuthlibBaseError,
    JoseError,
    requests.RequestException,
    ValueError,
    KeyError,
    RuntimeError,
    TypeError,
)


class SingleSignOn:
    """The way to the provider and back."""

    def __init__(self, parts: WebParts, door: Door, section: Oidc) -> None:
        self._parts = parts
        self._door = door
        self._section = section
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._client: FlaskOAuth2App | None = None
        self._made_at = 0.0

    def start(self, place: str, visitor: str) -> AnyResponse:
        """Send the browser to the provider."""
        return self._in_a_place(lambda: self._start(place, visitor))

    def back(self) -> AnyResponse:
        """The browser is back from there; with proof, or with an error."""
        return self._in_a_place(self._back)

    def _in_a_place(self, answer: Callable[[], AnyResponse]) -> AnyResponse:
        """Its answer, if there is room; else the page that says so, at once."""
        if not self._places.acquire(blocking=False):
            return self._door.busy()
        try:
            return answer()
        finally:
            self._places.release()

    def _start(self, place: str, visitor: str) -> AnyResponse:
        g.oidc = {"place": place, "visitor": visitor}
        callback = self._parts.config.server.public_url.rstrip("/") + CALLBACK
        try:
            answer: AnyResponse = self._provider().authorize_redirect(callback)
        except _TROUBLE as error:
            return self._failed(502, f"{self._section.label} cannot be reached right now", error)
        return self._door.remember_visitor(answer, visitor)

    def _back(self) -> AnyResponse:
        g.oidc = {"place": "/console/", "visitor": self._door.visitor()}
        try:
            claims = self._claims()
        except _TROUBLE as error:
            return self._failed(401, f"{self._section.label} did not vouch for anybody; try again", error)
        email, groups = _email_in(claims), self._groups_in(claims)
        if not email:
            why = f"{self._section.label} names no verified e-mail address (claims email and email_verified)"
            return self._refused(403, why)
        person = identity.vouched_for(self._parts.config, email, groups)
        if person is None:
            return self._refused(403, f"{email} is nobody's address in `people` of config.yaml")
        browser = request.user_agent.string
        newcomer = Newcomer(person, Proof.OIDC, self._door.address(), browser, groups)
        return self._door.let_in(newcomer, g.oidc["place"])

    def _claims(self) -> Mapping[str, Any]:
        """What the provider says of whoever came back; checked in every way that OpenID Connect asks for."""
        provider = self._provider()
        options = {
            "iss": {"essential": True, "value": self._section.issuer},
            "aud": {"essential": True, "value": self._section.client_id},
            "exp": {"essential": True},
            "sub": {"essential": True},
            "nonce": {"essential": True},
        }
        token = provider.authorize_access_token(claims_options=options, leeway=_LEEWAY_S)
        claims: Mapping[str, Any] | None = token.get("userinfo")
        if claims is None:
            raise ValueError("the provider sent no ID token")
        if "email" in claims or not provider.server_metadata.get("userinfo_endpoint"):
            return claims
        more = provider.userinfo(token=token)
        if more.get("sub") != claims["sub"]:  # OpenID Connect Core, 5.3.4
            raise ValueError("the user info is about somebody else")
        return {**more, **claims}

    def _provider(self) -> FlaskOAuth2App:
        """Authlib's client, with what the provider says of itself; an hour old at most."""
        with self._lock:
            if self._client is None or time.monotonic() - self._made_at > _METADATA_S:
                self._client, self._made_at = self._discovered(), time.monotonic()
            return self._client

    def _discovered(self) -> FlaskOAuth2App:
        issuer = self._section.issuer
        secret = self._parts.config.secret(self._section.client_secret)
        client = FlaskOAuth2App(
            _Kept(self._parts),
            name="oidc",
            client_id=self._section.client_id,
            client_secret=secret.reveal() if secret is not None else None,
            server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid email profile",
                "code_challenge_method": "S256",
                "default_timeout": _TIMEOUT_S,
                **({} if secret is not None else {"token_endpoint_auth_method": "none"}),
            },
        )
        metadata = client.load_server_metadata()
        if metadata.get("issuer") != issuer:  # OpenID Connect Discovery, 4.3
            raise ValueError(f"the provider calls itself {metadata.get('issuer')!r}, not {issuer!r}")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            _check_address(name, metadata.get(name, ""))
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [each for each in offered if each in _ALGORITHMS]
        metadata.pop("jwks", None)  # the keys come from where the issuer keeps them
        return client

    def _groups_in(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Those of the person's groups that mean something here."""
        found = claims.get(self._section.groups_claim)
        named = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        return tuple(sorted({each for each in named if isinstance(each, str)} & set(self._section.roles)))

    def _failed(self, status: int, words: str, error: Exception) -> AnyResponse:
        told = clean(self._parts.redactor.text(f"{type(error).__name__}: {error}"))[:500]
        log.warning("single_sign_on_failed", error=told, issuer=self._section.issuer)
        return self._door.page(status, problem=f"{words}. (The agent's log says why.)")

    def _refused(self, status: int, why: str) -> AnyResponse:
        log.warning("single_sign_on_refused", why=clean(why), address=self._door.address())
        return self._door.page(status, problem=f"{why}.")


class _Kept(FlaskIntegration):
    """Where Authlib keeps what belongs to a state: in the store, for the browser that it was made for."""

    def __init__(self, parts: WebParts) -> None:
        super().__init__("oidc")
        self._store = parts.store

    def set_state_data(self, session: object, state: str, data: Mapping[str, str]) -> None:  # noqa: ARG002
        """Before the browser is sent away."""
        now = self._store.clock.now()
        kept = {name: str(data[name]) for name in _NEEDED_BACK if name in data}
        kept["place"] = g.oidc["place"]
        browser = identity.digest(g.oidc["visitor"])
        self._store.keep_sign_in_start(
            identity.digest(state), browser, kept, now=now, until=now + _ROUND_TRIP
        )

    def get_state_data(self, session: object, state: str | None) -> Mapping[str, str] | None:  # noqa: ARG002
        """When it is back; a second time there is nothing."""
        browser = identity.digest(g.oidc["visitor"])
        now = self._store.clock.now()
        found = self._store.take_sign_in_start(identity.digest(state or ""), browser, now)
        if found is not None:
            g.oidc["place"] = found["place"]
        return found

    def clear_state_data(self, session: object, state: str | None) -> None:
        """It was taken."""


def add_routes(routes: Blueprint, sign_on: SingleSignOn, door: Door) -> None:
    """The two addresses below the sign-in."""

    @routes.get("/sign-in/oidc")
    def start() -> AnyResponse:
        return sign_on.start(door.asked_place(), door.visitor() or door.new_visitor())

    @routes.get("/sign-in/oidc/callback")
    def back() -> AnyResponse:
        return sign_on.back()


def _email_in(claims: Mapping[str, Any]) -> str:
    """The address, if the provider says that it is verified; some say so in text."""
    email, verified = claims.get("email"), claims.get("email_verified")
    is_verified = verified is True or verified == "true"
    return email.casefold() if isinstance(email, str) and is_verified else ""


def _check_address(name: str, url: object) -> None:
    parts = urlsplit(str(url or ""))
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if url and not is_safe:
        raise ValueError(f"the provider's {name} is no https:// address")
