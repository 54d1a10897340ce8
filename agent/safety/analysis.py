"""What the analysis of one command gives: its effects, and what it reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agent.domain.effects import Effect
from agent.safety.grammar import PipedInput


class Counter(Protocol):
    """Counts in the live world what the text of a command does not say."""

    def workload_replicas(self, namespace: str, kind: str, name: str) -> int | None:
        """How many pods a workload has; None when nobody can tell."""
        ...


@dataclass(frozen=True, slots=True)
class Analysis:
    """A command understood. `namespaces` has "" for the context's own one and "*" for all."""

    effects: tuple[Effect, ...]
    hosts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    piped_input: PipedInput = PipedInput.NONE
