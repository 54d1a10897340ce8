"""A database that was restored from a backup: what was under way in it is given to humans, and nothing runs.

Between the backup and the restore the agent may have run any step of any incident, and the database does
not know. So whatever had not ended is "outcome unknown" and pages, and a stop is put: charges of the lost
time are missing in the limits, and alerts of the lost time may come in once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.domain.decisions import EscalationTrigger, Stopped
from agent.domain.stops import Stop, StopAsked, StopScope
from agent.pipeline import closing, stops
from agent.pipeline.context import Context
from agent.pipeline.telling import Teller


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a human has to look at now."""

    incidents: tuple[str, ...]
    stop: Stop


def hand_over(context: Context, *, taken_at: datetime | None, by: str) -> HandedOver:
    """Give every unfinished incident to a human, and stop the agent until one says `resume`."""
    when = "an unknown time" if taken_at is None else f"{taken_at:%Y-%m-%d %H:%M:%S} UTC"
    words = f"the database was restored from a backup of {when}; what the agent did after it is not known"
    unfinished = tuple(incident.id for incident in context.store.unfinished())
    for incident_id in unfinished:
        closing.escalate(context, incident_id, Stopped(words, EscalationTrigger.OUTCOME_UNKNOWN))
    teller = Teller(context.store, context.redactor, context.channels)
    asked = StopAsked(StopScope.ALL, "", words, by)
    stop, _ = stops.put(teller, asked, now=context.clock.now())
    return HandedOver(unfinished, stop)
