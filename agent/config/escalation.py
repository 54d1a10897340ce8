"""`escalation:` in `config.yaml`: when a human is called, whose it is, until when, and how they are told.

{sla: {critical: 15m, high: 1h, medium: 4h, low: 24h},
 business_hours: {days: [mon, tue, wed, thu, fri], opens: "09:00", closes: "17:00", timezone: Europe/Berlin,
                  severities: [medium, low]},
 routing: [{name: payments, match: {service: payments-*}, route_to: team:payments,
            notification_channel: "slack:#payments", on_breach: team:on-call},
           {name: rest, match: {any: true}, route_to: team:on-call}]}
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from datetime import time, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agent.config.base import Section
from agent.config.calendar import DAY_OF, Moment, day_name, zone_name
from agent.domain.queue import Rank

_DURATION = re.compile(r"([0-9]{1,6})\s*(s|m|h|d)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

#: An SLA longer than this is no SLA; it also keeps every deadline within what a date can say.
_LONGEST = timedelta(days=366)

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is no time; write 15m, 1h or 2d")
    span = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta() < span <= _LONGEST:
        raise ValueError(f"{value!r} must be more than nothing and at most {_LONGEST.days}d")
    return span


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{text!r} is no time of day; write 09:00 (up to 23:59)")
    return text


def _many(value: object) -> object:
    """One word stands for a list of one."""
    return (value,) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
ClockTime = Annotated[Moment, AfterValidator(_clock)]
Day = Annotated[str, AfterValidator(day_name)]
Zone = Annotated[str, AfterValidator(zone_name)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_many)]
Ranks = Annotated[tuple[Rank, ...], BeforeValidator(_many)]

_WORKDAYS = ("mon", "tue", "wed", "thu", "fri")


def clock_time(text: str) -> time:
    """`09:00` as a time of day."""
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute))


def weekdays(names: tuple[str, ...]) -> frozenset[int]:
    """Weekdays as numbers; 0 is Monday."""
    return frozenset(DAY_OF[name] for name in names)


class SlaSection(Section):
    """The time to settle an escalation of each severity."""

    critical: Duration = timedelta(minutes=15)
    high: Duration = timedelta(hours=1)
    medium: Duration = timedelta(hours=4)
    low: Duration = timedelta(hours=24)


class BusinessHoursSection(Section):
    """For these severities the time runs in working hours alone."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = _WORKDAYS
    opens: ClockTime = "09:00"
    closes: ClockTime = "17:00"
    timezone: Zone = "UTC"
    severities: Annotated[Ranks, Field(min_length=1)] = (Rank.MEDIUM, Rank.LOW)

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> BusinessHoursSection:
        if clock_time(self.opens) >= clock_time(self.closes):
            raise ValueError(f"closes ({self.closes}) is not after opens ({self.opens}); exchange them")
        return self


