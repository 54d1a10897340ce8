"""What a model's tokens cost, in US dollars per million: read, written."""

from __future__ import annotations

import re

from agent.domain.advice import Usage

Price = tuple[float, float]

#: https://platform.claude.com/docs/about-claude/models, as of October 2026; Haiku 4.5 by the pricing page of
#: October 2025. A model whose price depends on more than its tokens is left out: no figure beats a wrong one.
PRICES: dict[str, Price] = {
    "claude-haiku-4-5": (1.0, 5.0),
    "claude-sonnet-5-5": (2.0, 10.0),
    "claude-opus-5": (5.0, 25.0),
    "claude-opus-5-5": (4.0, 20.0),
}
_DATED = re.compile(r"-[0-9]{8}$")


def price_of(model: str) -> Price | None:
    """The price of a model by its name or its dated name; None if it is not known."""
    return PRICES.get(model) or PRICES.get(_DATED.sub("", model))


def cost_usd(usage: Usage, price: Price | None) -> float | None:
    """What these tokens cost; cached ones are counted at the full price."""
    if price is None:
        return None
    return (usage.input_tokens * price[0] + usage.output_tokens * price[1]) / 1_000_000
