"""What the analysis of one command gives: its effects, and what it reaches."""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.access import NO_ACCESS, Access
from agent.domain.effects import Effect
from agent.safety.grammar import PipedInput


@dataclass(frozen=True, slots=True)
class Analysis:
    """A command understood. `namespaces` has "" for the context's own one and "*" for all.

    `access` is what it needs of the world; its `hosts` are filled in from `hosts` when it is priced.
    """

    effects: tuple[Effect, ...]
    hosts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    piped_input: PipedInput = PipedInput.NONE
    access: Access = NO_ACCESS
