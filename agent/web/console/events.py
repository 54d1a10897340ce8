"""`/console/events`: tells an open page that something has changed, so that it asks for itself anew.

A stream is held open by a thread of the web server, which webhooks need too: only a few are held, each for a
short while; whoever comes beyond them gets the state at once and asks again in two seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, request

from agent.adapters.patience import until
from agent.domain.errors import StoreError
from agent.web import identity

if TYPE_CHECKING:
    from agent.web.app import WebParts

#: Of the web server's sixteen threads.
_MOST_HELD = 2

_HELD_S = 20.0
_LOOK_S = 0.4

#: A stream goes on after its request was answered, so nothing else bounds how long the store may take.
_ANSWER_S = 1.0
_RETRY_MS = 2_000


def add_routes(routes: Blueprint, parts: WebParts) -> None:
    """The one address."""
    places = threading.BoundedSemaphore(_MOST_HELD)

    @routes.get("/events")
    def events() -> Response:
        if identity.current(parts) is None:
            abort(401, "nobody is signed in here any more; reload the page")
        known = _number(request.headers.get("Last-Event-ID") or request.args.get("after", ""))
        headers = {"X-Accel-Buffering": "no"}
        return Response(stream(parts, places, known), mimetype="text/event-stream", headers=headers)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def stream(parts: WebParts, places: threading.BoundedSemaphore, known: int) -> Iterator[bytes]:
    """One stream: how long to wait before the next one; then, at once or after a while, the last entry."""
    yield f"retry: {_RETRY_MS}\n\n".encode()
    seq = _last_seq(parts, known)
    if seq == known and places.acquire(blocking=False):
        try:
            seq = _wait(parts, known)
        finally:
            places.release()
    yield f"id: {seq}\nevent: {'change' if seq != known else 'same'}\ndata: {seq}\n\n".encode()


def _wait(parts: WebParts, known: int) -> int:
    """The number of the last entry once it is another one, or the time is over, or the daemon stops."""
    end = time.monotonic() + _HELD_S
    seq = known
    while seq == known and parts.ready.is_set() and time.monotonic() < end:
        time.sleep(_LOOK_S)
        seq = _last_seq(parts, known)
    return seq


def _last_seq(parts: WebParts, known: int) -> int:
    """A store that is away has not changed: the page is asked again, and tells it then."""
    try:
        with until(time.monotonic() + _ANSWER_S):
            return parts.store.last_seq()
    except StoreError:
        return known
