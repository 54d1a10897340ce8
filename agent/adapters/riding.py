"""What is to be written down before anything else is rides along with the next transaction of its thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import sqlalchemy as sa


class Rider(Protocol):
    """Something to write that need not be durable before the next thing is."""

    def board(self, connection: sa.Connection) -> None:
        """Write it within the transaction that has just begun."""
        ...

    def arrived(self) -> None:
        """The transaction is durable."""
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
