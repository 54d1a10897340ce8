"""Where alerts come from besides PagerDuty; a source that is left out is not listened to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.config.base import Section
from agent.config.escalation import Duration
from agent.config.secrets import SecretReference

#: How long a source that clears by itself may take to say so, once everything was done.
_CLEAR_WITHIN = timedelta(minutes=10)


class ProvedBySecret(Section):
    """What proves that a webhook is from its source: basic auth or a bearer token; either is enough."""

    bearer_token: SecretReference | None = None
    username: str = ""
    password: SecretReference | None = None
    allow_unsigned_webhooks: bool = False

    @model_validator(mode="after")
    def _whole(self) -> ProvedBySecret:
        if bool(self.username) != (self.password is not None):
            raise ValueError("give both username and password, or neither")
        return self


class Alertmanager(ProvedBySecret):
    """Prometheus' Alertmanager, which posts groups of alerts and says by itself when one is over."""

    one_incident_per: Literal["alert", "group"] = "alert"
    service_label: Annotated[str, Field(min_length=1, max_length=255)] = "service"
    clear_within: Duration = _CLEAR_WITHIN


class SourcesSection(Section):
    """One key a source."""

    alertmanager: Alertmanager | None = None

    def clear_within_s(self, source: str) -> float | None:
        """How long it is waited for this source's word that an alert is over; None if it has none to say."""
        for name, section in self.each():
            if name == source:
                within = getattr(section, "clear_within", None)
                return within.total_seconds() if isinstance(within, timedelta) else None
        return None

    def each(self) -> Iterator[tuple[str, Section]]:
        """(name, section) of those that are configured."""
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, Section):
                yield name, section
