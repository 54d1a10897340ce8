"""How a webhook is answered that was not taken: told in the log, counted, asked for again if that helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from agent.web.webhook_answer import Answer

if TYPE_CHECKING:
    from agent.web.app import WebParts

log = structlog.get_logger()

#: What a 503 asks its sender to wait; PagerDuty keeps to times of its own (webhooks, "Behavior").
SOON_S: Final = 2
LATER_S: Final = 30


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing, or not all, was taken; `again_s`: its source is asked to send it again after that time."""

    status: int
    outcome: str
    why: str
    again_s: int = 0


NOT_READY: Final = Refused(503, "not ready", "the agent is starting or stopping; send it again", SOON_S)


def store_down(error: Exception, *, part: str = "") -> Refused:
    """The store took nothing, or a part: said in the log, and to the source that still has it."""
    log.error("store_down", error=str(error))
    why = f"{part}the store cannot be used right now; send it again"
    return Refused(503, "store down", why, SOON_S)


def refuse(parts: WebParts, source: str, refused: Refused, *, told_as: str = "webhook_not_stored") -> Answer:
    """The answer to a webhook that was not taken."""
    log.info(told_as, source=source, status=refused.status, outcome=refused.outcome, why=refused.why)
    count(parts, source, refused.outcome)
    body = {"received": False, "outcome": refused.outcome, "error": refused.why}
    return Answer(refused.status, body, refused.again_s)


def broke(error: Exception) -> Answer:
    """The boundary of a request: told in the log, answered as 500, and a webhook is sent again."""
    log.error("request_broke", error=f"{type(error).__name__}: {error}", exc_info=error)
    return Answer(500, {"error": "the agent could not answer; it is in its log"})


def count(parts: WebParts, source: str, outcome: str) -> None:
    """One more webhook of this source with this outcome."""
    parts.metrics.webhooks.labels(source, outcome.replace(" ", "_")).inc()
