"""Where webhooks wait to be stored: together, by one thread, and no longer than a source waits for an answer.

Whoever has a webhook puts it in line and waits. One thread takes all that stand there and stores them in one
transaction: a commit and a place in the writers' line are paid once for all. And if the store hangs, be it
in the middle of writing to a disk that does not answer, only that thread hangs with it: everybody else is
told so in time. What was given up may still be stored later: sent again by its source, it is a duplicate.
"""

from __future__ import annotations

import math
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


class _Party:
    """Webhooks of one thread: it waits for all of them at once, and is woken once."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self, timeout_s: float) -> None:
        self._gate.acquire(timeout=timeout_s)

    def one_done(self) -> None:
        self._left -= 1  # by the thread that stores, of which there is one
        if not self._left:
            self._gate.release()


class _Webhook:
    """One webhook in line, and what became of it."""

    __slots__ = ("event", "outcome", "party", "raw")

    def __init__(self, event: SourceEvent, raw: str, party: _Party) -> None:
        self.event = event
        self.raw = raw
        self.party = party
        self.outcome: Accepted | Exception | None = None

    def done(self, outcome: Accepted | Exception) -> None:
        self.outcome = outcome
        self.party.one_done()


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
        self._down_at = -math.inf

    def refusal(self, since: float) -> StoreError | None:
        """Why a webhook that is there since then (monotonic clock) is not stored, if that is known already.

        While it stood in line, the store did not take those before it: it has waited long enough.
        """
        if since > self._down_at:
            return None
        return StoreError("the database did not take the webhooks before this one")

    def take(self, event: SourceEvent, raw: str) -> Accepted:
        """What became of it, durable; StoreError in time if the store does not take it."""
        (outcome,) = self.take_all([(event, raw)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def take_all(self, webhooks: Sequence[tuple[SourceEvent, str]]) -> Sequence[Accepted | Exception]:
        """What became of each, durable, or why it is not stored; all within the time of one.

        StoreError if the store did not take it; anything else is a mistake of ours that this one met.
        """
        if not webhooks:
            return []
        since = self._storing_since
        if since is not None and time.monotonic() - since > self._within_s:
            why = "the database does not answer: webhooks before this one still wait for it"
            return [StoreError(why)] * len(webhooks)
        party = _Party(len(webhooks))
        standing = [_Webhook(event, raw, party) for event, raw in webhooks]
        for webhook in standing:
            self._line.put(webhook)
        self._man()
        party.wait(self._within_s)
        late = StoreError(f"the database did not answer within {self._within_s:g} s")
        return [late if webhook.outcome is None else webhook.outcome for webhook in standing]

    def _man(self) -> None:
        if self._manned.is_set():  # whoever it is looks once more before it leaves
            return
        with self._guard:
            if self._manned.is_set():
                return
            self._manned.set()
        try:
            threading.Thread(target=self._work, name="reception", daemon=True).start()
        except BaseException:
            self._manned.clear()  # the next one tries again
            raise

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
        if is_down:
            self._down_at = time.monotonic()
        if is_down or len(batch) == 1:
            for each in batch:
                each.done(error)
            return
        log.warning("webhooks_stored_singly", count=len(batch), error=str(error))
        for each in batch:
            self._store_together([each])
