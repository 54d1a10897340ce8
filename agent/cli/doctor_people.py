"""What `doctor` says of people: whether the console is safe to sign in to, and who has no way in."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.cli.checks import Check, Grade
from agent.cli.people import people_with_token, ways_in
from agent.config import Config, is_loopback
from agent.config.console import Oidc
from agent.domain.errors import AgentError

_TIMEOUT_S = 5.0


def people_checks(config: Config) -> Iterator[Check]:
    """The console, single sign-on, and everybody of `people`."""
    yield _console(config)
    if config.console_is_on and config.console.oidc is not None:
        yield _single_sign_on(config.console.oidc)
    yield from _people(config)


def _console(config: Config) -> Check:
    if not config.console_is_on:
        return Check("console", Grade.OK, "off")
    url = urlsplit(config.server.public_url)
    if not is_loopback(config.server.host) and not config.is_https and not is_loopback(url.hostname or ""):
        seen = f"people reach it at {config.server.public_url}: passwords cross the network in the clear"
        return Check("console", Grade.BAD, seen, "put TLS in front and set server.public_url to https://…")
    return Check("console", Grade.OK, f"at {config.server.public_url.rstrip('/')}/console")


def _single_sign_on(section: Oidc) -> Check:
    """Whether the provider is there, and is the one that is configured."""
    url = f"{section.issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        found = httpx.get(url, timeout=_TIMEOUT_S).raise_for_status().json()
        issuer = found.get("issuer") if isinstance(found, dict) else None
    except (httpx.HTTPError, ValueError) as error:
        seen = f"{url} cannot be read: {error or type(error).__name__}"
        return Check("single sign-on", Grade.BAD, seen, "check console.oidc.issuer")
    if issuer != section.issuer:
        seen = f"the provider calls itself {issuer!r}: nobody is let in"
        return Check("single sign-on", Grade.BAD, seen, f"set console.oidc.issuer to {issuer}")
    return Check("single sign-on", Grade.OK, f"{section.issuer} answers")


def _people(config: Config) -> Iterator[Check]:
    """Who is known and cannot come in by any door is told; nobody at all is no fault, but said."""
    if not config.people:
        seen = "nobody is known: nothing can be approved in Slack or in the console"
        yield Check("people", Grade.NOTE, seen, "name who may do what under people (docs/people.md)")
        return
    try:
        store = Store(config.database.url, SystemClock())
        with_password, with_token = store.people_with_password(), people_with_token(store)
        store.close()
    except AgentError:
        yield Check("people", Grade.NOTE, "who may sign in is unknown: the database is not there yet")
        return
    shut_out = [
        each.name
        for each in config.people
        if not ways_in(
            config,
            each.person(),
            has_password=each.name in with_password,
            has_token=each.name in with_token,
        )
    ]
    if shut_out:
        seen = f"without any way in: {', '.join(shut_out)}"
        yield Check("people", Grade.NOTE, seen, f"oncall-agent people password {shut_out[0]}")
        return
    yield Check("people", Grade.OK, f"{len(config.people)} known, each has a way in")
