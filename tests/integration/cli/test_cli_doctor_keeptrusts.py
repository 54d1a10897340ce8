"""`doctor` and Keeptrusts: who is believed, whether our answers reach it, whom its pages wake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.cli.doctor_keeptrusts import keeptrusts_checks
from agent.config import parse
from agent.simulators.keeptrusts import KeeptrustsSimulator


def said(settings: dict[str, Any]) -> dict[str, tuple[str, str]]:
    checks = keeptrusts_checks(parse(settings, path="config.yaml"))
    return {each.name: (each.grade.value, each.seen) for each in checks}


@pytest.fixture
def token(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "token").write_text("simulated-keeptrusts-token")
    return {"file": str(tmp_path / "token")}


def test_left_out_it_says_what_that_means() -> None:
    assert said({}) == {
        "keeptrusts": ("note", "switched off: no escalation of Keeptrusts comes in by its webhook")
    }


def test_in_place_it_is_all_well(token: dict[str, str]) -> None:
    with KeeptrustsSimulator() as keeptrusts:
        keeptrusts.escalate()
        found = said({
            "keeptrusts": {
                "api_url": keeptrusts.url,
                "api_token": token,
                "webhook_tokens": [token],
                "pagerduty": {"compliance": "legal", "default": ""},
            },
            "pagerduty": {"routing_key": token, "routing_keys": {"legal": token}},
        })  # fmt: skip
    assert found == {
        "keeptrusts webhook": ("ok", "1 token(s)"),
        "keeptrusts api": ("ok", "reached; 1 escalation(s) wait there"),
        "keeptrusts pages": ("ok", "compliance → legal, default → the own key"),
    }


def test_what_is_missing_is_told(token: dict[str, str]) -> None:
    found = said({"keeptrusts": {"api_url": "http://127.0.0.1:9", "api_token": token}})
    assert {name: grade for name, (grade, _) in found.items()} == {
        "keeptrusts webhook": "bad",
        "keeptrusts api": "bad",
        "keeptrusts pages": "bad",
    }
    assert said({"keeptrusts": {}})["keeptrusts api"][0] == "note"


@pytest.mark.parametrize(("host", "grade"), [("127.0.0.1", "note"), ("0.0.0.0", "bad")])
def test_webhooks_without_proof_are_bad_beyond_loopback(host: str, grade: str) -> None:
    settings = {"server": {"host": host}, "keeptrusts": {"allow_unsigned_webhooks": True}}
    assert said(settings)["keeptrusts webhook"][0] == grade
