"""`hooks:` in `config.yaml`: further places that a routing rule may tell, by name.

{operations: {kind: teams, url: {env: TEAMS_WORKFLOW_URL}},
 portal: {kind: webhook, url: https://portal.example.com/hooks/oncall, secret: {env: PORTAL_SECRET}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from agent.config.addresses import VendorUrl
from agent.config.base import Seconds, Section
from agent.config.names import named
from agent.config.secrets import SecretReference


class HookSection(Section):
    """One place. Whoever knows the URL of a workflow in Teams can post there, so it is a secret."""

    kind: Literal["teams", "webhook"]
    url: SecretReference | VendorUrl
    secret: SecretReference | None = None
    timeout_s: Seconds = 5.0

    @model_validator(mode="after")
    def _is_whole(self) -> HookSection:
        if self.kind == "teams" and isinstance(self.url, str):
            raise ValueError("whoever knows a workflow's url can post there: write url: {env: NAME}")
        if self.kind == "teams" and self.secret is not None:
            raise ValueError("a workflow in Teams checks no signature; remove secret")
        if self.kind == "webhook" and self.secret is None:
            raise ValueError("secret is missing: what is posted is signed with it; write secret: {env: NAME}")
        return self


Hooks = Annotated[Mapping[str, HookSection], AfterValidator(named)]
