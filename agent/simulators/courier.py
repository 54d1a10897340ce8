"""Brings the webhooks of a simulated vendor to whoever subscribed, in the background."""

from __future__ import annotations

import functools
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import httpx

#: The pause before another try doubles up to this many times the first one.
_LONGEST = 16


class OnItsWay(Protocol):
    """A webhook that somebody is to get."""

    @property
    def due(self) -> float:
        """When the next try is due, on the monotonic clock."""
        ...

    @property
    def statuses(self) -> tuple[int, ...]:
        """What each try was answered with, 0 for no answer."""
        ...


D = TypeVar("D", bound=OnItsWay)


class Courier(ABC, Generic[D]):
    """One try at a time; what an answer means is for the vendor to say."""

    def __init__(self, name: str, *, tries: int, backoff_s: float, timeout_s: float) -> None:
        self._tries = tries
        self._backoff_s = backoff_s
        self._changed = threading.Condition()
        self._pending: list[D] = []
        self._done: list[D] = []
        self._stopping = False
        self._client = httpx.Client(timeout=timeout_s, verify=_trusted(), trust_env=False)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering; what is pending stays undelivered."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._client.close()

    def deliveries(self) -> list[D]:
        """Everything handed over so far: ended ones first, then the pending."""
        with self._changed:
            return [*self._done, *self._pending]

    def wait_until_idle(self, timeout_s: float = 5.0) -> bool:
        """Whether nothing is pending any more within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, timeout_s)

    @abstractmethod
    def _try(self, one: D) -> None:
        """Send it once, and put it where its answer says; until then it is pending."""

    def _in_turn(self) -> Sequence[D]:
        """The pending ones that wait for no other."""
        return self._pending

    def _posted(self, url: str, raw: bytes, headers: Mapping[str, str]) -> int:
        try:
            return self._client.post(url, content=raw, headers=headers).status_code
        except (httpx.HTTPError, httpx.InvalidURL):
            return 0

    def _due_again(self, one: D) -> float:
        doubled: int = 2 ** len(one.statuses)
        return time.monotonic() + self._backoff_s * min(doubled, _LONGEST)

    def _work(self) -> None:
        while True:
            with self._changed:
                one = self._next()
                while one is None and not self._stopping:
                    self._changed.wait(self._until_next())
                    one = self._next()
            if self._stopping or one is None:
                return
            self._try(one)

    def _next(self) -> D | None:
        return next((each for each in self._in_turn() if each.due <= time.monotonic()), None)

    def _until_next(self) -> float | None:
        dues = [each.due for each in self._in_turn()]
        return max(min(dues) - time.monotonic(), 0.001) if dues else None


@functools.cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
