"""Where the numbers of `## Watch` sections come from, and where what was seen is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.domain.probing import ProbeState, Unseen


class Metrics(Protocol):
    """A time series database that answers PromQL: Prometheus."""

    def value(self, query: str, *, timeout_s: float) -> float | Unseen:
        """The one number that the query has now, or why it has none; ServiceError if nobody answered."""
        ...


class PendingEscalations(Protocol):
    """How many escalations wait for somebody, as Keeptrusts counts them."""

    def pending(self) -> int:
        """How many there are now; ServiceError if nobody answered."""
        ...


class ProbeStore(Protocol):
    """What is remembered of each probe."""

    def probe_states(self) -> Sequence[ProbeState]:
        """All of them."""
        ...

    def keep_probe(self, state: ProbeState) -> None:
        """Remember this from now on; StoreError once another process looks."""
        ...

    def forget_probe(self, runbook_id: str, key: str) -> None:
        """It is watched no longer."""
        ...
