"""A lane of their own for webhooks: those that came together are proved, stored and answered together.

A webhook that takes a thread for itself pays for that thread's turns at the interpreter, and they were most
of what it cost: at 64 connections 746 webhooks/s became 1,617 (`python -m bench.accept`). While the disk is
waited for, the next ones gather. What may take long, because its body is big or its proof has to be fetched,
goes by the other threads, as everything else does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog
from waitress.task import ThreadedTaskDispatcher

from agent.web.answering import Answering
from agent.web.connection import Channel, Request
from agent.web.webhook_answer import Answer
from agent.web.webhooks import Post

log = structlog.get_logger()

_PATH: Final = "/webhook/"

#: Whoever is first of them waits for the last to be read.
_MOST_TOGETHER: Final = 64

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


class Lane(ThreadedTaskDispatcher):
    """Gives webhooks to the desk, and every other request to a thread of its own, as waitress does."""

    def __init__(self, desk: WebhookDesk, answering: Answering) -> None:
        super().__init__()
        self._desk = desk
        self._answering = answering
        self._line: queue.SimpleQueue[Channel | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="webhooks", daemon=True).start()

    def add_task(self, task: Channel) -> None:  # type: ignore[override]
        """A connection has a request that is whole."""
        if self._is_for_desk(task.requests[0]):
            self._line.put(task)
        else:
            super().add_task(task)  # type: ignore[arg-type]

    def shutdown(self, cancel_pending: bool = True, timeout: int = 5) -> bool:
        """The server is closed."""
        self._line.put(None)
        return super().shutdown(cancel_pending, timeout)

    def _work(self) -> None:
        while (first := self._line.get()) is not None:
            self._serve([first, *self._others()])

    def _others(self) -> Sequence[Channel]:
        others: list[Channel] = []
        with suppress(queue.Empty):
            while len(others) < _MOST_TOGETHER - 1:
                other = self._line.get_nowait()
                if other is None:
                    self._line.put(None)  # it is for the next look
                    break
                others.append(other)
        return others

    def _is_for_desk(self, request: Request) -> bool:
        """What is not exactly a webhook as sources send it is for the application, which knows the rest."""
        if request.error is not None or str(request.command) != "POST":
            return False
        is_small = request.body_bytes_received <= _SMALL
        return is_small and request.path.startswith(_PATH) and self._desk.is_quick(_name(request))

    def _serve(self, channels: Sequence[Channel]) -> None:
        with self._answering.counting(len(channels)):
            try:
                answers = self._desk.answer_all([_post(channel.requests[0]) for channel in channels])
            except Exception:
                log.exception("webhooks_not_answered_together", count=len(channels))
                for channel in channels:  # each by itself then, as if there were no lane
                    super().add_task(channel)  # type: ignore[arg-type]
                return
            for channel, answer in zip(channels, answers, strict=True):
                self._send(channel, answer)

    def _send(self, channel: Channel, answer: Answer) -> None:
        try:
            channel.answer(answer, self._desk.always)
        except Exception:
            log.exception("answer_not_sent", note="what was stored is sent again, and known")
            channel.cancel()


def _name(request: Request) -> str:
    return request.path[len(_PATH) :]


def _post(request: Request) -> Post:
    headers = {name.lower().replace("_", "-"): value for name, value in request.headers.items()}
    return Post(_name(request), request.posted(), headers)
