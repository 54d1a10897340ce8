"""Room for what takes long: the web server has sixteen threads, and webhooks and health checks need them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import abort

#: So many at once; whoever comes beyond them is told at once, for a thread that waits is one that is held.
_MOST: Final = 2

_FULL = "others look through the whole store right now; try again in a moment"


class Room:
    """For what reads a great part of the store, or sends as much as its reader takes."""

    def __init__(self, most: int = _MOST) -> None:
        self._places = threading.BoundedSemaphore(most)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A place for as long as this takes; 503 if there is none."""
        self.take()
        try:
            yield
        finally:
            self.give_back()

    def take(self) -> None:
        """A place until `give_back`; 503 if there is none."""
        if not self._places.acquire(blocking=False):
            abort(503, _FULL)

    def give_back(self) -> None:
        """Somebody else may have it."""
        self._places.release()
