"""What asking the advisor adds to the totals that Prometheus is shown (agent.web.metrics reads them)."""

from __future__ import annotations

import math

from agent.domain.advice import LATENCY_BUCKETS_S, Advice, NoAdvice


def counts_of(answer: Advice | NoAdvice) -> dict[str, float]:
    """One question: its outcome, tokens, price and time; what is not known adds nothing."""
    usage = answer.usage
    outcome = answer.reason.value if isinstance(answer, NoAdvice) else "advice"
    counts = {
        f"llm/requests/{outcome}": 1.0,
        "llm/tokens/input": float(usage.input_tokens),
        "llm/tokens/output": float(usage.output_tokens),
        "llm/cost_usd": usage.cost_usd or 0.0,
    }
    if usage.latency_s > 0:
        counts |= {"llm/latency/sum": usage.latency_s, f"llm/latency/le/{_bucket(usage.latency_s)}": 1.0}
    return {name: amount for name, amount in counts.items() if amount and math.isfinite(amount)}


def _bucket(latency_s: float) -> str:
    within = next((bound for bound in LATENCY_BUCKETS_S if latency_s <= bound), math.inf)
    return f"{within:g}"
