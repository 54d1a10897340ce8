"""`keeptrusts:` in config.yaml: what is meant is understood, what cannot work is refused with a fix."""

from __future__ import annotations

from typing import Any

import pytest

from agent.config import parse
from agent.config.keeptrusts import Keeptrusts
from agent.domain.errors import ConfigError


def section(**keys: Any) -> Keeptrusts:
    keeptrusts = parse({"keeptrusts": keys}, path="config.yaml").keeptrusts
    assert keeptrusts is not None
    return keeptrusts


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"pagerduty": {"compliance": "legal"}}, "names legal: add it to pagerduty.routing_keys"),
        ({"api_url": "http://keeptrusts.example.com"}, "https://"),
        (
            {"webhook_tokens": [{"env": "T"}], "allow_unsigned_webhooks": True},
            "contradict; keep one of them",
        ),
        ({"sla": {"critical": {"response": "2h", "resolution": "1h"}}}, "response is due after"),
        ({"sla": {"critical": {"response": "soon", "resolution": "1h"}}}, "soon"),
        ({"sla": {"high": {"response": "1h", "resolution": "1h"}}}, "high"),
    ],
)
def test_what_cannot_work_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse({"keeptrusts": keys}, path="config.yaml")


def test_a_policy_type_is_found_whatever_its_case_and_others_are_the_default() -> None:
    tokens = {name: {"env": name} for name in ("legal", "rest")}
    config = parse(
        {
            "pagerduty": {"routing_key": {"env": "K"}, "routing_keys": tokens},
            "keeptrusts": {"pagerduty": {"Compliance": "legal", "default": "rest"}},
        },
        path="config.yaml",
    )
    assert config.keeptrusts is not None
    assert config.keeptrusts.pager_target("compliance ") == "legal"
    assert config.keeptrusts.pager_target("") == "rest"
    assert section().pager_target("compliance") == ""


def test_a_policy_has_its_own_runbook_or_that_of_all() -> None:
    found = section(
        runbook_url="https://wiki.example.com/all",
        runbook_urls={"phi-detection": "https://wiki.example.com/phi"},
    )
    assert found.runbook("PHI-detection") == "https://wiki.example.com/phi"
    assert found.runbook("other") == "https://wiki.example.com/all"
    assert section().runbook("other") == ""


def test_the_published_words_are_taken_in_any_case() -> None:
    found = section(sla={"info": {"response": "Next business day", "resolution": "7d"}})
    assert found.sla == section().sla
