"""Turns: while a human was waited for, the service was free for its next incident; now it stands in line."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from agent.domain.decisions import StandDown
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.records import Changes
from agent.pipeline.context import Context
from agent.pipeline.telling import tell
from agent.ports import Run


def take_turn(run: Run, context: Context, incident_id: str, *, after: str) -> StandDown | None:
    """None when it is its turn; `after` names the answer that lets it go on."""
    for look in count(1):
        if run.turn("decision", waiting=lambda: _tell_waiting(context, incident_id, after)):
            return None
        taken: StandDown | None = run.step(
            f"{after}-turn-{look}",
            lambda: context.store.stand_down_of(incident_id),
            returns=StandDown | None,
        )
        if taken is not None:
            return taken
    raise AssertionError("unreachable")


def _tell_waiting(context: Context, incident_id: str, after: str) -> None:
    limits = context.config.limits
    one = ", and one of a service" if limits.one_at_a_time_per_service else ""
    text = f"⏸️ It waits for its turn: at most {limits.concurrent_incidents} incidents at a time{one}"
    until = context.clock.now() + timedelta(seconds=context.config.execution.incident_deadline_s)
    changes = Changes(status=Status.AWAITING_APPROVAL, waits_until=until)
    tell(context, incident_id, Entry(f"{after}-waits", EventKind.NOTE, text), changes=changes)
