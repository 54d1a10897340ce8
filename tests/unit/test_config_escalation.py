"""`escalation:` and `mail:`: what is understood, and what is refused with words that say the way out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.config import parse
from agent.domain.errors import ConfigError
from agent.domain.queue import Rank
from agent.escalations.entering import CATCH_ALL
from agent.escalations.routing import Subject
from agent.escalations.settings import queueing_of

REST = {
    "name": "rest",
    "match": {"any": True},
    "route_to": "team:default-reviewers",
    "notification_channel": "email",
}
PUBLISHED = [
    {
        "name": "Critical to senior compliance",
        "match": {"severity": "critical"},
        "route_to": "compliance-senior@example.com",
        "notification_channel": "pagerduty",
    },
    {
        "name": "PHI violations to healthcare team",
        "match": {"policy_rule": "phi-detection"},
        "route_to": "team:healthcare-compliance",
        "notification_channel": "slack:#hipaa-escalations",
    },
    REST,
]
NOW = datetime(2026, 1, 5, 4, 17, tzinfo=UTC)


def problem(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(sections, path="config.yaml")
    return str(caught.value)


def test_the_published_configuration_is_understood_word_for_word() -> None:
    queueing = queueing_of(parse({"escalation_routing": {"rules": PUBLISHED}}, path="config.yaml"))
    asked = [
        Subject("x", Rank.CRITICAL, policy_rule="phi-detection"),
        Subject("x", Rank.HIGH, policy_rule="phi-detection"),
        Subject("x", Rank.LOW),
    ]
    found = [queueing.route_of(each, "", NOW).rule for each in asked]
    assert [rule.route_to for rule in found] == [rule["route_to"] for rule in PUBLISHED]
    assert [rule.channel for rule in found] == ["pagerduty", "slack:#hipaa-escalations", "email"]


def test_times_are_the_published_ones_by_default_and_ones_own_where_written() -> None:
    sla = queueing_of(parse({"escalation": {"sla": {"high": "90m"}}}, path="config.yaml")).sla
    minutes = [sla.targets[rank] / timedelta(minutes=1) for rank in Rank]
    assert minutes == [15, 90, 240, 1440]


def test_business_hours_stop_the_clock_of_the_ranks_they_name() -> None:
    hours = {"days": ["mon"], "opens": "09:00", "closes": "17:00", "severities": "low"}
    sla = queueing_of(parse({"escalation": {"business_hours": hours}}, path="config.yaml")).sla
    assert sla.deadline(Rank.LOW, NOW) == datetime(2026, 1, 19, 17, tzinfo=UTC)
    assert sla.deadline(Rank.HIGH, NOW) == NOW + timedelta(hours=1)


def test_without_rules_everything_is_for_the_on_call() -> None:
    assert queueing_of(parse({}, path="config.yaml")).rules == (CATCH_ALL,)


@pytest.mark.parametrize(
    ("routing", "words"),
    [
        (PUBLISHED[:1], "does not hold for everything"),
        ([REST, PUBLISHED[0]], "does not hold for everything"),
        ([REST, {**REST, "name": "more"}], "none below it is ever asked"),
        ([{**REST, "name": "Rest", "match": {"service": "x"}}, REST], "two rules are called"),
        ([{**REST, "match": {}}], "says nothing"),
        ([{**REST, "match": {"any": True, "service": "x"}}], "any: true holds for everything"),
        ([{**REST, "route_to": "trello:X"}], "is no target"),
        ([{**REST, "route_to": "jira:X"}], "add a jira section"),
        ([{**REST, "notification_channel": "jira"}], "add a jira section"),
        ([{**REST, "route_to": "slack:general"}], "is no channel"),
        ([{**REST, "notification_channel": "sms"}], "no way to tell anybody"),
        ([{**REST, "route_to": "pagerduty:payments"}], "add payments to pagerduty.routing_keys"),
        ([{**REST, "match": {"severity": "grave"}}], "critical"),
    ],
)
def test_rules_that_could_lose_an_escalation_are_refused(routing: list[dict[str, Any]], words: str) -> None:
    assert words in problem(escalation={"routing": routing})


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"escalation": {"sla": {"high": "soon"}}}, "write 15m"),
        ({"escalation": {"sla": {"high": "0m"}}}, "more than nothing"),
        ({"escalation": {"business_hours": {"opens": "17:00", "closes": "09:00"}}}, "exchange them"),
        ({"escalation_routing": PUBLISHED}, "write escalation_routing: {rules"),
        ({"escalation_routing": {"rules": [REST]}, "escalation": {"routing": [REST]}}, "keep one of them"),
        ({"mail": {"host": "smtp.example.com", "security": "none"}}, "loopback"),
        ({"mail": {"host": "smtp.example.com", "username": "x"}}, "both username and password"),
        ({"pagerduty": {"routing_keys": {"x": {"env": "X"}}}}, "routing_key is missing"),
        ({"mail": {"host": "smtp.example.com", "username": "x", "password": "plain"}}, "reference"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_way_out(sections: dict[str, Any], words: str) -> None:
    assert words in problem(**sections)
