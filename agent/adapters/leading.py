"""What only one process may do: asked again right before it is done, for a batch takes time and leads end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_demand: ContextVar[Callable[[], None] | None] = ContextVar("demand", default=None)


@contextmanager
def leading(demand: Callable[[], None]) -> Iterator[None]:
    """Within the block `demand` raises StoreError once this process leads no longer."""
    token = _demand.set(demand)
    try:
        yield
    finally:
        _demand.reset(token)


def still_leads() -> None:
    """Raises StoreError if another process may be doing this now; nothing where nobody needs to lead."""
    demand = _demand.get()
    if demand is not None:
        demand()
