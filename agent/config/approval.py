"""The sections `approval` and `autonomy`: whose yes it takes, and how a runbook earns to run alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent.config.base import Section
from agent.config.limits import effect_names
from agent.domain.approvals import Demand, Lapse
from agent.domain.effects import EffectClass


class EffectApproval(Section):
    """What a yes to one effect class takes; a class that is named here always waits for one."""

    approvals: Annotated[int, Field(ge=1, le=10)] = 1
    four_eyes: bool = False


def _known_effects(value: Mapping[str, EffectApproval]) -> Mapping[str, EffectApproval]:
    effect_names(tuple(value))
    return value


class ApprovalSection(Section):
    """Whose yes it takes, beside what each runbook says: the stricter one counts."""

    by_effect: Annotated[Mapping[str, EffectApproval], AfterValidator(_known_effects)] = Field(
        default_factory=dict
    )
    four_eyes: bool = False
    on_expiry: Lapse = Lapse.ESCALATE
    on_rejection: Lapse = Lapse.ESCALATE

    def demands(self, effects: Iterable[EffectClass]) -> tuple[Demand, ...]:
        """What the effects of a plan demand of its approval, each class by itself."""
        named = [self.by_effect[f"{each}s"] for each in effects if f"{each}s" in self.by_effect]
        return tuple(Demand(each.approvals, four_eyes=each.four_eyes) for each in named)


class AutonomySection(Section):
    """How a runbook earns to run alone, and what takes that from it."""

    promote_after: Annotated[int, Field(ge=1, le=1000)] = 5
    demote_on: tuple[Literal["failure", "recurrence", "change"], ...] = ("failure", "recurrence", "change")
    demote_stated: bool = False
