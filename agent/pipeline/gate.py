"""The gate in front of every attempt: closed at shutdown, so that no attempt starts that could not end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Gate:
    """Counts running attempts; once closing, holds back new ones for as long as the process lives."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._closing = False
        self._hurry = False

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
                self._changed.notify_all()

    @property
    def is_closing(self) -> bool:
        """Whether the process is about to end: what only waits must not hold that up."""
        return self._closing

    @property
    def must_hurry(self) -> bool:
        """Whether running attempts must be stopped because the time to shut down is over."""
        return self._hurry

    def close(self, *, grace_s: float) -> bool:
        """Let running attempts end by themselves, then tell the rest to stop; True if none was cut off."""
        with self._changed:
            self._closing = True
            ended = self._changed.wait_for(lambda: self._running == 0, timeout=grace_s)
            if not ended:
                self._hurry = True
                self._changed.wait_for(lambda: self._running == 0, timeout=5)
        return ended

    def hold(self) -> NoReturn:
        """Wait for the end of the process: what was cut off is settled at the next start."""
        while True:
            threading.Event().wait()
