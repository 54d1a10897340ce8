"""The gate in front of every attempt: closed at shutdown, so that no attempt starts that could not end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

#: How long what is told to stop gets to stop: a command's processes first get two seconds of grace.
_CUT_OFF_S = 5.0

#: How often the closing gate looks whether it has been told to hurry, which a signal does without a lock.
_LOOK_S = 0.1


class Gate:
    """Counts running attempts; once closing, holds back new ones for as long as the process lives."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._closing = False
        self._hurry = False
        self._cut_off = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Run an attempt inside; waits at a closing gate, because the process is about to end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closing)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._cut_off = self._cut_off or self._hurry
                self._changed.notify_all()

    @property
    def is_closing(self) -> bool:
        """Whether the process is about to end: what only waits must not hold that up."""
        return self._closing

    @property
    def must_hurry(self) -> bool:
        """Whether running attempts must be stopped because the time to shut down is over."""
        return self._hurry

    def hurry(self) -> None:
        """Wait for nothing any more: whoever stops us asked a second time. Safe in a signal handler."""
        self._hurry = True

    def close(self, *, grace_s: float) -> bool:
        """Let running attempts end by themselves, then tell the rest to stop; True if none was cut off."""
        with self._changed:
            self._closing = True
            until = time.monotonic() + grace_s
            while self._running and not self._hurry and time.monotonic() < until:
                self._changed.wait(_LOOK_S)
            if self._running:
                self._hurry = True
                self._changed.wait_for(lambda: self._running == 0, timeout=_CUT_OFF_S)
            return not self._cut_off and not self._running

    def hold(self) -> NoReturn:
        """Wait for the end of the process: what was cut off is settled at the next start."""
        while True:
            threading.Event().wait()
