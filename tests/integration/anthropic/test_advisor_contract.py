"""One contract for the fake and the real advisor."""

from __future__ import annotations

import pytest

from agent.adapters.fake_advisor import FakeAdvisor
from agent.domain.advice import Advice, NoAdvice, NoAdviceReason
from agent.library.bindings import why_not_allowed
from agent.simulators.anthropic import Scripted, message_body
from agent.simulators.anthropic_minds import Spoken
from agent.simulators.anthropic_requests import Asked


class Real:
    def __init__(self, llm, advisor):
        self._llm, self.advisor = llm, advisor

    def prepare(self, advice):
        said = {
            "candidate": advice.candidate or "none",
            "confidence": advice.confidence,
            "reason": advice.reason,
            "parameters": dict(advice.parameters),
        }
        self._llm.say(Scripted(message_body(Asked("m", "", "", {}), Spoken(said))))


class Fake:
    def __init__(self):
        self.advisor = FakeAdvisor(why_not_allowed=why_not_allowed)

    def prepare(self, advice):
        self.advisor.answers.append(advice)


@pytest.fixture(params=["fake", "real"])
def side(request, llm, advisor):
    return Fake() if request.param == "fake" else Real(llm, advisor)


GOOD = [
    Advice("c1", 0.0, ""),
    Advice("c1", 1.0, "because", {"pod": "cache-7", "zone": "b"}),
    Advice("c2", 0.5, "because", {"zone": "a"}),
    Advice("", 0.7, "nothing fits"),
]


@pytest.mark.parametrize("advice", GOOD)
def test_an_answer_to_the_question_comes_back_as_it_was_said(side, ask, advice):
    side.prepare(advice)
    answer = side.advisor.advise(ask)
    assert isinstance(answer, Advice)
    assert (answer.candidate, answer.confidence, answer.reason) == (
        advice.candidate, advice.confidence, advice.reason,
    )  # fmt: skip
    assert dict(answer.parameters) == dict(advice.parameters)


BAD = [
    (Advice("c9", 0.5), NoAdviceReason.NOT_OFFERED),
    (Advice("C1", 0.5), NoAdviceReason.NOT_OFFERED),
    (Advice("c1", 1.5), NoAdviceReason.OUT_OF_RANGE),
    (Advice("c2", 0.5, "", {"pod": "x"}), NoAdviceReason.EXTRA_PARAMETER),
    (Advice("c1", 0.5, "", {"pod": "$(id)"}), NoAdviceReason.BAD_PARAMETER),
]


@pytest.mark.parametrize(("advice", "reason"), BAD)
def test_what_does_not_answer_it_is_no_advice_for_the_same_reason(side, ask, advice, reason):
    side.prepare(advice)
    answer = side.advisor.advise(ask)
    assert isinstance(answer, NoAdvice)
    assert answer.reason is reason


def test_a_long_reason_of_many_lines_becomes_one_short_line(side, ask):
    side.prepare(Advice("c1", 0.5, "a\n" * 1_000))
    reason = side.advisor.advise(ask).reason
    assert reason.startswith("a a")
    assert len(reason) <= 300
    assert reason.isprintable()


def test_a_fake_without_answers_cannot_be_reached(ask):
    assert FakeAdvisor(why_not_allowed=why_not_allowed).advise(ask).reason is NoAdviceReason.UNREACHABLE
