"""What `config.yaml` says about the queue, as the queue asks it."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from agent.config import Config
from agent.config.escalation import BusinessHoursSection, HoursSection, RuleSection, clock_time, weekdays
from agent.config.keeptrusts import KeeptrustsTarget
from agent.domain.alert import Severity
from agent.domain.queue import Origin, Rank, rank_of
from agent.escalations.entering import CATCH_ALL, Queueing
from agent.escalations.routing import Criteria, Hours, Rule
from agent.escalations.sla import BusinessHours, NextBusinessDay, Sla
from agent.escalations.tickets import Ticketing


def queueing_of(config: Config) -> Queueing:
    """Whose an escalation is, until when, and on which ways anybody can be told."""
    rules = config.escalation.routing
    pagerduty = config.pagerduty
    return Queueing(
        sla=_sla(config),
        slas=_slas(config),
        rules=tuple(_rule(each) for each in rules) or (CATCH_ALL,),
        people=tuple(each.person() for each in config.people),
        channels=config.channels(),
        pager_targets=frozenset(pagerduty.routing_keys if pagerduty is not None else ()),
        tickets=_ticketing(config),
        pages_url=config.pages_url,
        hooks=frozenset(config.hooks),
        handoffs=frozenset(config.handoff.targets),
    )


def _ticketing(config: Config) -> Ticketing | None:
    section = config.jira
    if section is None:
        return None
    priorities = {rank: section.priorities.of(rank) for rank in Rank}
    return Ticketing(section.project, section.issue_types.escalation, priorities, section.labels)


def _sla(config: Config) -> Sla:
    section, hours = config.escalation.sla, config.escalation.business_hours
    targets: dict[Rank, timedelta] = {rank: getattr(section, rank.value) for rank in Rank}
    if hours is None:
        return Sla(targets)
    return Sla(targets, _working(hours), frozenset(hours.severities))


def _slas(config: Config) -> dict[Origin, Sla]:
    """Keeptrusts' own table, by the clock; only its next business day asks for working hours."""
    section = config.keeptrusts
    if section is None:
        return {}
    hours = config.escalation.business_hours or BusinessHoursSection()
    next_day = NextBusinessDay(_working(hours))
    targets, responses = {}, dict[Rank, timedelta | NextBusinessDay]()
    for severity in Severity:
        target: KeeptrustsTarget = getattr(section.sla, severity.value)
        rank = rank_of(severity, None)
        targets[rank] = target.resolution
        responses[rank] = target.response if isinstance(target.response, timedelta) else next_day
    return {Origin.KEEPTRUSTS: Sla(targets, responses=responses)}


def _working(hours: BusinessHoursSection) -> BusinessHours:
    opens, closes = clock_time(hours.opens), clock_time(hours.closes)
    return BusinessHours(weekdays(hours.days), opens, closes, ZoneInfo(hours.timezone))


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
