"""What Prometheus sees: counters of this process, and the store's state at the moment of the scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agent.adapters.store import Store
from agent.domain.incident import Status
from agent.domain.stops import StopScope


class Metrics:
    """The registry of one app; nothing global, so that tests and several apps do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = Counter(
            "oncall_webhooks",
            "Webhooks by source and what became of them.",
            ["source", "outcome"],
            registry=self.registry,
        )


class StoreCollector(Collector):
    """Incidents by status, letters that wait, and how long the oldest has waited."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read the store."""
        incidents = GaugeMetricFamily("oncall_incidents", "Incidents by status.", labels=["status"])
        counts = self._store.counts_by_status()
        for status in Status:
            incidents.add_metric([status.value], counts.get(status.value, 0))
        yield incidents
        waiting = GaugeMetricFamily("oncall_outbox_waiting", "Letters not delivered yet.", labels=["channel"])
        age = GaugeMetricFamily(
            "oncall_outbox_oldest_seconds", "Age of the oldest undelivered letter.", labels=["channel"]
        )
        now = self._store.clock.now()
        for channel, (count, oldest) in self._store.outbox_state().items():
            waiting.add_metric([channel], count)
            age.add_metric([channel], (now - oldest).total_seconds() if oldest else 0)
        yield waiting
        yield age
        yield self._stopped()

    def _stopped(self) -> GaugeMetricFamily:
        stopped = GaugeMetricFamily("oncall_stopped", "Stops in force, by scope.", labels=["scope"])
        scopes = [stop.scope for stop in self._store.stops()]
        for scope in StopScope:
            stopped.add_metric([scope.value], scopes.count(scope))
        return stopped
