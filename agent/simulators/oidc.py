"""An OpenID Connect provider on loopback: vouches for one person at a time, honestly or not.

    with OidcSimulator() as provider:
        provider.person = {"email": "alice@example.com", "email_verified": True}
        config = {"issuer": provider.url, "client_id": provider.client_id}

`lies` bends what it signs (another nonce, another audience, no signature at all), as no provider should.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.wrappers import Response as AnyResponse

from agent.simulators.server import Simulator

CLIENT_ID = "oncall-agent"
CLIENT_SECRET = "simulated-client-secret"  # noqa: S105  (the simulated one)

_LIVES_S = 300


@dataclass(frozen=True, slots=True)
class Lies:
    """How the provider misbehaves. `claims` are put into the ID token last, None takes one out."""

    claims: Mapping[str, object] = field(default_factory=dict)
    alg: str = "RS256"
    foreign_key: bool = False
    no_id_token: bool = False
    metadata: Mapping[str, object] = field(default_factory=dict)
    userinfo: Mapping[str, object] = field(default_factory=dict)


HONEST = Lies()


class OidcSimulator(Simulator):
    """One provider with one client, whose user has always signed in already."""

    def __init__(self, *, client_secret: str = CLIENT_SECRET, host: str = "127.0.0.1", port: int = 0) -> None:
        self.client_id = CLIENT_ID
        self.client_secret = client_secret
        self.person: dict[str, Any] = {"sub": "1", "email": "alice@example.com", "email_verified": True}
        self.lies = HONEST
        self._key = RSAKey.generate_key(2048, {"kid": "one"})
        self._codes: dict[str, dict[str, str]] = {}
        self._turn = threading.Lock()
        app = Flask("oidc-simulator")
        self._serve(app)
        super().__init__(app, host=host, port=port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def _serve(self, app: Flask) -> None:
        @app.get("/.well-known/openid-configuration")
        def discovery() -> Response:
            return jsonify({**self._metadata(), **self.lies.metadata})

        @app.get("/jwks")
        def keys() -> Response:
            return jsonify({"keys": [self._key.as_dict(private=False)]})

        @app.get("/authorize")
        def authorize() -> AnyResponse:
            return self._authorize()

        @app.post("/token")
        def token() -> AnyResponse:
            return self._token()

        @app.get("/userinfo")
        def userinfo() -> Response:
            return jsonify({"sub": "1", **self.person, **self.lies.userinfo})

    def _metadata(self) -> dict[str, object]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self) -> AnyResponse:
        asked = request.args.to_dict()
        wanted = {"client_id": self.client_id, "response_type": "code", "code_challenge_method": "S256"}
        for name, value in wanted.items():
            if asked.get(name) != value:
                return _error(f"{name} must be {value}")
        for name in ("state", "nonce", "code_challenge", "redirect_uri"):
            if not asked.get(name):
                return _error(f"{name} is missing")
        if "openid" not in asked.get("scope", "").split():
            return _error("the scope must have openid")
        code = secrets.token_urlsafe(16)
        with self._turn:
            self._codes[code] = asked
        return redirect(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    def _token(self) -> AnyResponse:
        form = request.form
        with self._turn:
            asked = self._codes.pop(form.get("code", ""), None)
        if asked is None:
            return _error("invalid_grant", "the code is unknown, or was used before")
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return _error("invalid_grant", "another redirect_uri")
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != asked["code_challenge"]:
            return _error("invalid_grant", "the code_verifier does not fit the code_challenge")
        if self.client_secret and not self._is_client():
            return _error("invalid_client", status=401)
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": _LIVES_S}
        if not self.lies.no_id_token:
            answer["id_token"] = self._id_token(asked["nonce"])
        return jsonify(answer)

    def _is_client(self) -> bool:
        given = request.authorization
        return given is not None and given.username == self.client_id and given.password == self.client_secret

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        honest = {"iss": self.url, "aud": self.client_id, "iat": now, "exp": now + _LIVES_S, "nonce": nonce}
        bent = {"sub": "1", **honest, **self.person, **self.lies.claims}
        claims = {name: value for name, value in bent.items() if value is not None}
        header = {"alg": self.lies.alg, "kid": "one"}
        if self.lies.alg == "none":
            return f"{_part({'alg': 'none'})}.{_part(claims)}."
        if self.lies.alg == "HS256":  # signed with what everybody can read: its own public key
            public = OctKey.import_key(self._key.as_pem(private=False))
            return jwt.encode({"alg": "HS256", "kid": "one"}, claims, public, algorithms=["HS256"])
        key = RSAKey.generate_key(2048, {"kid": "one"}) if self.lies.foreign_key else self._key
        return jwt.encode(header, claims, key)


def _part(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _error(error: str, description: str = "", *, status: int = 400) -> AnyResponse:
    answer = jsonify({"error": error, "error_description": description})
    answer.status_code = status
    return answer
