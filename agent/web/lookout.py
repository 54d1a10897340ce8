"""The web server's loop: it waits for its sockets, and looks only at those with which something happened.

Waitress asks each connection before each wait whether it is to be read from or written to; with many of them
that costs more than all that is read and written. Here a connection is asked when something was done with it,
and while a thread is at one of its requests. All of them are asked once a second: then idle ones are closed.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from waitress import wasyncore

_ALL_AGAIN_S: Final = 1.0

_READ: Final = select.POLLIN | select.POLLPRI


class Watched(Protocol):
    """What listens, what wakes the loop, or a connection."""

    accepting: bool

    def readable(self) -> bool:
        """Whether it is to be read from."""
        ...

    def writable(self) -> bool:
        """Whether it has something to write."""
        ...


class Lookout(dict[int, Any]):
    """The server's sockets by their numbers, as waitress keeps them, and the loop over them.

    Touched by the loop's thread alone, but for `at_work` and what `waking` gives.
    """

    def __init__(self) -> None:
        super().__init__()
        self._poll = select.poll()
        self._waits_for: dict[int, int] = {}
        self._restless: set[int] = set()
        self._all_again_at = 0.0
        self._sleeps = False

    def __setitem__(self, number: int, watched: Watched) -> None:
        """One more socket; it is asked before the next wait."""
        super().__setitem__(number, watched)
        self._restless.add(number)

    def at_work(self, number: int | None) -> None:
        """A thread is at a request of this connection, and wakes the loop when it is done with it."""
        if number is not None:
            self._restless.add(number)

    def waking(self, ring: Callable[[], None]) -> Callable[[], None]:
        """To be called after a change: rings if the loop waits. Else it asks again before it waits anyhow."""

        def wake() -> None:
            if self._sleeps:
                self._sleeps = False
                ring()

        return wake

    def run(self) -> None:
        """Until the server is closed."""
        while self:
            self._sleeps = True  # before it asks: what changes after that must ring
            self._ask(self._due())
            found = self._poll.poll(1000 * _ALL_AGAIN_S)
            self._sleeps = False
            for number, flags in found:
                watched = self.get(number)
                if watched is not None:
                    wasyncore.readwrite(watched, flags)
                self._ask([number])

    def _due(self) -> Iterable[int]:
        now = time.monotonic()
        if now < self._all_again_at:
            return list(self._restless)
        self._all_again_at = now + _ALL_AGAIN_S
        return {*self, *self._waits_for, *self._restless}

    def _ask(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            watched = self.get(number)
            # before it is asked: whatever a thread changes after this look, it wakes the loop for
            if not getattr(watched, "requests", None):
                self._restless.discard(number)
            wanted = 0 if watched is None else _wanted(watched)
            if wanted != self._waits_for.get(number, 0):
                self._wait_for(number, wanted)

    def _wait_for(self, number: int, wanted: int) -> None:
        if wanted:
            self._poll.register(number, wanted)
            self._waits_for[number] = wanted
        else:
            self._poll.unregister(number)
            del self._waits_for[number]


def _wanted(watched: Watched) -> int:
    """What of the socket is waited for, in poll's words; what listens is never written to."""
    read = _READ if watched.readable() else 0
    return read | select.POLLOUT if watched.writable() and not watched.accepting else read
