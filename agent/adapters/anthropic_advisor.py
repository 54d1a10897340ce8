"""Advice from Anthropic's Messages API: one question, one try, over within the deadline whatever happens."""

from __future__ import annotations

import functools
import queue
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import anthropic
import httpx2

from agent.adapters.anthropic_answer import decoded, read_answer, tokens_of
from agent.adapters.anthropic_failures import failure_of
from agent.adapters.anthropic_prices import Price, cost_usd, price_of
from agent.adapters.anthropic_prompt import Prompt, prompt_of
from agent.adapters.exchange import is_loopback
from agent.adapters.patience import ending_after, watched
from agent.domain.advice import (
    Advice,
    AdviceRequest,
    NoAdvice,
    NoAdviceReason,
    Usage,
    WhyNotAllowed,
    checked,
)

API_URL = "https://api.anthropic.com"
#: The longest answer that can be meant: every token of the largest limit, written out.
_ANSWER_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask: `price` overrides what is built in."""

    model: str
    deadline_s: float = 20.0
    max_output_tokens: int = 4_096
    price: Price | None = None


class AnthropicAdvisor:
    """Implements ports.Advisor on the official SDK."""

    def __init__(
        self, api_key: str, asking: Asking, *, why_not_allowed: WhyNotAllowed, base_url: str = API_URL
    ) -> None:
        self._wire = Wire(api_key, asking, base_url)
        self._asking = asking
        self._why_not_allowed = why_not_allowed
        self._base_url = base_url

    def __repr__(self) -> str:
        return f"AnthropicAdvisor({self._asking.model!r}, {self._base_url!r})"

    def advise(self, request: AdviceRequest) -> Advice | NoAdvice:
        """One question; whatever is not exactly an answer to it is NoAdvice."""
        said = self._wire.ask(prompt_of(request))
        if isinstance(said, NoAdvice):
            return said
        answer = read_answer(request, said.body, said.usage)
        if isinstance(answer, NoAdvice):
            return answer
        return checked(request, answer, self._why_not_allowed)


@dataclass(frozen=True, slots=True)
class Said:
    """What came back: None for a body that is no JSON. And what asking cost."""

    body: object
    usage: Usage


class Wire:
    """Brings one prompt to the Messages API and its answer back.

    Every question has its own connection and thread: name resolution, a trickling answer or a proxy that
    hangs are all over at the deadline. There is no second try, since the SDK would wait as long as a
    Retry-After says; and nothing is read from the environment but proxies and certificates.
    """

    def __init__(self, api_key: str, asking: Asking, base_url: str) -> None:
        self._api_key = api_key
        self._asking = asking
        self._base_url = base_url

    def ask(self, prompt: Prompt) -> Said | NoAdvice:
        """What was answered, or why nothing was, with its cost; at the latest when the deadline is over."""
        began = time.monotonic()
        text = self._text(prompt)
        latency_s = time.monotonic() - began
        if isinstance(text, NoAdvice):
            return replace(text, usage=Usage(latency_s=latency_s))
        body = decoded(text)
        usage = tokens_of(body)
        price = self._asking.price or price_of(self._asking.model)
        return Said(body, replace(usage, cost_usd=cost_usd(usage, price), latency_s=latency_s))

    def _text(self, prompt: Prompt) -> str | NoAdvice:
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            detail = "llm.api_key holds a line break or a character outside ASCII; write it anew"
            return NoAdvice(NoAdviceReason.AUTH, detail)
        deadline_s = self._asking.deadline_s
        answers: queue.SimpleQueue[str | NoAdvice] = queue.SimpleQueue()
        asks = threading.Thread(
            target=lambda: answers.put(self._exchange(prompt)), name="advisor", daemon=True
        )
        asks.start()
        try:
            return answers.get(timeout=deadline_s)
        except queue.Empty:
            return _too_late(deadline_s)

    def _exchange(self, prompt: Prompt) -> str | NoAdvice:
        """In its own thread, which cuts its connection at the deadline and closes it itself.

        Closed by another thread, the connection's number could be a file of ours while this one still reads.
        """
        deadline_s = self._asking.deadline_s
        with self._client() as client, ending_after(deadline_s) as ending:
            try:
                said: str | NoAdvice = self._asked(client, prompt)
            except anthropic.AnthropicError as error:
                said = failure_of(error, deadline_s)
        return _too_late(deadline_s) if ending.is_over else said

    def _asked(self, client: anthropic.Anthropic, prompt: Prompt) -> str:
        response = client.messages.with_raw_response.create(
            model=self._asking.model,
            max_tokens=self._asking.max_output_tokens,
            system=prompt.system,
            messages=[{"role": "user", "content": prompt.content}],
            output_config={"format": {"type": "json_schema", "schema": prompt.schema}},
        )
        return response.http_response.text

    def _client(self) -> anthropic.Anthropic:
        transport = httpx2.Client(  # not the SDK's own: that one takes a proxy for loopback too
            timeout=self._asking.deadline_s,
            follow_redirects=False,
            trust_env=not is_loopback(self._base_url),  # a proxy never stands between us and a simulator
            verify=_trusted(),
            event_hooks={"request": [_watch], "response": [_bound]},
        )
        return anthropic.Anthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            timeout=self._asking.deadline_s,
            max_retries=0,
            http_client=transport,
        )


def _too_late(deadline_s: float) -> NoAdvice:
    return NoAdvice(NoAdviceReason.TIMEOUT, f"no answer within llm.deadline_s ({deadline_s:g} s)")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates of this host, read once."""
    return httpx2.create_ssl_context()


def _watch(request: httpx2.Request) -> None:
    """Have the request's connection cut at the deadline, as soon as it stands."""
    request.extensions = {**request.extensions, "trace": _opened}


def _opened(event: str, info: Mapping[str, Any]) -> None:
    if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
        watched(info["return_value"].get_extra_info("socket"))


def _bound(response: httpx2.Response) -> None:
    """Let no more of an answer in than one can be long."""
    if isinstance(response.stream, httpx2.SyncByteStream):
        response.stream = _Bounded(response.stream)


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        left = _ANSWER_MAX_BYTES
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise httpx2.DecodingError("the answer is too long")
            yield chunk

    def close(self) -> None:
        self._stream.close()
