"""What a model writes of an incident: words, and no number that it was not given."""

from __future__ import annotations

import pytest

from agent.domain.advice import NoAdvice, NoAdviceReason
from agent.domain.prose import MAX_CHARS, Prose, ProseRequest, checked_prose, numbers_in

FACTS = '{"duration": "1m 43s", "blocked": "5,602", "share": "45%", "timeline": ["04:17:23 two steps ran"]}'


def said(text: str) -> Prose | NoAdvice:
    return checked_prose(ProseRequest(FACTS), Prose(text, "a-model"))


@pytest.mark.parametrize(
    "text",
    [
        "It was over after 1m 43s.",
        "5602 requests (45%) were blocked; two steps ran at 04:17:23.",
        "Nothing is counted here.",
    ],
)
def test_numbers_of_the_facts_may_be_said(text: str) -> None:
    assert said(text) == Prose(text, "a-model")


@pytest.mark.parametrize(
    "text",
    [
        "It cost 48731 dollars.", "46% were blocked.", "It began at 04:17.", "Three steps ran.",
        "Dozens of users.", "Half of the users.", "４６ users.", "²³ users.", "٤٢ users.",
        "The block rate doubled.", "1,43 s",
    ],
)  # fmt: skip
def test_any_other_number_makes_it_be_dropped(text: str) -> None:
    found = said(text)
    assert isinstance(found, NoAdvice)
    assert found.reason is NoAdviceReason.BAD_ANSWER


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "word " * MAX_CHARS])
def test_nothing_and_too_much_are_no_summary(text: str) -> None:
    assert isinstance(said(text), NoAdvice)


def test_what_cannot_be_seen_is_taken_out() -> None:
    found = said("It \u202ewas\x1b[31m over\nin the end.")
    assert isinstance(found, NoAdvice)  # 31 is a number that nobody gave
    assert said("It \u202ewas\nover.") == Prose("It was over.", "a-model")


def test_one_spelling_of_a_number_is_one_number() -> None:
    assert numbers_in("5,602 of 12,450") == {"5602", "12450"}
