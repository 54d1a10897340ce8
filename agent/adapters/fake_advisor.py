"""An advisor that says what a test has prepared, held to the same form as the real one."""

from __future__ import annotations

from agent.domain.advice import Advice, AdviceRequest, NoAdvice, NoAdviceReason, WhyNotAllowed, checked


class FakeAdvisor:
    """Implements ports.Advisor: prepared answers in order; then it cannot be reached."""

    def __init__(self, *answers: Advice | NoAdvice, why_not_allowed: WhyNotAllowed) -> None:
        self.answers = list(answers)
        self.asked: list[AdviceRequest] = []
        self._why_not_allowed = why_not_allowed

    def advise(self, request: AdviceRequest) -> Advice | NoAdvice:
        """The next prepared answer, if it is one to this question."""
        self.asked.append(request)
        if not self.answers:
            return NoAdvice(NoAdviceReason.UNREACHABLE, "no answer is prepared")
        answer = self.answers.pop(0)
        if isinstance(answer, NoAdvice):
            return answer
        return checked(request, answer, self._why_not_allowed)
