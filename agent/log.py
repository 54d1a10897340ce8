"""Structured logs for operators: one JSON line an event, to standard error, secrets redacted."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import structlog

from agent.safety.redaction import Redactor


def _most_telling_first(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    first = {name: event.pop(name) for name in ("at", "level", "event") if name in event}
    return {**first, **event}


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
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
