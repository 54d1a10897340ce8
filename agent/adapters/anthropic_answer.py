"""Reads an answer of the Messages API: exactly the form that was asked for, or no advice."""

from __future__ import annotations

from collections.abc import Mapping

from agent.adapters.anthropic_prompt import LEFT_OPEN, NONE
from agent.adapters.json_view import child, items_at, text_at
from agent.domain.advice import Advice, AdviceRequest, NoAdvice, NoAdviceReason, Usage
from agent.domain.strict_json import strictly_read

_CUT = frozenset({"max_tokens", "model_context_window_exceeded"})
#: A model may think before it answers; what it thought is of no use here.
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


class _UnusableError(Exception):
    """The answer cannot be used; never leaves this module."""

    def __init__(self, reason: NoAdviceReason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


def tokens_of(body: object) -> Usage:
    """What the answer says that it cost in tokens; whatever is no count is 0."""
    read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return Usage(sum(_count(body, name) for name in read), _count(body, "output_tokens"))


def _count(body: object, name: str) -> int:
    value = child(body, "usage", name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def decoded(text: str) -> object:
    """JSON read strictly (no NaN, no key twice); None if it is none."""
    try:
        return strictly_read(text)
    except (ValueError, RecursionError):
        return None


def read_answer(request: AdviceRequest, body: object, usage: Usage) -> Advice | NoAdvice:
    """The advice in a message of the API; what it means is still to be checked."""
    try:
        return _advice(request, _object_in(_text_of(body)), usage)
    except _UnusableError as error:
        return NoAdvice(error.reason, error.detail, usage)


def read_summary(body: object, usage: Usage) -> str | NoAdvice:
    """The summary in a message of the API; what it says is still to be checked."""
    try:
        given = _object_in(_text_of(body))
    except _UnusableError as error:
        return NoAdvice(error.reason, error.detail, usage)
    text = given.get("summary")
    if given.keys() != {"summary"} or not isinstance(text, str):
        return NoAdvice(NoAdviceReason.BAD_ANSWER, "the answer is no summary", usage)
    return text


def _text_of(body: object) -> str:
    if text_at(body, "type") != "message":
        raise _UnusableError(NoAdviceReason.BAD_ANSWER, "it is no message; check llm.base_url and any proxy")
    stopped = text_at(body, "stop_reason")
    if stopped == "refusal":
        raise _UnusableError(NoAdviceReason.REFUSED, "the model declined to answer")
    if stopped in _CUT:
        raise _UnusableError(NoAdviceReason.CUT, "the answer was cut; raise llm.max_output_tokens")
    blocks = [block for block in items_at(body, "content") if text_at(block, "type") not in _THOUGHTS]
    if not blocks:
        raise _UnusableError(NoAdviceReason.EMPTY, "the answer is empty")
    text = child(blocks[0], "text")
    if stopped != "end_turn" or len(blocks) > 1 or text_at(blocks[0], "type") != "text":
        raise _UnusableError(NoAdviceReason.BAD_ANSWER, "the answer is not one finished text")
    if not isinstance(text, str) or not text.strip():
        raise _UnusableError(NoAdviceReason.EMPTY, "the answer is empty")
    return text


def _object_in(text: str) -> Mapping[str, object]:
    found = decoded(text)
    if not isinstance(found, dict):
        raise _UnusableError(NoAdviceReason.BAD_ANSWER, "the answer is no JSON object")
    return found


def _advice(request: AdviceRequest, given: Mapping[str, object], usage: Usage) -> Advice:
    expected = {"candidate", "confidence", "reason"} | ({"parameters"} if request.wanted() else set())
    if given.keys() != expected:
        wrong = "has fields that were not asked for" if given.keys() - expected else "lacks a field"
        raise _UnusableError(NoAdviceReason.BAD_ANSWER, f"the answer {wrong}")
    candidate, confidence, reason = given["candidate"], given["confidence"], given["reason"]
    if not isinstance(candidate, str) or not candidate or not isinstance(reason, str):
        raise _UnusableError(NoAdviceReason.BAD_ANSWER, "the answer's candidate or reason is no text")
    if not isinstance(confidence, int | float) or isinstance(confidence, bool):
        raise _UnusableError(NoAdviceReason.BAD_ANSWER, "the answer's confidence is no number")
    return Advice(
        candidate="" if candidate == NONE else candidate,
        confidence=_number(confidence),
        reason=reason,
        parameters=_parameters(given.get("parameters", {})),
        usage=usage,
    )


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _UnusableError(NoAdviceReason.OUT_OF_RANGE, "the confidence is far from 0 to 1") from None


def _parameters(given: object) -> dict[str, str]:
    """What it gave a value; a name that it left open is none."""
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _UnusableError(NoAdviceReason.BAD_ANSWER, "the answer's parameters are no texts by name")
    return {name: value for name, value in given.items() if value != LEFT_OPEN}
