"""A lane of their own for webhooks: those that came together are proved, stored and answered together.

A webhook that takes a thread for itself pays for that thread's turns at the interpreter, and they were most
of what it cost: at 64 connections 746 webhooks/s became 1,617 (`python -m bench.accept`). While the disk is
waited for, the next ones gather. What may take long, because its body is big or its proof has to be fetched,
goes by the other threads, as everything else does.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from waitress.task import ThreadedTaskDispatcher

from agent.web.answering import Answering
from agent.web.connection import Channel, Request
from agent.web.webhook_answer import Answer
from agent.web.webhooks import Post

log = structlog.get_logger()

_PATH: Final = "/webhook/"

#: A name or an address as everybody writes it, with or without a port, or none.
_HOST: Final = re.compile(
    r"([\w-]{1,63}(\.[\w-]{1,63}){0,10}|\[[0-9A-Fa-f:.]{2,45}\])?(:[0-9]{1,5})?", re.ASCII
)

#: Whoever is first of them waits for the last to be read: so many webhooks, or so many bytes.
_MOST_TOGETHER: Final = 64
_MOST_BYTES_TOGETHER: Final = 256 * 1024

#: A body that is read in a moment; PagerDuty's have a few thousand bytes.
_SMALL: Final = 64 * 1024


class WebhookDesk(Protocol):
    """Who answers webhooks."""

    @property
    def always(self) -> Sequence[tuple[str, str]]:
        """What every answer says, as headers."""
        ...

    def is_quick(self, name: str) -> bool:
        """Whether a webhook of this name is proved and read without asking anybody."""
        ...

    def answer_all(self, posts: Sequence[Post]) -> Sequence[Answer]:
        """What each is told."""
        ...


@dataclass(slots=True)
class _Standing:
    """A connection whose request is a webhook, and since when."""

    channel: Channel
    since: float
    is_over: bool = False

    @property
    def size(self) -> int:
        return self.channel.requests[0].body_bytes_received

    def post(self) -> Post:
        request = self.channel.requests[0]
        headers = {name.lower().replace("_", "-"): value for name, value in request.headers.items()}
        return Post(_name(request), request.posted(), headers, self.since)


class Lane(ThreadedTaskDispatcher):
    """Gives webhooks to the desk, and every other request to a thread of its own, as waitress does."""

    def __init__(self, desk: WebhookDesk, answering: Answering) -> None:
        super().__init__()
        self._desk = desk
        self._answering = answering
        self._line: queue.SimpleQueue[_Standing | None] = queue.SimpleQueue()

    def open(self) -> None:
        """Begin to take webhooks."""
        threading.Thread(target=self._work, name="webhooks", daemon=True).start()

    def close(self) -> None:
        """Take no more once those that stand there are answered."""
        self._line.put(None)

    def add_task(self, task: Channel) -> None:  # type: ignore[override]
        """A connection has a request that is whole."""
        # whoever has not read what they were sent before may keep a thread waiting until they do
        if not task.total_outbufs_len and self._is_for_desk(task.requests[0]):
            self._line.put(_Standing(task, time.monotonic()))
        else:
            super().add_task(task)  # type: ignore[arg-type]

    def _work(self) -> None:
        while (first := self._line.get()) is not None:
            self._guarded([first, *self._others(first)])

    def _others(self, first: _Standing) -> Sequence[_Standing]:
        others: list[_Standing] = []
        size = first.size
        with suppress(queue.Empty):
            while len(others) < _MOST_TOGETHER - 1 and size < _MOST_BYTES_TOGETHER:
                other = self._line.get_nowait()
                if other is None:
                    self._line.put(None)  # it is for the next look
                    break
                others.append(other)
                size += other.size
        return others

    def _is_for_desk(self, request: Request) -> bool:
        """What is not exactly a webhook as sources send it is for the application, which knows the rest."""
        if request.error is not None or str(request.command) != "POST" or "UPGRADE" in request.headers:
            return False
        if not _HOST.fullmatch(request.headers.get("HOST", "")):
            return False
        is_small = request.body_bytes_received <= _SMALL
        return is_small and request.path.startswith(_PATH) and self._desk.is_quick(_name(request))

    def _guarded(self, standing: Sequence[_Standing]) -> None:
        """There is one thread, and without it nobody is answered: whatever breaks, it goes on."""
        try:
            with self._answering.counting(len(standing)):
                self._serve(standing)
        except BaseException:  # noqa: BLE001 - the boundary of a thread that must go on
            for each in standing:
                if not each.is_over:
                    each.channel.cancel()  # who gets no answer sends it again
            _tell("webhooks_not_answered", len(standing))

    def _serve(self, standing: Sequence[_Standing]) -> None:
        try:
            answers = self._desk.answer_all([each.post() for each in standing])
        except Exception:  # noqa: BLE001 - whatever it is, the application is asked, and answers 500
            for each in standing:  # by itself then, as if there were no lane
                each.is_over = True
                super().add_task(each.channel)  # type: ignore[arg-type]
            _tell("webhooks_not_answered_together", len(standing))
            return
        for each, answer in zip(standing, answers, strict=True):
            each.channel.answer(answer, self._desk.always)
            each.is_over = True


def _tell(what: str, count: int) -> None:
    with suppress(Exception):  # a log that cannot be written to must not end the thread
        log.exception(what, count=count, note="what was stored is sent again, and known")


def _name(request: Request) -> str:
    return request.path[len(_PATH) :]
