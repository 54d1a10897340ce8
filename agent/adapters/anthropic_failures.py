"""What a failed call to the Messages API means; the vendor's own words are not shown: they may echo a key."""

from __future__ import annotations

import anthropic
import httpx2

from agent.adapters.exchange import why_not_reached
from agent.adapters.http import retry_after_s
from agent.domain.advice import NoAdvice, NoAdviceReason

_BY_STATUS = {
    401: (NoAdviceReason.AUTH, "check llm.api_key"),
    402: (NoAdviceReason.NO_CREDIT, "the account has no credit left"),
    403: (NoAdviceReason.AUTH, "the key may not use this model; check llm.api_key and llm.model"),
    404: (NoAdviceReason.NOT_FOUND, "check llm.model and llm.base_url"),
    408: (NoAdviceReason.TIMEOUT, "the service gave up waiting"),
    413: (NoAdviceReason.TOO_LARGE, "lower llm.max_candidates"),
    429: (NoAdviceReason.RATE_LIMITED, "the account's rate limit is used up"),
    504: (NoAdviceReason.TIMEOUT, "the service gave up waiting"),
    529: (NoAdviceReason.OVERLOADED, "the service is overloaded"),
}


def failure_of(error: anthropic.AnthropicError, deadline_s: float) -> NoAdvice:
    """The reason and the words for an error of the SDK."""
    match error:
        case anthropic.APIStatusError():
            return _of_status(error.status_code, dict(error.response.headers))
        case anthropic.APITimeoutError():
            return NoAdvice(NoAdviceReason.TIMEOUT, f"no answer within llm.deadline_s ({deadline_s:g} s)")
        case anthropic.APIConnectionError() if isinstance(error.__cause__, httpx2.DecodingError):
            return NoAdvice(NoAdviceReason.BAD_ANSWER, "the answer is unreadable or endless")
        case anthropic.APIConnectionError():
            why = why_not_reached(error)
            return NoAdvice(NoAdviceReason.UNREACHABLE, f"llm.base_url cannot be reached ({why})")
        case _:
            return NoAdvice(NoAdviceReason.BAD_ANSWER, f"the answer is no message ({type(error).__name__})")


def _of_status(status: int, headers: dict[str, str]) -> NoAdvice:
    told = f"answered {status}"
    if status in _BY_STATUS:
        reason, advice = _BY_STATUS[status]
        return NoAdvice(reason, f"{told}: {advice}", retry_after_s=_wait(status, headers))
    if status >= 500:
        return NoAdvice(NoAdviceReason.SERVER_ERROR, told, retry_after_s=_wait(status, headers))
    if status < 400:
        advice = "redirects are not followed; check llm.base_url"
        return NoAdvice(NoAdviceReason.BAD_ANSWER, f"{told}: {advice}")
    return NoAdvice(NoAdviceReason.REJECTED, f"{told}: the request was refused; check llm.model")


def _wait(status: int, headers: dict[str, str]) -> float | None:
    return retry_after_s(headers) if status == 429 or status >= 500 else None
