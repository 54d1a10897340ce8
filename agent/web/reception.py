"""Where webhooks wait to be stored: together, by one thread, and no longer than a source waits for an answer.

Whoever has a webhook puts it in line and waits. One thread takes all that stand there and stores them in one
transaction: a commit and a place in the writers' line are paid once for all. And if the store hangs, be it
in the middle of writing to a disk that does not answer, only that thread hangs with it: everybody else is
told so in time. What was given up may still be stored later: sent again by its source, it is a duplicate.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from agent.domain.errors import StatementRefusedError, StoreError
from agent.domain.source_event import Accepted, SourceEvent

log = structlog.get_logger()

#: PagerDuty gives a webhook 5 s (webhooks, "Behavior"); a hung store is told long before.
_ANSWER_WITHIN_S = 1.5

#: How long storing may wait for other writers.
_WRITE_WITHIN_S = 1.0

_MOST_TOGETHER = 64

#: A thread with nothing to do for so long ends; the next webhook starts another.
_IDLE_S = 5.0


class _Webhook:
    """One webhook in line, and where its request waits for what became of it."""

    __slots__ = ("_gate", "accepted", "error", "event", "raw")

    def __init__(self, event: SourceEvent, raw: str) -> None:
        self.event = event
        self.raw = raw
        self.accepted: Accepted | None = None
        self.error: Exception | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self, timeout_s: float) -> bool:
        return self._gate.acquire(timeout=timeout_s)

    def done(self, accepted: Accepted | None, error: Exception | None = None) -> None:
        self.accepted, self.error = accepted, error
        self._gate.release()


class Shelf(Protocol):
    """What a reception asks of the store."""

    def accept_all(
        self, webhooks: Sequence[tuple[SourceEvent, str]], *, backlog: int | None, within_s: float | None
    ) -> Sequence[Accepted]:
        """Store webhooks together, all or none."""
        ...


class Reception:
    """Stores webhooks for all requests."""

    def __init__(self, store: Shelf, *, backlog: int, answer_within_s: float = _ANSWER_WITHIN_S) -> None:
        self._store = store
        self._backlog = backlog
        self._within_s = answer_within_s
        self._line: queue.SimpleQueue[_Webhook] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._manned = threading.Event()
        self._storing_since: float | None = None

    def take(self, event: SourceEvent, raw: str) -> Accepted:
        """What became of it, durable; StoreError in time if the store does not take it."""
        (outcome,) = self.take_all([(event, raw)])
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    def take_all(self, webhooks: Sequence[tuple[SourceEvent, str]]) -> Sequence[Accepted | StoreError]:
        """What became of each, durable, or why it is not stored; all within the time of one."""
        since = self._storing_since
        if since is not None and time.monotonic() - since > self._within_s:
            why = "the database does not answer: webhooks before this one still wait for it"
            return [StoreError(why)] * len(webhooks)
        standing = [_Webhook(event, raw) for event, raw in webhooks]
        for webhook in standing:
            self._line.put(webhook)
        self._man()
        until = time.monotonic() + self._within_s
        return [self._outcome(webhook, until) for webhook in standing]

    def _outcome(self, webhook: _Webhook, until: float) -> Accepted | StoreError:
        if not webhook.wait(max(0.0, until - time.monotonic())):
            return StoreError(f"the database did not answer within {self._within_s:g} s")
        if isinstance(webhook.error, StoreError):
            return webhook.error
        if webhook.error is not None:
            raise webhook.error
        return webhook.accepted or StoreError("the webhook was not stored")

    def _man(self) -> None:
        if self._manned.is_set():  # whoever it is looks once more before it leaves
            return
        with self._guard:
            if self._manned.is_set():
                return
            self._manned.set()
        threading.Thread(target=self._work, name="reception", daemon=True).start()

    def _work(self) -> None:
        try:
            while batch := self._next():
                self._storing_since = time.monotonic()
                self._store_together(batch)
                self._storing_since = None
        finally:
            self._storing_since = None
            self._manned.clear()
        if not self._line.empty():
            self._man()

    def _next(self) -> list[_Webhook]:
        """All that stand in line, up to a bound; none once nobody has come for a while."""
        batch: list[_Webhook] = []
        with suppress(queue.Empty):
            batch.append(self._line.get(timeout=_IDLE_S))
            while len(batch) < _MOST_TOGETHER:
                batch.append(self._line.get_nowait())
        return batch

    def _store_together(self, batch: Sequence[_Webhook]) -> None:
        try:
            accepted = self._store.accept_all(
                [(each.event, each.raw) for each in batch], backlog=self._backlog, within_s=_WRITE_WITHIN_S
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who wait for it
            self._failed(batch, error)
        else:
            for each, outcome in zip(batch, accepted, strict=True):
                each.done(outcome)

    def _failed(self, batch: Sequence[_Webhook], error: Exception) -> None:
        is_down = isinstance(error, StoreError) and not isinstance(error, StatementRefusedError)
        if is_down or len(batch) == 1:
            for each in batch:
                each.done(None, error)
            return
        log.warning("webhooks_stored_singly", count=len(batch), error=str(error))
        for each in batch:
            self._store_together([each])
