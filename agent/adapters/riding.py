"""What is to be written down before anything else is rides along with the next transaction of its thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Protocol

import sqlalchemy as sa

#: Something to be written within a transaction.
Deed = Callable[[sa.Connection], object]


class Of(StrEnum):
    """What a deed changes, and a reader may have to see."""

    TIMELINE = "timeline"
    INCIDENT = "incident"
    PLAN = "plan"


class Rider(Protocol):
    """Something to write that need not be durable before the next thing is."""

    @property
    def tells(self) -> bool:
        """Whether some of it is for the chain: it is taken along by a transaction that may append to it."""
        ...

    def take(self, deed: Deed, *of: Of) -> None:
        """Write this too, in the order in which it was given, and what it changes."""
        ...

    def board(self, connection: sa.Connection) -> None:
        """Write it within the transaction that has just begun."""
        ...

    def arrived(self) -> None:
        """The transaction is durable."""
        ...

    def settle(self, *of: Of) -> None:
        """Write it now, if it changes any of these; of nothing: in any case."""
        ...


_rider: ContextVar[Rider | None] = ContextVar("rider", default=None)


@contextmanager
def riding(rider: Rider) -> Iterator[None]:
    """Within the block every transaction of this thread takes the rider along."""
    token = _rider.set(rider)
    try:
        yield
    finally:
        _rider.reset(token)


def aboard() -> Rider | None:
    """Who rides with this thread's transactions, if anybody does."""
    return _rider.get()


def settle(*of: Of) -> None:
    """Before this thread reads what a rider has still to write, or waits for something outside."""
    rider = _rider.get()
    if rider is not None:
        rider.settle(*of)
