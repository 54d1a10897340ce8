"""How steps are run, and what their commands may touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.config.base import Positive, Seconds, Section
from agent.domain.effects import NEVER_BY_LIMIT_ALONE, EffectClass


class Allow(Section):
    """What commands may touch at all; an empty list sets no limit beyond the runbook's own."""

    hosts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()


class Allowance(Section):
    """Effects that no limit grants alone, named: for these runbooks, which name it too, with an approval."""

    effects: tuple[EffectClass, ...]
    runbooks: tuple[str, ...]

    @model_validator(mode="after")
    def _only_what_needs_one(self) -> Allowance:
        needless = [effect.value for effect in self.effects if effect not in NEVER_BY_LIMIT_ALONE]
        if needless:
            known = ", ".join(sorted(effect.value for effect in NEVER_BY_LIMIT_ALONE))
            raise ValueError(f"{needless[0]} needs no allowance, only a limit; an allowance is for {known}")
        return self


#: Layers that a host may lack, and an operator may accept to go without (`doctor` names them).
Gap = Literal["files", "network", "sockets", "signals", "user", "processes"]


class ExecutionSection(Section):
    """How steps are run."""

    max_attempts: Positive = 2
    retry_delay_s: Annotated[float, Field(ge=0)] = 1.0
    step_timeout_s: Seconds = 60
    incident_deadline_s: Seconds = 600
    sandbox: Literal["auto", "process"] = "auto"
    allow: Allow = Allow()
    effect_tables: tuple[str, ...] = ()
    accept_gaps: tuple[Gap, ...] = ()
    allowances: Mapping[str, Allowance] = Field(default_factory=dict)
    pass_environment: tuple[str, ...] = ()
