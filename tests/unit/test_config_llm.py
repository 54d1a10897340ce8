"""The advisor's settings: nothing is needed without one, and nothing is missing with one."""

from __future__ import annotations

from typing import Any

import pytest

from agent.config import parse
from agent.domain.errors import ConfigError

WHOLE = {"provider": "anthropic", "model": "claude-haiku-4-5", "api_key": {"env": "ANTHROPIC_API_KEY"}}


def llm(values: dict[str, Any]) -> Any:
    return parse({"llm": values}, path="c").llm


def test_without_a_provider_nothing_is_needed() -> None:
    assert llm({}).provider == "none"


def test_a_whole_section_is_fine() -> None:
    assert llm(WHOLE).max_raise == 0.1


@pytest.mark.parametrize("name", ["model", "api_key"])
def test_a_provider_without_its_model_or_key_is_told_what_to_write(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is missing"):
        llm({key: value for key, value in WHOLE.items() if key != name})


WRONG = [
    {"max_raise": 1.1},
    {"max_raise": -0.1},
    {"max_candidates": 1},
    {"max_candidates": 21},
    {"max_output_tokens": 10},
    {"deadline_s": 0},
    {"input_usd_per_million": 1.0},
    {"output_usd_per_million": 1.0},
    {"input_usd_per_million": -1.0, "output_usd_per_million": 1.0},
    {"base_url": "http://llm.example.com"},
]


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_what_could_not_work_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="llm"):
        llm(values)
