"""Whose is it: rules in order, the first that holds decides, and the last one holds for everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from agent.domain.queue import Rank


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of the week by the zone's clock; `outside` turns it round. An end before the start is the next
    day's: 22:00 to 06:00 belongs to the day on which it begins."""

    days: frozenset[int]
    starts: time
    ends: time
    zone: ZoneInfo
    outside: bool = False

    def holds(self, now: datetime) -> bool:
        """Whether it is such a time."""
        return self._is_within(now.astimezone(self.zone)) != self.outside

    def _is_within(self, local: datetime) -> bool:
        clock, today = local.time(), local.weekday()
        if self.starts < self.ends:
            return today in self.days and self.starts <= clock < self.ends
        yesterday = (today - 1) % 7
        return (today in self.days and clock >= self.starts) or (yesterday in self.days and clock < self.ends)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule may ask about."""

    trigger: str
    rank: Rank
    runbook: str = ""
    policy_rule: str = ""
    service: str = ""
    team: str = ""
    consumer_group: str = ""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What has to hold, all of it; an empty list asks nothing. Texts compare without case, `*` is a glob."""

    trigger: tuple[str, ...] = ()
    severity: tuple[Rank, ...] = ()
    runbook: tuple[str, ...] = ()
    policy_rule: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    consumer_group: tuple[str, ...] = ()
    hours: Hours | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom an escalation goes to, how they are told, and who gets it when its time is over."""

    name: str
    criteria: Criteria
    route_to: str
    channel: str = ""
    on_breach: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """A rule that did not hold, and why."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where it goes, and which rules were asked before."""

    rule: Rule
    passed: tuple[Passed, ...] = field(default=())


def route(rules: Sequence[Rule], subject: Subject, now: datetime) -> Route:
    """The first rule that holds; the last one of a valid list always does."""
    passed: list[Passed] = []
    for rule in rules:
        why = why_not(rule.criteria, subject, now)
        if not why:
            return Route(rule, tuple(passed))
        passed.append(Passed(rule.name, why))
    raise ValueError("no routing rule holds for everything; the configuration refuses such a list")


def why_not(criteria: Criteria, subject: Subject, now: datetime) -> str:
    """The first criterion that does not hold, in words; "" if all hold."""
    if criteria.severity and subject.rank not in criteria.severity:
        return f"severity is {subject.rank}, the rule wants {_either(criteria.severity)}"
    asked = {
        "trigger": (criteria.trigger, subject.trigger),
        "runbook": (criteria.runbook, subject.runbook),
        "policy rule": (criteria.policy_rule, subject.policy_rule),
        "service": (criteria.service, subject.service),
        "team": (criteria.team, subject.team),
        "consumer group": (criteria.consumer_group, subject.consumer_group),
    }
    for name, (wanted, found) in asked.items():
        if wanted and not _is_any(found, wanted):
            return f"{name} is {found or 'not known'}, the rule wants {_either(wanted)}"
    if criteria.hours is not None and not criteria.hours.holds(now):
        return f"it is {now.astimezone(criteria.hours.zone):%a %H:%M} there, not the rule's time"
    return ""


def _is_any(found: str, wanted: Sequence[str]) -> bool:
    return any(fnmatchcase(found.casefold(), each.casefold()) for each in wanted)


def _either(wanted: Sequence[str]) -> str:
    return " or ".join(wanted)
