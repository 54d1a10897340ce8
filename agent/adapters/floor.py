"""The floor: so many runs think at once; the others wait for it, or for something outside.

All threads of a process share one interpreter. Runs at thirty-two places that all think at once spend more of
it on taking turns than on their work: each then costs half as much again. So a run takes the floor, and steps
aside while it waits for a command, a vendor or a pause. It is a courtesy and no lock: whoever waited long for
the floor goes on without it, so that a run that holds it and hangs holds nobody up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

from agent.adapters.riding import settle

T = TypeVar("T")

#: With the database in the same process one thinks; those who come back from a command are beside it.
AT_ONCE = 1

#: With a database elsewhere most of a run's time is waiting for its answers.
AT_ONCE_AFAR = 4

#: Longer than all of a storm's runs think one after the other, shorter than anybody would notice.
_AT_MOST_S = 1.0


class Floor:
    """Held by a run's thread while it works, given up while it waits."""

    def __init__(self, *, at_once: int = AT_ONCE, at_most_s: float = _AT_MOST_S) -> None:
        self._free = threading.Semaphore(at_once)
        self._at_most_s = at_most_s

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within the block this thread has the floor, or waited for it long enough."""
        turn = _Turn(self._free, self._at_most_s)
        before, _mine.turn = turn_of_this_thread(), turn
        turn.take()
        try:
            yield
        finally:
            turn.give()
            _mine.turn = before


class _Turn:
    """Whether one thread has the floor now."""

    __slots__ = ("_at_most_s", "_free", "_has_it")

    def __init__(self, free: threading.Semaphore, at_most_s: float) -> None:
        self._free = free
        self._at_most_s = at_most_s
        self._has_it = False

    def take(self) -> None:
        if self._has_it:
            return
        self._has_it = self._free.acquire(timeout=self._at_most_s)
        if not self._has_it:
            self._at_most_s = 0.0  # it waited in vain: from here on it has the floor where it is free

    def give(self) -> None:
        if self._has_it:
            self._has_it = False
            self._free.release()


_mine = threading.local()


def turn_of_this_thread() -> _Turn | None:
    """None: it is no run's thread."""
    return getattr(_mine, "turn", None)


def step_aside() -> None:
    """This thread is about to wait for something outside; others think meanwhile.

    It comes back without the floor: what became of a command is written down at once, as a crash before that
    would leave nobody who knows it.
    """
    turn = turn_of_this_thread()
    if turn is not None:
        turn.give()


def take_the_floor() -> None:
    """Before its next step a run that has stepped aside waits for the floor again."""
    turn = turn_of_this_thread()
    if turn is not None:
        turn.take()


def outside(port: T) -> T:
    """The same port, or none; whoever calls it steps aside until it answers."""
    return port if port is None else cast(T, _Outside(port))


class _Outside:
    """Each method of a port, called without the floor."""

    def __init__(self, port: object) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return _waited_for(found) if callable(found) else found


def _waited_for(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        settle()  # what came before it is told while it is waited for
        step_aside()
        return method(*args, **kwargs)

    return call
