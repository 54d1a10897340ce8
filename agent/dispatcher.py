"""Starts what was accepted, within bounds, and wakes what waits for a human."""

from __future__ import annotations

import structlog

from agent.adapters.store import Store
from agent.durable import Durable, RunState
from agent.pipeline.context import Context
from agent.pipeline.takeover import handle_event

log = structlog.get_logger()

_EVENTS_AT_ONCE = 100


class Dispatcher:
    """One look at the store; called when something was accepted, and every second anyway."""

    def __init__(self, context: Context, store: Store, durable: Durable) -> None:
        self._context = context
        self._store = store
        self._durable = durable

    def tick(self) -> float:
        """Do what is due; gives the seconds before it is worth looking again (0: when notified)."""
        held_back = self._read_events()
        self._wake_decided()
        self._start_accepted()
        return 0.2 if held_back else 0.0

    def _read_events(self) -> bool:
        """Human acknowledges, resolves and reassigns; True if one must be looked at again soon."""
        events = self._store.unhandled_events(_EVENTS_AT_ONCE)
        for incident_id, event in events:
            if handle_event(self._context, incident_id, event):
                log.info("stand_down", incident_id=incident_id, by=event.actor_name, event_name=event.name)
                self._wake(incident_id)
        return bool(events)

    def _wake_decided(self) -> None:
        for incident_id in self._store.untold_decisions():
            self._wake(incident_id)
            self._store.decisions_told(incident_id)

    def _wake(self, incident_id: str) -> None:
        if self._durable.state(incident_id) is RunState.ALIVE:
            self._durable.wake(incident_id, "decision")

    def _start_accepted(self) -> None:
        for incident_id in self._store.startable(self._context.config.limits.concurrent_incidents):
            self._durable.start(incident_id)
            self._store.mark_started(incident_id)
            log.info("incident_started", incident_id=incident_id)
