from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from cattrs.errors import ClassValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters import codec
from agent.domain.alert import Alert
from agent.domain.decisions import Attempt, Completed, Execution, Match, Plan, PlannedStep, StandDown, Stopped
from agent.domain.expectation import Check, Expectation
from agent.domain.outbox import Message
from agent.domain.source_event import SourceEvent

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

st.register_type_strategy(float, NUMBERS)
st.register_type_strategy(object, JSON)

TIMES = st.datetimes(timezones=st.just(UTC))
STEPS = st.lists(st.from_type(PlannedStep), max_size=1).map(tuple)
ALERTS = st.builds(Alert, fired_at=st.none() | TIMES)


def survives(value: object, of_type: Any) -> None:
    text = codec.dump(value, of_type)
    loaded = codec.load(text, of_type)
    assert loaded == value
    assert type(loaded) is type(value)
    assert codec.dump(loaded, of_type) == text


@given(ALERTS)
def test_an_alert_survives_the_store(alert: Alert) -> None:
    survives(alert, Alert)


@given(st.builds(SourceEvent, alert=st.none() | ALERTS, occurred_at=st.none() | TIMES))
def test_a_webhook_survives_the_store(event: SourceEvent) -> None:
    survives(event, SourceEvent)


@given(st.builds(Attempt, duration_s=NUMBERS))
def test_an_attempt_survives_the_journal(attempt: Attempt) -> None:
    survives(attempt, Attempt)


@settings(max_examples=40, deadline=None)
@given(st.builds(Plan, steps=STEPS, verify=st.just(()), rollback=STEPS))
def test_a_plan_survives_the_store_word_by_word(plan: Plan) -> None:
    survives(plan, Plan)


@given(st.from_type(Match))
def test_a_match_survives_with_its_case(match: Match) -> None:
    survives(match, Match)


@given(st.from_type(Completed) | st.from_type(Stopped) | st.from_type(StandDown))
def test_an_execution_survives_with_its_case(end: Execution) -> None:
    survives(end, Execution)


@given(st.none() | st.from_type(StandDown))
def test_nobody_having_taken_over_survives_too(taken: StandDown | None) -> None:
    survives(taken, StandDown | None)


@settings(deadline=None)
@given(st.from_type(Message))
def test_a_message_survives_the_outbox(message: Message) -> None:
    survives(message, Message)


@settings(max_examples=40, deadline=None)
@given(st.from_type(Check).map(lambda check: Expectation("as written", check)))
def test_an_expectation_survives_however_deep(expectation: Expectation) -> None:
    survives(expectation, Expectation)


@given(ALERTS)
def test_the_same_value_is_always_the_same_text(alert: Alert) -> None:
    shuffled = replace(alert, labels=dict(reversed(alert.labels.items())))
    assert codec.dump(shuffled) == codec.dump(alert)


def test_a_word_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(ClassValidationError):
        codec.load('{"source": "x", "source_id": "1", "title": "t", "severity": "terrible"}', Alert)
