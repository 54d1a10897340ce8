"""The heartbeat: a statement that the agent can do its work, not that its process exists.

A beat goes to the store, to a file for `oncall-agent watch`, and to a URL for a service that pages when it
falls silent. The URL is left alone as soon as anything keeps the agent from its work; the file says what.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog

from agent.adapters.database import stamp
from agent.adapters.http import VendorHttp
from agent.adapters.store import Store
from agent.adapters.whole_files import write_whole
from agent.domain.errors import ServiceError, StoreError
from agent.ports import Clock
from agent.pulse import Pulse

log = structlog.get_logger()

#: Under this name the store keeps the last beat of any process.
KNOWN_AS = "heartbeat"


class Heartbeat:
    """Beats for one process; `url` is asked only while nothing is wrong."""

    def __init__(
        self, store: Store, pulse: Pulse, clock: Clock, *, path: Path, every_s: float, executor_id: str,
        url: VendorHttp | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._pulse = pulse
        self._clock = clock
        self._path = path
        self._every_s = every_s
        self._executor_id = executor_id
        self._url = url

    def tick(self) -> float:
        """Beat once; gives the seconds until the next."""
        problems = [*self._pulse.problems(), *self._unwritable()]
        self._write(problems)
        if problems:
            log.error("heartbeat_withheld", problems=problems)
        elif self._url is not None:
            self._ask(self._url)
        return self._every_s

    def _unwritable(self) -> list[str]:
        """Whether the store takes a write: without it no webhook is accepted and no step is begun."""
        try:
            self._store.keep_known(KNOWN_AS, stamp(self._clock.now()))
        except StoreError as error:
            return [f"the store cannot be written: {error}"]
        return []

    def _write(self, problems: list[str]) -> None:
        beat = {
            "at": stamp(self._clock.now()),
            "executor": self._executor_id,
            "pid": os.getpid(),
            "problems": problems,
        }
        try:
            write_whole(self._path, beat)
        except OSError as error:
            log.error("heartbeat_not_written", path=str(self._path), error=str(error))  # noqa: TRY400

    def _ask(self, url: VendorHttp) -> None:
        try:
            answer = url.exchange("GET", "")
        except ServiceError as error:
            log.warning("heartbeat_not_taken", reason=error.reason.value, error=str(error))
            return
        if not answer.ok:
            log.warning("heartbeat_not_taken", status=answer.status)
