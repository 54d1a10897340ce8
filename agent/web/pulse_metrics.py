"""Whether the agent itself is well: when each schedule last did its work, and what was found stuck."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.adapters.store import Store
from agent.domain.stuck import Why
from agent.pulse import Pulse

_WATCHDOG = "watchdog"


class PulseCollector(Collector):
    """Times are of this process, and told also while the database is away."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    def collect(self) -> Iterator[Metric]:
        """Read them."""
        last = self._pulse.last()
        schedules = GaugeMetricFamily(
            "oncall_schedule_last_tick_timestamp_seconds",
            "When a schedule of this process last did its work.",
            labels=["schedule"],
        )
        for name, at in sorted(last.items()):
            schedules.add_metric([name], at.timestamp())
        yield schedules
        if _WATCHDOG in last:
            yield GaugeMetricFamily(
                "oncall_watchdog_last_tick_timestamp_seconds",
                "When the watchdog of this process last looked over everything.",
                value=last[_WATCHDOG].timestamp(),
            )
        yield GaugeMetricFamily(
            "oncall_well",
            "1 while nothing keeps the agent from its work.",
            value=int(not self._pulse.problems()),
        )


class StuckCollector(Collector):
    """What was found stuck is counted in the store, for all processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Read the totals."""
        stuck = CounterMetricFamily(
            "oncall_watchdog_stuck", "Incidents that the watchdog paged a human for.", labels=["why"]
        )
        counts = self._store.counts("stuck/")
        for why in Why:
            stuck.add_metric([why.value], counts.get(why.value, 0))
        yield stuck
