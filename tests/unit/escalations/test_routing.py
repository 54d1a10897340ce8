"""Whose an escalation is."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.queue import Rank
from agent.escalations.routing import Criteria, Hours, Rule, Subject, route

#: Hypothesis takes bounds without a zone.
FROM, TO = datetime(2024, 1, 1), datetime(2028, 1, 1)  # noqa: DTZ001

NOON = datetime(2026, 10, 21, 12, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
WEEK = frozenset(range(5))

RULES = (
    Rule("critical", Criteria(severity=(Rank.CRITICAL,)), "compliance-senior@example.com", "pagerduty"),
    Rule("health data", Criteria(policy_rule=("phi-*",)), "team:healthcare", "slack:#hipaa"),
    Rule("customers", Criteria(consumer_group=("external",), team=("sales", "support")), "team:success"),
    Rule("catch-all", Criteria(), "team:default-reviewers", "email"),
)


def named(subject: Subject, rules: tuple[Rule, ...] = RULES) -> str:
    return route(rules, subject, NOON).rule.name


@pytest.mark.parametrize(
    ("subject", "rule"),
    [
        (Subject("no_match", Rank.CRITICAL, policy_rule="phi-detection"), "critical"),
        (Subject("escalate", Rank.HIGH, policy_rule="PHI-detection"), "health data"),
        (Subject("escalate", Rank.LOW, team="support", consumer_group="external"), "customers"),
        (Subject("escalate", Rank.LOW, team="finance", consumer_group="external"), "catch-all"),
        (Subject("refused", Rank.MEDIUM), "catch-all"),
    ],
)
def test_the_first_rule_that_holds_decides(subject: Subject, rule: str) -> None:
    assert named(subject) == rule


def test_each_rule_that_was_passed_over_says_why() -> None:
    found = route(RULES, Subject("escalate", Rank.LOW, team="finance", consumer_group="external"), NOON)
    assert [(each.rule, each.why) for each in found.passed] == [
        ("critical", "severity is low, the rule wants critical"),
        ("health data", "policy rule is not known, the rule wants phi-*"),
        ("customers", "team is finance, the rule wants sales or support"),
    ]


def test_outside_business_hours_it_goes_to_whoever_is_on_call() -> None:
    office = Hours(WEEK, time(9), time(17), NEW_YORK)
    night = Hours(WEEK, time(9), time(17), NEW_YORK, outside=True)
    rules = (
        Rule("office", Criteria(hours=office), "team:desk"),
        Rule("night", Criteria(hours=night), "team:on-call"),
        RULES[-1],
    )
    subject = Subject("no_match", Rank.HIGH)
    assert route(rules, subject, datetime(2026, 10, 21, 13, 0, tzinfo=UTC)).rule.name == "office"
    assert route(rules, subject, datetime(2026, 10, 21, 12, 59, tzinfo=UTC)).rule.name == "night"
    # the same UTC hour after the clock was set back there
    assert route(rules, subject, datetime(2026, 11, 4, 13, 0, tzinfo=UTC)).rule.name == "night"


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    friday_night = Hours(frozenset({4}), time(22), time(6), ZoneInfo("UTC"))
    assert friday_night.holds(datetime(2026, 10, 24, 3, 0, tzinfo=UTC))
    assert not friday_night.holds(datetime(2026, 10, 23, 3, 0, tzinfo=UTC))
    assert not friday_night.holds(datetime(2026, 10, 24, 6, 0, tzinfo=UTC))


@given(
    st.datetimes(FROM, TO).map(lambda each: each.replace(tzinfo=UTC)),
    st.times(),
    st.times(),
    st.frozensets(st.integers(0, 6)),
)
def test_it_is_always_either_inside_or_outside(
    now: datetime, starts: time, ends: time, days: frozenset[int]
) -> None:
    inside = Hours(days, starts, ends, NEW_YORK)
    outside = Hours(days, starts, ends, NEW_YORK, outside=True)
    assert inside.holds(now) != outside.holds(now)
