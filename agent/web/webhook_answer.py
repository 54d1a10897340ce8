"""What the sender of a webhook is told, whoever writes it to the connection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from flask import Response


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a body of JSON; `again_s`: it is to be sent again, after so many seconds."""

    status: int
    body: Mapping[str, object]
    again_s: int = 0

    @property
    def status_line(self) -> str:
        """As Flask writes it, such as "202 ACCEPTED"."""
        return f"{self.status} {HTTPStatus(self.status).phrase.upper()}"

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """What belongs to this answer."""
        kind = ("Content-Type", "application/json")
        return [kind, ("Retry-After", str(self.again_s))] if self.again_s else [kind]

    def text(self) -> bytes:
        """The body as it is sent."""
        return json.dumps(self.body, separators=(",", ":")).encode() + b"\n"

    def response(self) -> Response:
        """The same by Flask."""
        return Response(self.text(), self.status, list(self.headers))
