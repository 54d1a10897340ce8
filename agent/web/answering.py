"""Counts the requests that are being answered, so that a stop cuts no answer off.

A webhook that was stored and got no answer is sent again and found to be known; but it need not come to that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: What was answered is still on its way from the server's buffer to the socket.
_LINGER_S = 0.1


class Answering:
    """A WSGI application around another one."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._changed = threading.Condition()
        self._open = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does, and know when it is done."""
        self._count(1)
        try:
            answer = self._app(environ, start_response)
        except BaseException:
            self._count(-1)
            raise
        return ClosingIterator(answer, lambda: self._count(-1))

    @contextmanager
    def counting(self, requests: int) -> Iterator[None]:
        """So many are being answered until the block ends."""
        self._count(requests)
        try:
            yield
        finally:
            self._count(-requests)

    def wait_until_answered(self, *, at_most_s: float) -> bool:
        """Whether nobody waits for an answer any more; waits for that, in bounds."""
        with self._changed:
            answered = self._changed.wait_for(lambda: self._open == 0, timeout=at_most_s)
        time.sleep(_LINGER_S)
        return answered

    def _count(self, more: int) -> None:
        with self._changed:
            self._open += more
            if not self._open:
                self._changed.notify_all()
