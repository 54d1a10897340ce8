"""What `doctor` says of the queue: whether each routing rule leads to somebody, and mail is taken."""

from __future__ import annotations

from collections.abc import Iterator

from agent.cli.checks import Check, Grade
from agent.config import Config
from agent.domain.errors import ServiceError
from agent.domain.outbox import Channel
from agent.escalations.entering import Queueing
from agent.escalations.routing import Rule
from agent.escalations.settings import queueing_of


def queue_checks(config: Config) -> Iterator[Check]:
    """The rules, then the mail server."""
    queueing = queueing_of(config)
    rules = len(config.escalation.routing)
    seen = f"{rules} routing rule(s)" if rules else "no routing rules: every escalation is for team:on-call"
    yield Check("escalations", Grade.OK, seen)
    for rule in queueing.rules if rules else ():
        yield from _rule(queueing, rule)
    if config.mail is not None:
        yield _mail(config)


def _rule(queueing: Queueing, rule: Rule) -> Iterator[Check]:
    for target in filter(None, (rule.route_to, rule.on_breach)):
        if not queueing.is_target(target):
            seen = f"the rule {rule.name} names {target}, who is not in people"
            yield Check("escalations", Grade.BAD, seen, "add them, or write team:NAME or an address")
    texts = (rule.route_to, rule.channel, rule.on_breach)
    if any(text.startswith("slack:") for text in texts) and Channel.NOTICE not in queueing.channels:
        seen = f"the rule {rule.name} tells a channel of Slack, and there is no bot to tell it"
        yield Check("escalations", Grade.BAD, seen, "set slack.bot_token")
    by_mail = [text for text in (rule.route_to, rule.on_breach) if text and _is_mailed(rule, text)]
    if by_mail and Channel.MAIL not in queueing.channels:
        seen = f"the rule {rule.name} tells by e-mail, and no server takes any"
        yield Check("escalations", Grade.BAD, seen, "add a mail section")
    for target in by_mail:
        if not queueing.addresses(target):
            seen = f"the rule {rule.name} tells {target} by e-mail, and nobody of them has an address"
            yield Check("escalations", Grade.BAD, seen, "give somebody of people an email and the team")


def _is_mailed(rule: Rule, target: str) -> bool:
    if target.startswith(("pagerduty:", "slack:")):
        return False
    return rule.channel == "email" or "@" in target


def _mail(config: Config) -> Check:
    from agent.wiring import mailer_of

    try:
        mailer = mailer_of(config)
        if mailer is not None:
            mailer.check()
    except (ServiceError, ValueError, OSError) as error:
        return Check("mail", Grade.BAD, str(error), "check mail.host, port, security, username and password")
    return Check("mail", Grade.OK, f"{config.mail.host if config.mail else ''} takes mail of ours")
