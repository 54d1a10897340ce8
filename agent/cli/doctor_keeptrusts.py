"""What `doctor` says of Keeptrusts: who is believed, whether it hears us, and whom its pages wake."""

from __future__ import annotations

from collections.abc import Iterator

from agent.cli.checks import Check, Grade
from agent.config import Config, is_loopback
from agent.config.keeptrusts import DEFAULT, Keeptrusts
from agent.domain.errors import ServiceError
from agent.domain.outbox import Channel

_DOCS = "(docs/keeptrusts.md)"


def keeptrusts_checks(config: Config) -> Iterator[Check]:
    """Its webhooks, its API, its pages."""
    section = config.keeptrusts
    if section is None:
        seen = "switched off: no escalation of Keeptrusts comes in by its webhook"
        yield Check("keeptrusts", Grade.NOTE, seen, f"add a keeptrusts section {_DOCS}")
        return
    yield _webhook(config, section)
    yield _api(config)
    yield _pages(config, section)


def _webhook(config: Config, section: Keeptrusts) -> Check:
    name = "keeptrusts webhook"
    if section.webhook_tokens:
        return Check(name, Grade.OK, f"{len(section.webhook_tokens)} token(s)")
    if not section.allow_unsigned_webhooks:
        seen = "no token: every webhook is answered 401"
        return Check(name, Grade.BAD, seen, f"set keeptrusts.webhook_tokens {_DOCS}")
    grade = Grade.NOTE if is_loopback(config.server.host) else Grade.BAD
    seen = "allow_unsigned_webhooks: whoever reaches the port can call humans and end their pages"
    return Check(name, grade, seen, "set keeptrusts.webhook_tokens")


def _api(config: Config) -> Check:
    from agent.wiring import keeptrusts_of

    name = "keeptrusts api"
    try:
        api = keeptrusts_of(config)
        if api is None:
            seen = "no api_token: what is settled here has to be settled there too"
            return Check(name, Grade.NOTE, seen, "set keeptrusts.api_token")
        pending = api.pending()
        api.close()
    except (ServiceError, ValueError, OSError) as error:
        return Check(name, Grade.BAD, str(error), "check keeptrusts.api_url and api_token")
    return Check(name, Grade.OK, f"reached; {pending} escalation(s) wait there")


def _pages(config: Config, section: Keeptrusts) -> Check:
    name = "keeptrusts pages"
    if Channel.PAGER not in config.channels():
        seen = "its escalations page nobody: they wait in the queue"
        return Check(name, Grade.BAD, seen, "set pagerduty.routing_key")
    named = ", ".join(f"{policy} → {target or 'the own key'}" for policy, target in section.pagerduty.items())
    if DEFAULT in section.pagerduty:
        return Check(name, Grade.OK, named)
    seen = f"{named}; all others" if named else "all"
    fix = "name the service for other policies as keeptrusts.pagerduty.default"
    return Check(name, Grade.NOTE, f"{seen} → the agent's own routing key", fix)
