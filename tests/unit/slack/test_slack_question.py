"""A question's blocks: inside Slack's limits whatever stands in it, and buttons that say what they answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.slack_question import Pressed, pressed, question_message
from agent.domain.presses import Button, PressAction
from agent.ports import QuestionCard
from agent.simulators.slack_blocks import blocks_error, readable, screen_text

CARD = QuestionCard(
    incident_id="inc-1",
    title="Approval needed",
    question="Redis connection timeout",
    facts=(("Runbook", "redis-timeout"), ("Blast radius", "max_cache_operations: asks for 1 of 1, 0 left")),
    runs="steps 1: redis-cli FLUSHDB  [1 × cache_operation]",
    expires_at=datetime(2026, 1, 5, 4, 30, tzinfo=UTC),
    buttons=(
        Button(PressAction.APPROVE, "Approve", "ab" * 32, is_first=True),
        Button(PressAction.TAKE_OVER, "Take over"),
    ),
    hint="Or type /oncall approve inc-1",
    url="http://localhost:8080/console/incidents/inc-1",
)


def shown(card: QuestionCard) -> str:
    return readable(screen_text(question_message(card).blocks))


def elements(card: QuestionCard) -> list[dict]:
    return [
        each
        for block in question_message(card).blocks
        if block["type"] == "actions"
        for each in block["elements"]
    ]


def test_it_shows_what_will_run_word_by_word_what_it_changes_and_until_when():
    text = shown(CARD)
    assert "steps 1: redis-cli FLUSHDB  [1 × cache_operation]" in text
    assert "asks for 1 of 1, 0 left" in text
    assert "!date^1767587400^{date_short_pretty} {time_secs}|2026-01-05 04:30:00 UTC" in text
    assert "/oncall approve inc-1" in text


def test_a_button_that_comes_back_says_what_it_is_the_answer_to():
    approve, take_over = elements(CARD)
    assert pressed(approve["action_id"], approve["value"]) == Pressed(PressAction.APPROVE, "inc-1", "ab" * 32)
    assert pressed(take_over["action_id"], take_over["value"]) == Pressed(PressAction.TAKE_OVER, "inc-1", "")
    assert approve["style"] == "primary"
    assert "style" not in take_over


@pytest.mark.parametrize(
    ("action_id", "value"),
    [
        ("approve", '{"i":"inc-1"}'),
        ("oncall:delete_all:0", '{"i":"inc-1"}'),
        ("oncall:approve:0", ""),
        ("oncall:approve:0", "no json"),
        ("oncall:approve:0", "[]"),
        ("oncall:approve:0", '{"i": 7}'),
        ("oncall:approve:0", '{"i": "inc-1", "a": ["x"]}'),
        ("oncall:approve:0", "[" * 100_000),
        ("", ""),
    ],
)
def test_what_is_no_button_of_ours_means_nothing(action_id, value):
    assert pressed(action_id, value) is None


def test_what_is_over_says_how_and_has_no_buttons():
    card = replace(CARD, outcome="👍 Approved by alice (by Slack)", buttons=())
    assert "Approved by alice" in shown(card)
    assert "Expires" not in shown(card)
    assert elements(card) == []


def test_a_plan_that_does_not_fit_says_how_much_is_missing():
    card = replace(CARD, runs="\n".join(f"steps {n}: redis-cli DEL {'k' * 60}" for n in range(200)))
    assert "more commands are not shown here: read the whole plan before a yes" in shown(card)


HOSTILE = st.text(alphabet=st.sampled_from("<!@&>`*|\\\n x\ud800\u202e💥"), max_size=4_000)


@given(text=HOSTILE, count=st.integers(0, 30))
def test_slack_takes_the_card_whatever_stands_in_it(text, count):
    card = replace(
        CARD,
        title=text,
        question=text,
        facts=tuple((text[:200], text) for _ in range(count)),
        runs=text * 3,
        outcome=text if count == 1 else "",
        buttons=tuple(Button(PressAction.CHOOSE, text, text[:200]) for _ in range(count)),
        hint=text,
    )
    message = question_message(card)
    assert blocks_error(list(message.blocks)) == ("", ())
    assert 0 < len(message.text) <= 4_000
    assert "<!" not in screen_text(message.blocks).replace("<!date^", "")
