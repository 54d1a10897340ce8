"""*Settings*: what `config.yaml` says about SLA, routing and people, to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, Response

from agent.domain.outbox import Channel
from agent.domain.people import LEAST_ROLE
from agent.domain.queue import Origin, Rank
from agent.escalations.entering import Queueing
from agent.escalations.routing import Criteria, Rule
from agent.escalations.settings import queueing_of
from agent.escalations.sla import BusinessHours, NextBusinessDay
from agent.web.console.words import long

if TYPE_CHECKING:
    from agent.web.app import WebParts
    from agent.web.console.frame import Frame

_WAYS = {
    Channel.PAGER: "pages through PagerDuty",
    Channel.CHAT: "Slack",
    Channel.DESK: "notes in PagerDuty",
    Channel.MAIL: "e-mail",
}


@dataclass(frozen=True, slots=True)
class RuleShown:
    """One routing rule in words."""

    name: str
    when: str
    route_to: str
    channel: str
    on_breach: str


@dataclass(frozen=True, slots=True)
class KeeptrustsTimes:
    """Keeptrusts' own times: (severity, to be answered within, seconds to settle it) and its business day."""

    rows: Sequence[tuple[str, str, float]]
    business_day: str


def add_routes(routes: Blueprint, parts: WebParts, frame: Frame) -> None:
    """One page; nothing is changed here."""

    @routes.get("/settings")
    def settings() -> Response:
        actor = frame.viewer()
        queueing = queueing_of(parts.config)
        sla = queueing.sla
        return frame.page(
            "settings.html",
            actor,
            sla=[(rank.value, sla.targets[rank].total_seconds(), rank in sla.in_hours) for rank in Rank],
            hours=_working(sla.hours) if sla.hours is not None else "",
            keeptrusts=_keeptrusts(queueing),
            rules=[_shown(rule) for rule in queueing.rules],
            people=[each.person() for each in parts.config.people],
            deeds=[(deed.value, role.value) for deed, role in LEAST_ROLE.items()],
            ways=[(words, way in parts.config.channels()) for way, words in _WAYS.items()],
        )


def _keeptrusts(queueing: Queueing) -> KeeptrustsTimes | None:
    sla = queueing.slas.get(Origin.KEEPTRUSTS)
    if sla is None:
        return None
    answered = sla.responses
    days = [each.hours for each in answered.values() if isinstance(each, NextBusinessDay)]
    rows = [(rank.value, _answered(answered[rank]), sla.targets[rank].total_seconds()) for rank in Rank]
    return KeeptrustsTimes(rows, _working(days[0]) if days else "")


def _answered(within: timedelta | NextBusinessDay) -> str:
    return "next business day" if isinstance(within, NextBusinessDay) else long(within.total_seconds())


def _shown(rule: Rule) -> RuleShown:
    return RuleShown(rule.name, _when(rule.criteria), rule.route_to, rule.channel, rule.on_breach)


def _when(criteria: Criteria) -> str:
    asked = {
        "severity": [each.value for each in criteria.severity],
        "trigger": criteria.trigger,
        "runbook": criteria.runbook,
        "policy rule": criteria.policy_rule,
        "service": criteria.service,
        "team": criteria.team,
        "consumer group": criteria.consumer_group,
    }
    said = [f"{name} is {' or '.join(values)}" for name, values in asked.items() if values]
    hours = criteria.hours
    if hours is not None:
        where = "outside of" if hours.outside else "within"
        said.append(f"{where} {_days(hours.days)} {hours.starts:%H:%M}–{hours.ends:%H:%M} {hours.zone.key}")
    return " and ".join(said) or "always"


def _working(hours: BusinessHours) -> str:
    return f"{_days(hours.days)} {hours.opens:%H:%M}–{hours.closes:%H:%M} {hours.zone.key}"


def _days(days: frozenset[int]) -> str:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return ", ".join(name for day, name in enumerate(names) if day in days)
