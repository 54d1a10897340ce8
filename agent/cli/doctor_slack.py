"""Whether people can press buttons and type `/oncall`, as far as the configuration and Slack say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.adapters.slack import asked
from agent.adapters.slack_http import BotClient
from agent.cli.checks import Check, Grade
from agent.config import Config
from agent.config.sections import Slack
from agent.domain.errors import ServiceError

_NAME = "slack buttons"
_FIX = "add it under OAuth & Permissions and install the app again (docs/slack.md)"


def press_checks(config: Config, scopes: frozenset[str] | None) -> Iterator[Check]:
    """The way in, and what it takes to know who presses; `scopes` are the bot token's, if Slack said."""
    section = config.slack
    if section is None or section.bot_token is None:
        return
    ways = [name for name in ("signing_secret", "app_token") if getattr(section, name) is not None]
    if not ways:
        seen = "none: approvals are given in the console or by `oncall-agent approve`"
        yield Check(_NAME, Grade.NOTE, seen, "set slack.signing_secret or slack.app_token (docs/slack.md)")
        return
    yield from _secret(section)
    yield from _socket(section)
    needed = dict(_needed(config, section))
    yield from _scopes(needed, scopes)
    if not needed and not any(each.slack for each in config.people):
        seen = "nobody may press: neither people.slack, people.email nor slack.groups names anybody"
        yield Check(_NAME, Grade.NOTE, seen, "name people in config.yaml (docs/people.md)")


def _secret(section: Slack) -> Iterator[Check]:
    if section.signing_secret is None:
        return
    try:
        section.signing_secret.resolve()
    except ValueError as error:
        yield Check(_NAME, Grade.BAD, f"slack.signing_secret: {error}; every press is refused", "set it")
        return
    yield Check(
        _NAME, Grade.OK, "by HTTP; that the secret is the app's own is only proved by the first press"
    )


def _socket(section: Slack) -> Iterator[Check]:
    """Asked for a connection, which is then not made: nothing is changed by it."""
    if section.app_token is None:
        return
    token = section.app_token.resolve().reveal()
    client = BotClient(section.api_url, token, timeout_s=section.timeout_s)
    try:
        asked(lambda: client.apps_connections_open(app_token=token))
    except ServiceError as error:
        fix = "make an app-level token with the scope connections:write, and enable Socket Mode"
        yield Check(_NAME, Grade.BAD, f"Socket Mode: {error}", fix)
        return
    yield Check(_NAME, Grade.OK, "by Socket Mode")


def _needed(config: Config, section: Slack) -> Iterator[tuple[str, str]]:
    by_email = any(each.email and not each.slack for each in config.people)
    if by_email or section.groups:
        yield "users:read", "to know guests, bots and strangers"
    if by_email:
        yield "users:read.email", "to know people by people.email"
    if section.groups:
        yield "usergroups:read", "to know who is in slack.groups"


def _scopes(needed: Mapping[str, str], scopes: frozenset[str] | None) -> Iterator[Check]:
    for scope, purpose in needed.items():
        if scopes is not None and scope not in scopes:
            yield Check(_NAME, Grade.BAD, f"the bot token lacks the scope {scope} ({purpose})", _FIX)
    if scopes is not None and "commands" not in scopes:
        yield Check(_NAME, Grade.NOTE, "the app lacks the scope commands: there is no /oncall", _FIX)
