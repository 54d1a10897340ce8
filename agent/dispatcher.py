"""Starts what was accepted, within bounds, and goes on with what waited for a human."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from agent.adapters.store import Store
from agent.domain.runs import Places
from agent.durable import Durable
from agent.pipeline.context import Context
from agent.pipeline.takeover import handle_event

log = structlog.get_logger()

_EVENTS_AT_ONCE = 100

#: An event that cannot be settled yet is looked at again after this time.
_SOON_S = 0.2


class Dispatcher:
    """One look at the store; when something was accepted or a run let go, and every second anyway."""

    def __init__(
        self,
        context: Context,
        store: Store,
        durable: Durable,
        *,
        give_way: Callable[[], object] = lambda: None,
    ) -> None:
        self._context = context
        self._store = store
        self._durable = durable
        self._give_way = give_way

    def tick(self) -> float:
        """Do what is due; gives the seconds before it is worth looking again (0: when notified)."""
        self._give_way()  # in a storm one look for many webhooks, not one for each
        agenda = self._store.agenda()
        held_back = agenda.events and self._read_events()
        if agenda.decisions:
            self._wake_decided()
        if agenda.events or agenda.decisions or agenda.waits:
            self._go_on()
        if agenda.starts:
            self._start()
        return _SOON_S if held_back else 0.0

    def _read_events(self) -> bool:
        """Human acknowledges, resolves and reassigns; True if one must be looked at again soon."""
        events = self._store.unhandled_events(_EVENTS_AT_ONCE)
        for incident_id, event in events:
            if handle_event(self._context, incident_id, event, wake=self._wake):
                log.info("stand_down", incident_id=incident_id, by=event.actor_name, event_name=event.name)
        return bool(events)

    def _wake(self, incident_id: str) -> None:
        self._durable.wake(incident_id, "decision")

    def _wake_decided(self) -> None:
        for incident_id, asked in self._store.untold_decisions():
            self._wake(incident_id)
            self._store.decision_told(incident_id, asked)

    def _go_on(self) -> None:
        """Waits that are over; more of them than fit into one look are due in the next."""
        for leg in self._store.begin_due(self._durable.executor_id):
            self._durable.carry_on(leg)

    def _start(self) -> None:
        limits = self._context.config.limits
        places = Places(limits.concurrent_incidents, limits.one_at_a_time_per_service)
        for leg in self._store.claim(places, self._durable.executor_id):
            self._durable.carry_on(leg)
            log.info("incident_started", incident_id=leg.incident_id)
