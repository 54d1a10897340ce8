"""What `config.yaml` says about the queue, as the queue asks it."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from agent.config import Config
from agent.config.escalation import HoursSection, RuleSection, clock_time, weekdays
from agent.domain.queue import Rank
from agent.escalations.entering import CATCH_ALL, Queueing
from agent.escalations.routing import Criteria, Hours, Rule
from agent.escalations.sla import BusinessHours, Sla


def queueing_of(config: Config) -> Queueing:
    """Whose an escalation is, until when, and on which ways anybody can be told."""
    rules = config.escalation.routing
    pagerduty = config.pagerduty
    return Queueing(
        sla=_sla(config),
        rules=tuple(_rule(each) for each in rules) or (CATCH_ALL,),
        people=tuple(each.person() for each in config.people),
        channels=config.channels(),
        pager_targets=frozenset(pagerduty.routing_keys if pagerduty is not None else ()),
        pages_url=config.pages_url,
    )


def _sla(config: Config) -> Sla:
    section, hours = config.escalation.sla, config.escalation.business_hours
    targets: dict[Rank, timedelta] = {rank: getattr(section, rank.value) for rank in Rank}
    if hours is None:
        return Sla(targets)
    working = BusinessHours(
        weekdays(hours.days), clock_time(hours.opens), clock_time(hours.closes), ZoneInfo(hours.timezone)
    )
    return Sla(targets, working, frozenset(hours.severities))


def _rule(section: RuleSection) -> Rule:
    match = section.match
    return Rule(
        name=section.name,
        criteria=Criteria(
            trigger=match.trigger,
            severity=match.severity,
            runbook=match.runbook,
            policy_rule=match.policy_rule,
            service=match.service,
            team=match.team,
            consumer_group=match.consumer_group,
            hours=_hours(match.hours),
        ),
        route_to=section.route_to,
        channel=section.notification_channel,
        on_breach=section.on_breach,
    )


def _hours(section: HoursSection | None) -> Hours | None:
    if section is None:
        return None
    zone = ZoneInfo(section.timezone)
    starts, ends = clock_time(section.starts), clock_time(section.ends)
    return Hours(weekdays(section.days), starts, ends, zone, section.outside)
