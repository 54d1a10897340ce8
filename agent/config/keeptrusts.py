"""`keeptrusts:` in `config.yaml`: whose escalations become pages and tickets, and get our answers back.

{api_url: https://api.keeptrusts.com, api_token: {env: KEEPTRUSTS_API_TOKEN},
 webhook_tokens: [{env: KEEPTRUSTS_WEBHOOK_TOKEN}], console_url: https://console.keeptrusts.com,
 pagerduty: {content-safety: safety, compliance: compliance, cost-limit: finops, default: governance},
 runbook_url: https://wiki.example.com/ai-governance,
 sla: {critical: {response: 5m, resolution: 1h}, info: {response: next business day, resolution: 7d}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from agent.config.addresses import ProbeUrl, VendorUrl
from agent.config.base import Seconds, Section
from agent.config.escalation import Duration
from agent.config.secrets import SecretReference

#: The policy type that stands for every other one.
DEFAULT = "default"

NEXT_BUSINESS_DAY: Literal["next business day"] = "next business day"


def _response(value: object) -> object:
    """The published table's words in any case, else a time."""
    if isinstance(value, str) and " ".join(value.replace("_", " ").split()).casefold() == NEXT_BUSINESS_DAY:
        return NEXT_BUSINESS_DAY
    return value


Response = Annotated[Literal["next business day"] | Duration, BeforeValidator(_response)]


class KeeptrustsTarget(Section):
    """Until when somebody has to have answered, and until when it has to be settled."""

    response: Response
    resolution: Duration


def _target(response: timedelta | None, resolution: timedelta) -> KeeptrustsTarget:
    return KeeptrustsTarget(response=response or NEXT_BUSINESS_DAY, resolution=resolution)


class KeeptrustsSla(Section):
    """The published table, by PagerDuty's severities."""

    critical: KeeptrustsTarget = _target(timedelta(minutes=5), timedelta(hours=1))
    error: KeeptrustsTarget = _target(timedelta(minutes=15), timedelta(hours=4))
    warning: KeeptrustsTarget = _target(timedelta(hours=1), timedelta(hours=24))
    info: KeeptrustsTarget = _target(None, timedelta(days=7))

    @model_validator(mode="after")
    def _answered_before_it_is_settled(self) -> KeeptrustsSla:
        for name in type(self).model_fields:
            target: KeeptrustsTarget = getattr(self, name)
            if isinstance(target.response, timedelta) and target.response > target.resolution:
                raise ValueError(f"{name}: the response is due after the resolution; exchange the two")
        return self


class Keeptrusts(Section):
    """An organisation of Keeptrusts: its API, its webhooks, and where its escalations go."""

    api_url: VendorUrl = "https://api.keeptrusts.com"
    api_token: SecretReference | None = None
    webhook_tokens: tuple[SecretReference, ...] = ()
    allow_unsigned_webhooks: bool = False
    console_url: VendorUrl = "https://console.keeptrusts.com"
    pagerduty: Mapping[str, str] = Field(default_factory=dict)
    runbook_url: VendorUrl | None = None
    runbook_urls: Mapping[str, VendorUrl] = Field(default_factory=dict)
    gateways: Mapping[str, ProbeUrl] = Field(default_factory=dict)
    status_pages: Mapping[str, VendorUrl] = Field(default_factory=dict)
    sla: KeeptrustsSla = KeeptrustsSla()
    timeout_s: Seconds = 5.0

    @model_validator(mode="after")
    def _some_proof(self) -> Keeptrusts:
        if self.webhook_tokens and self.allow_unsigned_webhooks:
            raise ValueError("webhook_tokens and allow_unsigned_webhooks: true contradict; keep one of them")
        return self

    def pager_target(self, policy_type: str) -> str:
        """The name in `pagerduty.routing_keys` for a policy type; "" is the agent's own routing key."""
        wanted = policy_type.strip().casefold()
        given = {name.casefold(): target for name, target in self.pagerduty.items()}
        return given.get(wanted) or given.get(DEFAULT, "")

    def runbook(self, policy_name: str) -> str:
        """Where a human reads what to do about a policy; "" if nowhere."""
        given = {name.casefold(): url for name, url in self.runbook_urls.items()}
        return given.get(policy_name.strip().casefold()) or self.runbook_url or ""

    def pages_nobody(self, known: frozenset[str]) -> str:
        """Which policy type names a service of PagerDuty that has no key, in words; "" if none does."""
        for policy_type, name in self.pagerduty.items():
            if name and name not in known:
                return f"keeptrusts.pagerduty.{policy_type} names {name}: add it to pagerduty.routing_keys"
        return ""
