"""What `doctor` says of the further sources: whether anything is taken from them, and what proves it."""

from __future__ import annotations

from collections.abc import Iterator

from agent.cli.checks import Check, Grade
from agent.config import Config
from agent.config.base import Section
from agent.config.sources import Generic, Grafana, ProvedBySecret, Sns


def source_checks(config: Config) -> Iterator[Check]:
    """One for each source that is configured."""
    for name, section in config.sources.each():
        key = f"sources.generic.{name}" if isinstance(section, Generic) else f"sources.{name}"
        yield _check(f"source {name}", key, section)


def _check(name: str, key: str, section: Section) -> Check:
    if isinstance(section, Sns):
        return Check(name, Grade.OK, f"messages that SNS signed, from {len(section.topics)} topic(s)")
    if not isinstance(section, ProvedBySecret):
        return Check(name, Grade.OK, "configured")
    proofs = list(_proofs(section))
    if proofs:
        return Check(name, Grade.OK, f"webhooks with {' and '.join(proofs)}")
    fix = f"set {key}.bearer_token, or username and password"
    if section.allow_unsigned_webhooks:
        return Check(name, Grade.NOTE, "webhooks that prove nothing are accepted", fix)
    return Check(name, Grade.BAD, "every webhook is refused: no secret is configured", fix)


def _proofs(section: ProvedBySecret) -> Iterator[str]:
    match section:
        case Grafana(hmac_secrets=secrets) if secrets:
            yield "a signature"
        case Generic(hmac=hmac) if hmac is not None:
            yield "a signature"
    ways = {"a bearer token": section.bearer_token, "a password": section.password}
    if section.has_authorization:
        yield " or ".join(way for way, reference in ways.items() if reference is not None)
