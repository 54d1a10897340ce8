"""The SDK's clients with a stricter way over the wire: no redirects, no second try, a deadline, a bound.

urllib follows redirects with the Authorization header on, the SDK retries and logs addresses and bodies,
and its proxy setting ignores NO_PROXY; here one request is one attempt, and nothing is logged.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient, WebhookResponse

from agent.adapters.exchange import Exchange, NoAnswer, Trouble
from agent.adapters.slack_errors import Answer, failure, not_slack, status_failure, unusable
from agent.domain.errors import Reason, ServiceError

# Slack's answers to the methods we call are a few KB; a page of conversations.list stays below this.
_MAX_BODY = 4_000_000


class BotClient(WebClient):
    """Slack's Web API: gives an answer that is a JSON object with status 200, or raises."""

    def __init__(self, api_url: str, bot_token: str, *, timeout_s: float) -> None:
        super().__init__(
            token=bot_token,
            base_url=api_url,
            timeout=math.ceil(timeout_s),
            retry_handlers=[],
            logger=silent(),
        )
        self._exchange = Exchange(api_url, timeout_s=timeout_s, max_bytes=_MAX_BODY)

    def __repr__(self) -> str:
        return f"BotClient({self.base_url!r})"

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        answer = ask(self._exchange, url, req)
        problem = status_failure(answer)
        if problem is None and not _is_object(answer.body):
            problem = not_slack()
        if problem is not None:
            raise problem
        return {"status": answer.status, "headers": answer.headers, "body": answer.body}


class HookClient(WebhookClient):
    """An incoming webhook, whose address is itself the secret."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        super().__init__(url, timeout=math.ceil(timeout_s), retry_handlers=[], logger=silent())
        self._exchange = Exchange(url, timeout_s=timeout_s, max_bytes=_MAX_BODY)

    def __repr__(self) -> str:
        return "HookClient('***')"

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        answer = ask(self._exchange, url, req)
        return WebhookResponse(
            url="***", status_code=answer.status, body=answer.body, headers=dict(answer.headers)
        )


def ask(exchange: Exchange, url: str, request: Request) -> Answer:
    """One attempt: whatever status came is an answer, whatever stopped it is a ServiceError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise unusable()
    body = request.data if isinstance(request.data, bytes) else None
    answer = exchange.send(request.get_method(), url, headers=dict(request.header_items()), content=body)
    if isinstance(answer, NoAnswer):
        raise _unanswered(answer)
    return Answer(answer.status, answer.headers, answer.body.decode("utf-8", errors="replace"))


def _unanswered(answer: NoAnswer) -> ServiceError:
    match answer.trouble:
        case Trouble.TIMEOUT:
            return failure(Reason.TIMEOUT, answer.words, retryable=True)
        case Trouble.UNREACHABLE | Trouble.CUT_OFF:
            return failure(Reason.UNREACHABLE, answer.words, retryable=True)
        case Trouble.NOT_HTTP | Trouble.TOO_LONG:
            return not_slack()
        case Trouble.UNSENDABLE:
            return unusable()


def _is_object(body: str) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def silent() -> logging.Logger:
    """A logger that says nothing, for the SDK."""
    # The SDK logs at debug and error level, addresses and bodies included; it looks at `level` itself.
    return logging.Logger("agent.adapters.slack", level=logging.CRITICAL + 1)
