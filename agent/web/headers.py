"""What a browser is told to refuse, with every answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flask import Flask, Response, request

from agent.config import Config

#: Nothing but what the agent itself serves; no script within a page, no frame around it.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

_ALWAYS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

#: A year, as RFC 6797 has it in its example; told only where people come by https anyhow.
_HSTS: Final = "max-age=31536000"

#: Where nothing may be kept by a browser or a proxy; style sheets and scripts of the console may.
_PRIVATE: Final = ("/console", "/api/")
_PUBLIC: Final = "/console/static/"


def always(config: Config) -> Mapping[str, str]:
    """What every answer says."""
    return _ALWAYS | ({"Strict-Transport-Security": _HSTS} if config.is_https else {})


def install(app: Flask, config: Config) -> None:
    """Set them on every answer of this app."""
    wanted = [(name, name.lower(), value) for name, value in always(config).items()]

    @app.after_request
    def told(response: Response) -> Response:
        # each name is looked for once among the few that are set: `setdefault` looks twice through all
        given = {name.lower() for name, _ in response.headers}
        for name, lowered, value in wanted:
            if lowered not in given:
                response.headers.add(name, value)
        if request.path.startswith(_PRIVATE) and not request.path.startswith(_PUBLIC):
            response.headers["Cache-Control"] = "no-store"
        return response
