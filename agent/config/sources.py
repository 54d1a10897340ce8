"""Where alerts come from besides PagerDuty; a source that is left out is not listened to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.config.base import Section
from agent.config.escalation import Duration
from agent.config.mapping import MappingSection
from agent.config.secrets import SecretReference
from agent.domain.alert import Severity

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

    @property
    def has_authorization(self) -> bool:
        """Whether a token or a password is asked for at all."""
        return self.bearer_token is not None or self.password is not None


class Alertmanager(ProvedBySecret):
    """Prometheus' Alertmanager, which posts groups of alerts and says by itself when one is over."""

    one_incident_per: Literal["alert", "group"] = "alert"
    service_label: Annotated[str, Field(min_length=1, max_length=255)] = "service"
    clear_within: Duration = _CLEAR_WITHIN


class Opsgenie(ProvedBySecret):
    """Opsgenie's outgoing webhook; what is closed there is over."""

    clear_within: Duration | None = None


HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]


class Grafana(ProvedBySecret):
    """Grafana's alerting; with `hmac_secrets` it has to be signed too."""

    hmac_secrets: tuple[SecretReference, ...] = ()
    hmac_header: HeaderName | Literal[""] = ""
    hmac_timestamp_header: HeaderName | Literal[""] = ""
    service_label: Annotated[str, Field(min_length=1, max_length=255)] = "service"
    clear_within: Duration | None = _CLEAR_WITHIN


class Sns(Section):
    """CloudWatch's alarms through Amazon SNS: signed, and from these topics alone."""

    topics: Annotated[tuple[str, ...], Field(min_length=1)]
    severity: Severity | None = None
    clear_within: Duration | None = None

    @model_validator(mode="after")
    def _topics_are_arns(self) -> Sns:
        for topic in self.topics:
            if not _TOPIC.fullmatch(topic):
                raise ValueError(f"topics: {topic} is no ARN (arn:aws:sns:us-east-1:123456789012:alarms)")
        return self


class Hmac(Section):
    """A signature over the body: hex HMAC-SHA256 in this header, after this prefix."""

    secrets: Annotated[tuple[SecretReference, ...], Field(min_length=1)]
    header: HeaderName
    prefix: Annotated[str, Field(max_length=50)] = ""


class Generic(ProvedBySecret):
    """Anybody's JSON, read by a mapping; with `hmac` it has to be signed too."""

    hmac: Hmac | None = None
    mapping: MappingSection
    clear_within: Duration | None = None


_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,30}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
#: Webhooks and origins of alerts that are not somebody's own JSON.
_TAKEN = frozenset(
    {"pagerduty", "keeptrusts", "jira", "slack", "manual", "asked", "handoff", "watch", "hooks", "agent"}
)


class SourcesSection(Section):
    """One key a source."""

    alertmanager: Alertmanager | None = None
    opsgenie: Opsgenie | None = None
    grafana: Grafana | None = None
    sns: Sns | None = None
    generic: Mapping[str, Generic] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_free(self) -> SourcesSection:
        for name in self.generic:
            if not _NAME.fullmatch(name):
                raise ValueError(f"generic: {name[:50]!r} is no name: small letters, digits and -, up to 40")
            if name in _TAKEN or name in type(self).model_fields:
                raise ValueError(f"generic: {name} is the name of another source; choose another one")
        return self

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
        yield from self.generic.items()
