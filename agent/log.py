"""Structured logs for operators: one JSON line an event, to standard error, secrets redacted."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOBase
from typing import TextIO, cast

import structlog

from agent.safety.redaction import Redactor


def _most_telling_first(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    first = {name: event.pop(name) for name in ("at", "level", "event") if name in event}
    return {**first, **event}


class _StandardError(TextIOBase):
    """Standard error for as long as it can be written: a full disk under a log must stop no work."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def set_up_logging(*, secrets: Sequence[str] = (), human: bool = False) -> None:
    """Log everything from here on; libraries only when something is wrong."""
    redactor = Redactor(secrets)

    def redact(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        cleaned = redactor.value(dict(event))
        return cleaned if isinstance(cleaned, dict) else {"event": "redacted"}

    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=False)
        if human
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            redact,
            _most_telling_first,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # it warns of every request that waits a moment for a thread: in a storm that is each one
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
