"""What every stage may use, handed in by the wiring."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.config import Config
from agent.domain.outbox import Channel
from agent.library import Library
from agent.pipeline.gate import Gate
from agent.pipeline.learned import Learned
from agent.pipeline.scores import Scores
from agent.ports import Actions, Advisor, Clock, Counter, IncidentDesk, Records, Sandbox
from agent.safety.effects import EffectTables
from agent.safety.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Context:
    """The ports and settings of one daemon. `channels` are those that are configured.

    Without a `counter` what must be counted is refused, without `actions` typed actions are; without an
    `advisor` rules and scores decide alone.
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
    advisor: Advisor | None = None
    scores: Scores = field(default_factory=Scores)
    learned: Learned = field(default_factory=Learned)
