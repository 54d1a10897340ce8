"""The SDK's clients with a stricter way over the wire: no redirects, no second try, a deadline, a bound.

urllib follows redirects with the Authorization header on, the SDK retries and logs addresses and bodies,
and its proxy setting ignores NO_PROXY; here one request is one attempt, and nothing is logged.
"""

from __future__ import annotations

import json
import logging
import math
import time
from http.client import HTTPException, IncompleteRead, InvalidURL
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPErrorProcessor, OpenerDirector, ProxyHandler, Request, build_opener

from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient, WebhookResponse

from agent.adapters.slack_errors import Answer, failure, not_slack, status_failure, unusable
from agent.domain.errors import Reason, ServiceError

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
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
            logger=_silent(),
        )
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"BotClient({self.base_url!r})"

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        answer = ask(url, req, timeout_s=self._timeout_s)
        problem = status_failure(answer)
        if problem is None and not _is_object(answer.body):
            problem = not_slack()
        if problem is not None:
            raise problem
        return {"status": answer.status, "headers": answer.headers, "body": answer.body}


class HookClient(WebhookClient):
    """An incoming webhook, whose address is itself the secret."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        super().__init__(url, timeout=math.ceil(timeout_s), retry_handlers=[], logger=_silent())
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return "HookClient('***')"

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        answer = ask(url, req, timeout_s=self._timeout_s)
        return WebhookResponse(
            url="***", status_code=answer.status, body=answer.body, headers=dict(answer.headers)
        )


def ask(url: str, request: Request, *, timeout_s: float) -> Answer:
    """One attempt: whatever status came is an answer, whatever stopped it is a ServiceError."""
    deadline = time.monotonic() + timeout_s
    try:
        with _opener(url).open(request, timeout=timeout_s) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, _read(response, deadline))
    except (OSError, HTTPException) as error:
        problem = _transport_failure(error, timeout_s)
    raise problem


def _transport_failure(error: OSError | HTTPException, timeout_s: float) -> ServiceError:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return failure(Reason.TIMEOUT, f"did not answer within {timeout_s:g} s", retryable=True)
    if isinstance(cause, InvalidURL):
        return unusable()
    if isinstance(cause, HTTPException) and not isinstance(cause, OSError | IncompleteRead):
        return not_slack()
    # Never str(cause): some of these texts hold the address, and a webhook's address is a secret.
    why = getattr(cause, "strerror", None) or type(cause).__name__
    return failure(Reason.UNREACHABLE, f"cannot be reached ({why})", retryable=True)


def _read(response: Any, deadline: float) -> str:
    body = bytearray()
    while chunk := response.read1(65_536):
        body += chunk
        if len(body) > _MAX_BODY:
            raise not_slack()
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:
        raise IncompleteRead(bytes(body), response.length)
    return body.decode("utf-8", errors="replace")


class _AnyStatusIsAnAnswer(HTTPErrorProcessor):
    """Gives every status back as it is, which also means that no redirect is followed."""

    def http_response(self, request: Request, response: Any) -> Any:  # noqa: ARG002  (urllib's signature)
        return response

    https_response = http_response


def _opener(url: str) -> OpenerDirector:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise unusable()
    # The environment's proxies and NO_PROXY count, but never for this machine itself.
    proxies = ProxyHandler({}) if parts.hostname in _LOOPBACK else ProxyHandler()
    return build_opener(proxies, _AnyStatusIsAnAnswer())


def _is_object(body: str) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _silent() -> logging.Logger:
    # The SDK logs at debug and error level, addresses and bodies included; it looks at `level` itself.
    return logging.Logger("agent.adapters.slack", level=logging.CRITICAL + 1)
