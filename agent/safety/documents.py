"""SSM documents that an effect table allows to be run, and what one does to each instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.safety.grammar import EffectRule
from agent.safety.kinds import Kind


@dataclass(frozen=True, slots=True)
class Document:
    """A document by its name; the counts of `effects` are for one instance."""

    name: str
    effects: tuple[EffectRule, ...]
    parameters: Mapping[str, Kind] = field(default_factory=dict)
