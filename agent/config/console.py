"""The section `console`: whether it is there, how long a sign-in lasts, and who vouches for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from agent.config.base import Section
from agent.config.secrets import SecretReference
from agent.domain.people import Role
from agent.domain.sign_ins import SessionRules


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.scheme not in (("https", "http") if is_local else ("https",)):
        raise ValueError("must be an https:// URL (plain http:// only for a loopback host)")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("must be the provider's issuer, without query, fragment or user")
    return value


class Oidc(Section):
    """An OpenID Connect provider: whom it vouches for by a verified e-mail address of `people` comes in."""

    issuer: Annotated[str, AfterValidator(_issuer)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretReference | None = None
    label: Annotated[str, Field(min_length=1, max_length=60)] = "single sign-on"
    groups_claim: Annotated[str, Field(min_length=1)] = "groups"
    roles: Mapping[str, Role] = Field(default_factory=dict)


class ConsoleSection(Section):
    """The web console. Left alone, it is there on loopback only."""

    enabled: bool | None = None
    session_hours: Annotated[float, Field(gt=0, le=720)] = 12
    idle_minutes: Annotated[float, Field(gt=0, le=10_080)] = 60
    behind_proxies: Annotated[int, Field(ge=0, le=5)] = 0
    oidc: Oidc | None = None

    def rules(self) -> SessionRules:
        """How long a session counts."""
        return SessionRules(timedelta(hours=self.session_hours), timedelta(minutes=self.idle_minutes))
