"""How incidents went, from totals that the meter keeps; and budgets, queue and approvals as they stand now.

A scrape asks a handful of indexed questions, however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.adapters.store import Store
from agent.config import Config
from agent.domain.decisions import EscalationTrigger
from agent.domain.errors import StoreError
from agent.domain.limits import Scope
from agent.domain.queue import QueueStatus, Rank
from agent.reports.measures import (
    BY,
    CONFIDENCE_BOUNDS,
    STEP_BOUNDS_S,
    STEP_OUTCOMES,
    TIME_BOUNDS_S,
    Kpi,
    RefusalClass,
)

_OUTCOMES = ("resolved", "escalated", "stood_down", "ignored")
_HELP = {
    Kpi.DETECT: "From when the alert fired at its source to when it was received.",
    Kpi.ACKNOWLEDGE: "From when an alert was received to when the agent took it.",
    Kpi.RESOLVE: "From when an alert was received to when it was resolved, by the agent or by a human.",
}


class WhileTheStoreIsThere(Collector):
    """Whether the database can be asked, and all that is read from it; without it the rest is told alone."""

    def __init__(self, store: Store, *collectors: Collector) -> None:
        self._store = store
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        """Ask each; one that cannot be answered says nothing."""
        is_there, found = True, list[Metric]()
        for collector in self._collectors:
            try:
                found += collector.collect()
            except StoreError:
                is_there = False
        yield GaugeMetricFamily("oncall_database_up", "1 while the database answers.", value=int(is_there))
        yield from found


class MeasuresCollector(Collector):
    """Totals since the first start; replicas of one database all show the same."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Read the totals."""
        counts = self._store.counts("m/")
        ended = ("oncall_incidents_ended", "Incidents that ended, by how.", "outcome")
        yield _counter(ended, counts, "ended", _OUTCOMES)
        escalated = ("oncall_incidents_escalated", "Incidents given to a human, by why.", "trigger")
        yield _counter(escalated, counts, "escalated", [each.value for each in EscalationTrigger])
        refused = ("oncall_refusals", "What a guard said no to, by why.", "reason")
        yield _counter(refused, counts, "refused", [each.value for each in RefusalClass])
        breached = counts.get("sla/breached", 0)
        yield CounterMetricFamily("oncall_sla_breaches", "Escalations whose time ran out.", value=breached)
        steps = HistogramMetricFamily(
            "oncall_step_duration_seconds", "How long attempts of steps took.", labels=["outcome"]
        )
        for outcome in STEP_OUTCOMES:
            _add(steps, [outcome], counts, f"step/{outcome}", STEP_BOUNDS_S)
        yield steps
        confidence = HistogramMetricFamily(
            "oncall_match_confidence_ratio", "How probable the runbooks were that were taken."
        )
        _add(confidence, [], counts, "confidence", CONFIDENCE_BOUNDS)
        yield confidence
        yield from _times(counts)


def _times(counts: Mapping[str, float]) -> Iterator[Metric]:
    for kpi in Kpi:
        times = HistogramMetricFamily(f"oncall_time_to_{kpi.value}_seconds", _HELP[kpi], labels=["by"])
        for by in BY[kpi]:
            _add(times, [by], counts, f"time/{kpi.value}/{by}", TIME_BOUNDS_S)
        yield times


class StandingCollector(Collector):
    """What stands at the moment of the scrape."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._windows = [each for each in config.limits.windows() if each.scope is Scope.ALL]

    def collect(self) -> Iterator[Metric]:
        """Read the store."""
        now = self._store.clock.now()
        queue = GaugeMetricFamily(
            "oncall_queue_open", "Escalations that wait for a human.", labels=["status", "severity"]
        )
        depth = self._store.queue_depth()
        for status in (QueueStatus.OPEN, QueueStatus.CLAIMED):
            for rank in Rank:
                queue.add_metric([status.value, rank.value], depth.get((status.value, rank.value), 0))
        yield queue
        waiting, since = self._store.approvals_waiting()
        yield GaugeMetricFamily("oncall_approvals_waiting", "Plans that wait for a yes.", value=waiting)
        yield GaugeMetricFamily(
            "oncall_approvals_oldest_seconds",
            "How long the longest has waited for a yes.",
            value=(now - since).total_seconds() if since else 0,
        )
        budget = GaugeMetricFamily(
            "oncall_budget_left", "What is left of a limit across all incidents.", labels=["limit"]
        )
        used = self._store.budget_used(self._windows, now)
        for window in self._windows:
            left = max(0, window.maximum - used.get(window.key, 0))
            budget.add_metric([window.key.removeprefix("limits.")], left)
        yield budget
        open_ = len(self._store.bypasses())
        yield GaugeMetricFamily("oncall_bypasses_open", "Emergency bypasses in force.", value=open_)
        build = GaugeMetricFamily("oncall_build_info", "Which version runs.", labels=["version"])
        build.add_metric([version("oncall-agent")], 1)
        yield build


def _counter(
    words: tuple[str, str, str], counts: Mapping[str, float], under: str, values: Sequence[str]
) -> CounterMetricFamily:
    name, about, label = words
    family = CounterMetricFamily(name, about, labels=[label])
    for value in values:
        family.add_metric([value], counts.get(f"{under}/{value}", 0))
    return family


def _add(
    family: HistogramMetricFamily,
    labels: Sequence[str],
    counts: Mapping[str, float],
    name: str,
    bounds: Sequence[float],
) -> None:
    so_far, buckets = 0.0, []
    for bound in [*(f"{each:g}" for each in bounds), "+Inf"]:
        so_far += counts.get(f"{name}/le/{'inf' if bound == '+Inf' else bound}", 0)
        buckets.append((bound, so_far))
    family.add_metric(labels, buckets=buckets, sum_value=counts.get(f"{name}/sum", 0))
