"""What an attempt asks of the limits, and who holds what it must wait for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from agent.domain.effects import BlastRadius, Effect, EffectClass

#: The namespace of an effect that reaches all of them.
EVERY_NAMESPACE = "*"


class Scope(StrEnum):
    """What a limit across incidents counts together."""

    ALL = "all"
    SERVICE = "service"
    NAMESPACE = "namespace"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class WindowLimit:
    """One limit across incidents, by the key path under which the configuration has it.

    `key` is such as `limits.per_service.per_hour.pod_restarts`; at most `maximum` within any `window_s`.
    """

    key: str
    effect_class: EffectClass
    scope: Scope
    window_s: float
    maximum: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one attempt asks for, and every limit that it must fit into; taken whole, or not at all.

    `exclusive` classes run one at a time in a namespace of a cluster. `lasts_s`: how long the attempt may
    take at most; it holds its exclusive classes no longer, so that a process that died blocks nobody forever.
    """

    effects: tuple[Effect, ...] = ()
    commands: int = 0
    limits: BlastRadius = field(default_factory=BlastRadius)
    windows: tuple[WindowLimit, ...] = ()
    exclusive: frozenset[EffectClass] = frozenset()
    runbook: str = ""
    service: str = ""
    cluster: str = ""
    lasts_s: float = 0.0

    def __post_init__(self) -> None:
        if self.commands < 0 or any(effect.count < 0 for effect in self.effects):
            raise ValueError("a charge never gives anything back")

    @property
    def changes(self) -> tuple[Effect, ...]:
        """The effects that are charged; reads are free."""
        return tuple(effect for effect in self.effects if effect.effect_class is not EffectClass.READ)

    @property
    def is_read_only(self) -> bool:
        """Whether the attempt changes nothing, so that it may be made again."""
        return not self.changes


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of one limit a plan asks for, beside what is used already."""

    key: str
    maximum: int
    asked: int
    used: int = 0

    @property
    def left(self) -> int:
        """What the limit still allows when the plan has run."""
        return self.maximum - self.used - self.asked


@dataclass(frozen=True, slots=True)
class Busy:
    """Another attempt holds what only one may do at a time: nothing was charged, ask again."""

    effect_class: EffectClass
    namespace: str
    by: str

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"only one {self.effect_class} at a time{where}: {self.by} is at it"


def totals(effects: Iterable[Effect]) -> dict[EffectClass, int]:
    """How many effects of each class; reads are free."""
    asked: dict[EffectClass, int] = {}
    for effect in effects:
        if effect.effect_class is not EffectClass.READ:
            asked[effect.effect_class] = asked.get(effect.effect_class, 0) + effect.count
    return asked


def by_namespace(effects: Iterable[Effect], effect_class: EffectClass) -> dict[str, int]:
    """How many effects of a class each namespace must bear; what reaches every one counts for each."""
    mine = [effect for effect in effects if effect.effect_class is effect_class]
    everywhere = sum(effect.count for effect in mine if effect.namespace == EVERY_NAMESPACE)
    asked = {effect.namespace: everywhere for effect in mine}
    for effect in mine:
        if effect.namespace != EVERY_NAMESPACE:
            asked[effect.namespace] += effect.count
    return asked
