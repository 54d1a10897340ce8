"""`handoff:` in `config.yaml`: other agents that are asked before a human is, and who may ask this one.

{name: tier-1,
 targets: {platform: {url: https://platform.example.com/api/v1/handoffs, secret: {env: KEY}, deadline: 10m}},
 accept_from: {edge: {url: https://edge.example.com, secret: {env: EDGE_KEY}}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from agent.config.addresses import VendorUrl
from agent.config.base import Seconds, Section
from agent.config.escalation import Duration
from agent.config.names import checked_name, named
from agent.config.secrets import SecretReference

#: A human waits for it: what takes longer than a day is nothing to wait for.
_LONGEST = timedelta(hours=24)


def _deadline(span: timedelta) -> timedelta:
    if span > _LONGEST:
        raise ValueError("a human waits for it: at most 24h")
    return span


class HandoffTarget(Section):
    """Another agent, or any webhook that keeps to the contract; both ends sign with the same secret."""

    url: SecretReference | VendorUrl
    secret: SecretReference
    token: SecretReference | None = None
    deadline: Annotated[Duration, AfterValidator(_deadline)] = timedelta(minutes=15)
    timeout_s: Seconds = 5.0


class HandoffSource(Section):
    """Who may hand incidents to this agent, and where its answers go: to the address written here alone."""

    url: VendorUrl
    secret: SecretReference
    timeout_s: Seconds = 5.0


class Handoff(Section):
    """Agents by the names that they have for each other; `name` is this one's own."""

    name: Annotated[str, AfterValidator(checked_name)] = "oncall-agent"
    max_hops: Annotated[int, Field(ge=1, le=10)] = 3
    targets: Annotated[Mapping[str, HandoffTarget], AfterValidator(named)] = Field(default_factory=dict)
    accept_from: Annotated[Mapping[str, HandoffSource], AfterValidator(named)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_known_by_a_name(self) -> Handoff:
        if (self.targets or self.accept_from) and "name" not in self.model_fields_set:
            raise ValueError("name is missing: what other agents call this one, no two the same")
        if self.name in self.targets or self.name in self.accept_from:
            raise ValueError(f"{self.name} is this agent itself: it hands nothing to itself")
        return self
