"""What the advisor cost, as Prometheus sees it: counted in the store, so a restart begins nothing anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.adapters.fake_advisor import FakeAdvisor
from agent.adapters.store import Store
from agent.domain.advice import LATENCY_BUCKETS_S, Advice, NoAdvice, NoAdviceReason, Usage
from agent.library.bindings import why_not_allowed
from tests.integration.web.conftest import Site
from tests.integration.web.test_web_edges import metrics
from tests.unit.pipeline.conftest import ALERT, runbook, step

PINGS = step(1, "redis-cli PING", keys='Expected output: "PONG"')
PAID = Usage(input_tokens=1_200, output_tokens=80, cost_usd=0.0125, latency_s=1.5)


def asked(site: Site, *answers: Advice | NoAdvice) -> dict[str, float]:
    """The metrics after as many incidents as there are answers, each of them an advisor's question."""
    for name in ("one", "two"):
        site.world.runbook(runbook(steps=PINGS), name)
    site.world.advisor = FakeAdvisor(*answers, why_not_allowed=why_not_allowed)
    for number in range(len(answers)):
        title = f"redis {'abcdefgh'[number]}"
        site.world.handle(site.world.receive(replace(ALERT, source_id=f"P{number}", title=title)))
    return metrics(site)


def test_without_a_question_everything_is_zero(site: Site) -> None:
    seen = metrics(site)
    assert seen['oncall_llm_requests_total{outcome="advice"}'] == 0
    assert seen["oncall_llm_latency_seconds_count"] == 0
    assert seen["oncall_llm_cost_usd_total"] == 0


def test_requests_are_counted_by_what_came_of_them(site: Site) -> None:
    seen = asked(
        site,
        Advice("c1", 0.9, usage=PAID),
        Advice("c2", 0.9, usage=PAID),
        NoAdvice(NoAdviceReason.TIMEOUT, "too slow", Usage(latency_s=20.01)),
    )
    assert seen['oncall_llm_requests_total{outcome="advice"}'] == 2
    assert seen['oncall_llm_requests_total{outcome="timeout"}'] == 1
    assert seen['oncall_llm_requests_total{outcome="auth"}'] == 0
    assert seen['oncall_llm_tokens_total{kind="input"}'] == 2_400
    assert seen['oncall_llm_tokens_total{kind="output"}'] == 160
    assert seen["oncall_llm_cost_usd_total"] == pytest.approx(0.025)


def test_latency_is_a_cumulative_histogram(site: Site) -> None:
    usages = [Usage(latency_s=seconds) for seconds in (0.2, 1.5, 1.9, 500.0)]
    seen = asked(site, *(Advice("c1", 0.9, usage=usage) for usage in usages))
    buckets = {le: seen[f'oncall_llm_latency_seconds_bucket{{le="{le}"}}'] for le in ("0.5", "1", "2", "60")}
    assert buckets == {"0.5": 1, "1": 1, "2": 3, "60": 3}
    assert seen['oncall_llm_latency_seconds_bucket{le="+Inf"}'] == 4
    assert seen["oncall_llm_latency_seconds_count"] == 4
    assert seen["oncall_llm_latency_seconds_sum"] == pytest.approx(503.6)


def test_the_buckets_ascend() -> None:
    assert sorted(LATENCY_BUCKETS_S) == list(LATENCY_BUCKETS_S)


def test_totals_outlive_the_process(site: Site) -> None:
    asked(site, Advice("c1", 0.9, usage=PAID))
    again = Store(site.store.database.url, site.store.clock)
    try:
        again.count({"llm/requests/advice": 1})
        assert again.counts("llm/requests/") == {"advice": 2}
    finally:
        again.close()


def test_a_question_whose_price_is_not_known_costs_nothing_that_we_know_of(site: Site) -> None:
    seen = asked(site, Advice("c1", 0.9, usage=replace(PAID, cost_usd=None)))
    assert seen["oncall_llm_cost_usd_total"] == 0
    assert seen['oncall_llm_tokens_total{kind="input"}'] == 1_200
