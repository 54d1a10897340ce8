"""What every stage may use, handed in by the wiring."""

from __future__ import annotations

from dataclasses import dataclass

from agent.config import Config
from agent.domain.outbox import Channel
from agent.library import Library
from agent.pipeline.gate import Gate
from agent.ports import Actions, Clock, Counter, IncidentDesk, Records, Sandbox
from agent.safety.effects import EffectTables
from agent.safety.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Context:
    """The ports and settings of one daemon. `channels` are those that are configured.

    Without a `counter` what must be counted is refused, without `actions` typed actions are.
    """

    config: Config
    store: Records
    library: Library
    sandbox: Sandbox
    tables: EffectTables
    redactor: Redactor
    clock: Clock
    desk: IncidentDesk | None
    channels: frozenset[Channel]
    gate: Gate
    counter: Counter | None = None
    actions: Actions | None = None
