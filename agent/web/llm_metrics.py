"""What the advisor was asked and what it cost: totals from the store, so a restart begins nothing anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.adapters.store import Store
from agent.domain.advice import LATENCY_BUCKETS_S, NoAdviceReason

_OUTCOMES = ("advice", *(reason.value for reason in NoAdviceReason))


class LlmCollector(Collector):
    """Requests by outcome, tokens, cost and latency; replicas of one database all show the same."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Read the totals."""
        counts = self._store.counts("llm/")
        requests = CounterMetricFamily(
            "oncall_llm_requests", "Questions to the advisor by what came of them.", labels=["outcome"]
        )
        for outcome in _OUTCOMES:
            requests.add_metric([outcome], counts.get(f"requests/{outcome}", 0))
        yield requests
        tokens = CounterMetricFamily(
            "oncall_llm_tokens", "Tokens read and written by the advisor.", labels=["kind"]
        )
        for kind in ("input", "output"):
            tokens.add_metric([kind], counts.get(f"tokens/{kind}", 0))
        yield tokens
        cost = counts.get("cost_usd", 0)
        yield CounterMetricFamily("oncall_llm_cost_usd", "What the advisor's answers cost.", value=cost)
        yield _latency(counts)


def _latency(counts: Mapping[str, float]) -> HistogramMetricFamily:
    bounds = [*(f"{bound:g}" for bound in LATENCY_BUCKETS_S), "+Inf"]
    so_far, buckets = 0.0, []
    for bound in bounds:
        so_far += counts.get(f"latency/le/{'inf' if bound == '+Inf' else bound}", 0)
        buckets.append((bound, so_far))
    return HistogramMetricFamily(
        "oncall_llm_latency_seconds",
        "How long the advisor took to answer.",
        buckets=buckets,
        sum_value=counts.get("latency/sum", 0),
    )
