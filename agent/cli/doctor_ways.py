"""What `doctor` says of mail templates, hooks and other agents; nothing is posted to try them."""

from __future__ import annotations

from collections.abc import Iterator

from agent.adapters.mail_templates import MailTemplates
from agent.cli.checks import Check, Grade
from agent.config import Config
from agent.domain.errors import ConfigError, ServiceError


def ways_checks(config: Config) -> Iterator[Check]:
    """Templates, hooks, agents."""
    folder = config.notifications.templates
    if folder is not None:
        problems = list(MailTemplates(folder).problems())
        for name, words in problems:
            fix = "mend it; until then the shipped one is sent"
            yield Check("template", Grade.BAD, f"{folder}/{name}: {words}", fix)
        if not problems:
            yield Check("template", Grade.OK, f"{folder}: tried with an example")
    if config.hooks:
        yield _hooks(config)
    if config.handoff.targets or config.handoff.accept_from:
        yield _agents(config)


def _hooks(config: Config) -> Check:
    from agent.wiring import hooks_of

    try:
        names = ", ".join(hooks_of(config))
    except (ConfigError, ServiceError, ValueError, OSError) as error:
        return Check("hooks", Grade.BAD, str(error), "check hooks in config.yaml")
    used = {text for rule in config.escalation.routing for text in _texts(rule)}
    idle = [name for name in config.hooks if f"hook:{name}" not in used]
    seen = f"{names}; each is only proved by its first message"
    if idle:
        return Check("hooks", Grade.NOTE, f"{seen}; no rule tells {', '.join(idle)}", "name it in a rule")
    return Check("hooks", Grade.OK, seen)


def _texts(rule: object) -> Iterator[str]:
    for name in ("route_to", "notification_channel", "on_breach"):
        yield str(getattr(rule, name))


def _agents(config: Config) -> Check:
    from agent.wiring import agents_of

    handoff = config.handoff
    try:
        agents_of(config)
    except (ConfigError, ServiceError, ValueError, OSError) as error:
        return Check("handoff", Grade.BAD, str(error), "check handoff in config.yaml")
    asks = [f"{name} (until {each.deadline})" for name, each in handoff.targets.items()]
    words = [
        f"this agent is {handoff.name}",
        f"asks {', '.join(asks)}" if asks else "asks nobody",
        f"takes from {', '.join(handoff.accept_from)}" if handoff.accept_from else "takes from nobody",
    ]
    return Check("handoff", Grade.OK, "; ".join(words))
