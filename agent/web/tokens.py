"""Who may use the API: reading is open to this machine, every change needs the token."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, request

from agent.config import is_loopback

if TYPE_CHECKING:
    from agent.web.app import WebParts

#: What a reverse proxy adds.
_PROXY_HEADERS = ("forwarded", "x-forwarded-", "x-real-ip", "via")

_SCHEME = "Bearer "


def check_reader(parts: WebParts) -> None:
    """Let through who has the token; where none is configured, who is on this machine."""
    server = parts.config.server
    if server.api_token is not None:
        _check_token(server.api_token.resolve().reveal())
    elif not (is_loopback(server.host) and _is_from_this_machine()):
        abort(403, "set server.api_token in config.yaml to read the API beyond loopback")


def check_writer(parts: WebParts) -> None:
    """Let through who has the token, on this machine too: any page in a browser here can reach loopback."""
    token = parts.config.server.api_token
    if token is None:
        abort(
            403,
            "set server.api_token in config.yaml to change anything by API, "
            "or bring a personal token (`oncall-agent tokens create`)",
        )
    _check_token(token.resolve().reveal())


def given() -> str:
    """The token that the request brings; "" if it brings none."""
    header = request.headers.get("Authorization", "")
    return header.removeprefix(_SCHEME) if header.startswith(_SCHEME) else ""


def _check_token(expected: str) -> None:
    if not given() or not hmac.compare_digest(given().encode(), expected.encode()):
        abort(401, "send the API token as Authorization: Bearer")


def _is_from_this_machine() -> bool:
    """Whether nothing hints at a proxy or at another name: both bring remote readers to loopback."""
    host = urlsplit(f"//{request.host}").hostname or ""
    passed_on = any(name.lower().startswith(_PROXY_HEADERS) for name in request.headers.keys())  # noqa: SIM118
    return is_loopback(host) and not passed_on