class HoursSection(Section):
    """A part of the week; `outside` turns it round."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = _WORKDAYS
    starts: ClockTime
    ends: ClockTime
    timezone: Zone = "UTC"
    outside: bool = False

    @model_validator(mode="after")
    def _lasts(self) -> HoursSection:
        if clock_time(self.starts) == clock_time(self.ends):
            raise ValueError("starts and ends are the same time; for whole days write 00:00 and 23:59")
        return self


class MatchSection(Section):
    """What has to hold for a rule; a list holds if one of its words does, `*` stands for anything."""

    any: Literal[True] | None = None
    trigger: Texts = ()
    severity: Ranks = ()
    runbook: Texts = ()
    policy_rule: Texts = ()
    service: Texts = ()
    team: Texts = ()
    consumer_group: Texts = ()
    hours: HoursSection | None = None

    @property
    def asks(self) -> bool:
        """Whether anything at all has to hold."""
        return any(getattr(self, name) for name in type(self).model_fields if name != "any")

    @model_validator(mode="after")
    def _says_one_thing(self) -> MatchSection:
        if self.any and self.asks:
            raise ValueError("any: true holds for everything; remove it, or what stands beside it")
        if not self.any and not self.asks:
            raise ValueError("says nothing; write any: true for a rule that holds for everything")
        return self


def _target(text: str) -> str:
    kind, colon, name = text.partition(":")
    if kind in ("team", "pagerduty", "hook", "handoff", "jira") and colon:
        if not name:
            raise ValueError(f"{text!r} names nobody; write {kind}:NAME")
    elif kind == "slack" and colon:
        if not name.startswith("#") or len(name) < 2:
            raise ValueError(f"{text!r} is no channel; write slack:#channel")
    elif colon:
        raise ValueError(
            f"{text!r} is no target; write a person of `people`, team:NAME, pagerduty:NAME, slack:#channel, "
            "hook:NAME, handoff:NAME, jira:PROJECT or an address"
        )
    return text


_NAMED_WAYS = ("pagerduty:", "slack:", "hook:", "handoff:", "jira:")


_NAMED_WAYS = ("pagerduty:", "slack:", "hook:", "handoff:", "jira:")


def _channel(text: str) -> str:
    if text in ("", "pagerduty", "email", "jira") or text.startswith(_NAMED_WAYS):
        return _target(text) if ":" in text else text
    raise ValueError(
        f"{text!r} is no way to tell anybody; write pagerduty, slack:#channel, hook:NAME, "
        "handoff:NAME, jira:PROJECT or email"
    )


Target = Annotated[Text, AfterValidator(_target)]


class RuleSection(Section):
    """Whose an escalation is; the first rule that holds decides."""

    name: Text
    match: MatchSection
    route_to: Target
    notification_channel: Annotated[str, AfterValidator(_channel)] = ""
    on_breach: Annotated[str, AfterValidator(_target)] = ""

    @model_validator(mode="after")
    def _breaches_call_people(self) -> RuleSection:
        if self.on_breach.startswith("handoff:"):
            raise ValueError(
                f"on_breach: {self.on_breach} would give what is late to a machine; name people, team:NAME"
            )
        return self


def checked_rules(rules: tuple[RuleSection, ...]) -> tuple[RuleSection, ...]:
    """Rules of which the last one, and no other, holds for everything."""
    if not rules:
        return rules
    names = [rule.name.casefold() for rule in rules]
    twice = next((rule.name for rule in rules if names.count(rule.name.casefold()) > 1), None)
    if twice is not None:
        raise ValueError(f"two rules are called {twice}; give each its own name")
    if not rules[-1].match.any:
        raise ValueError(
            f"the last rule ({rules[-1].name}) does not hold for everything: some would be nobody's; "
            "add {name: rest, match: {any: true}, route_to: team:on-call} below it"
        )
    early = next((rule.name for rule in rules[:-1] if rule.match.any), None)
    if early is not None:
        raise ValueError(f"the rule {early} holds for everything: none below it is ever asked; put it last")
    return rules


Rules = Annotated[tuple[RuleSection, ...], AfterValidator(checked_rules)]


def one_spelling(data: object) -> object:
    """Keeptrusts writes `escalation_routing: {rules: [...]}`, we `escalation: {routing: [...]}`."""
    if not isinstance(data, dict) or "escalation_routing" not in data:
        return data
    given, section = data["escalation_routing"], data.get("escalation") or {}
    if not isinstance(given, dict) or set(given) != {"rules"} or not isinstance(section, dict):
        raise ValueError("escalation_routing holds rules alone: write escalation_routing: {rules: [...]}")
    if "routing" in section:
        raise ValueError("escalation.routing and escalation_routing.rules are the same; keep one of them")
    rest = {name: value for name, value in data.items() if name != "escalation_routing"}
    return rest | {"escalation": {**section, "routing": given["rules"]}}


def reaches_nobody(rules: tuple[RuleSection, ...], known: Mapping[str, tuple[Container[str], str]]) -> str:
    """Which rule names what is not configured, in words; "" if none does.

    `known`: of each kind of target the names that there are, and where they are written.
    """
    for rule in rules:
        for text in (rule.route_to, rule.notification_channel, rule.on_breach):
            kind, _, name = text.partition(":")
            if kind == "jira" and "jira" not in known:
                return f"the rule {rule.name} names {text}: add a jira section"
            names, where = known.get(kind, ((), ""))
            if where and name and name not in names:
                return f"the rule {rule.name} names {text}: add {name} to {where}"
    return ""
