"""An alert that keeps coming back: nothing is run, and a human sees the pattern."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.domain.alert import Alert
from agent.domain.incident import Incident, Status
from agent.ports import SourceFacts
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

PING = "redis-cli PING"


@pytest.fixture
def failing(world: World) -> World:
    world.runbook(runbook(steps=step(1, PING, keys='Expected output: "PONG"\nAttempts: 1')))
    world.answers(PING, *["LOADING"] * 9)
    return world


@pytest.fixture
def fixing(world: World) -> World:
    world.runbook(runbook(steps=step(1, PING, keys='Expected output: "PONG"')))
    world.answers(PING, *["PONG"] * 9)
    return world


def again(world: World, number: int, *, after_s: float = 60, **facts: Any) -> Incident:
    world.clock.sleep(after_s)
    return world.page(source_id=f"P{number}", **facts)


def test_the_third_time_within_an_hour_nothing_is_run(failing: World) -> None:
    again(failing, 1)
    again(failing, 2)
    third = again(failing, 3)
    assert third.status is Status.ESCALATED
    assert third.result.startswith("Escalated to a human: flapping: the same alert 3 times within 1h 0m (")
    assert failing.sandbox.commands() == [PING, PING]
    assert failing.store.escalation(third.id)["trigger"] == "flapping"  # type: ignore[index]


def test_the_pattern_is_drawn_with_times_what_was_run_and_how_it_ended(failing: World) -> None:
    again(failing, 1)
    again(failing, 2)
    third = again(failing, 3)
    drawn = next(text for text in failing.told(third.id) if text.startswith("🔁")).splitlines()
    assert len(drawn) == 4
    assert "redis-connection-timeout: step 1 failed; Escalated to a human: Runbook step failed" in drawn[1]
    assert drawn[3].endswith("now: nothing is run")
    page = failing.pager.woken[-1]
    assert "flapping" in page.summary
    assert len(page.details["earlier"]) == 2  # type: ignore[arg-type]


def test_an_alert_that_comes_less_often_is_worked_on(failing: World) -> None:
    for number in range(1, 5):
        incident = again(failing, number, after_s=1_900)
    assert failing.sandbox.commands() == [PING] * 4
    assert incident.status is Status.ESCALATED


def test_how_often_is_too_often_is_configured(failing: World) -> None:
    failing.configure(escalation={"flapping": {"count": 2, "window_s": 100}})
    again(failing, 1)
    assert "flapping" in again(failing, 2, after_s=99).result
    assert "flapping" not in again(failing, 3, after_s=200).result


@pytest.mark.parametrize("other", [{"service": "other"}, {"title": "Redis is full"}])
def test_another_alert_does_not_count(failing: World, other: dict[str, str]) -> None:
    again(failing, 1)
    again(failing, 2, **other)
    assert "flapping" not in again(failing, 3).result


def test_the_sources_own_key_tells_alerts_of_one_title_apart(failing: World) -> None:
    for number in range(1, 4):
        failing.clock.sleep(60)
        facts = SourceFacts(alert_keys=(f"host-{number}",))
        incident = failing.handle(failing.receive(replace(ALERT, source_id=f"P{number}"), facts))
    assert "flapping" not in incident.result


def test_the_sources_own_key_joins_alerts_of_other_titles(failing: World) -> None:
    for number in range(1, 4):
        failing.clock.sleep(60)
        alert = replace(ALERT, source_id=f"P{number}", title=f"Redis {'x' * number}")
        incident = failing.handle(failing.receive(alert, SourceFacts(alert_keys=("redis-down",))))
    assert "flapping" in incident.result


def test_an_alert_that_was_fixed_and_is_back_soon_is_a_symptom(fixing: World) -> None:
    first = again(fixing, 1)
    second = again(fixing, 2, after_s=600)
    assert first.status is Status.RESOLVED
    assert second.status is Status.ESCALATED
    assert "symptom, not cause: redis-connection-timeout fixed it at" in second.result
    assert fixing.sandbox.commands() == [PING]
    assert fixing.store.escalation(second.id)["trigger"] == "recurrence"  # type: ignore[index]
    told = next(text for text in fixing.told(second.id) if text.startswith("🔁"))
    assert f"before ({first.id}):" in told
    assert f"now ({second.id}):" in told
    assert "✅ Incident resolved automatically" in told
    assert f"before ({first.id}):" in fixing.pager.open_pages[0].details["earlier"]  # type: ignore[operator]


def test_an_alert_that_was_fixed_long_ago_is_worked_on_again(fixing: World) -> None:
    again(fixing, 1)
    assert again(fixing, 2, after_s=1_300).status is Status.RESOLVED


def test_the_agents_own_pages_and_runs_by_hand_do_not_count(failing: World) -> None:
    again(failing, 1)
    failing.store.open_manual(ALERT)
    failing.handle(failing.receive(replace(ALERT, source_id="P8"), SourceFacts(clients=("oncall-agent",))))
    assert "flapping" not in again(failing, 2).result


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Latency 523 ms on  API", "latency 9.5 ms on api"),
        ("[FIRING] Disk 91% full", "[firing] disk 99% full"),
        ("Queue (12) grows", "Queue (7) grows"),
    ],
)
def test_numbers_spaces_and_case_make_no_other_alert(one: str, other: str) -> None:
    assert Alert("s", "1", one).identity == Alert("s", "2", other).identity


@pytest.mark.parametrize(
    ("one", "other"), [("db-1 is down", "db-2 is down"), ("web1 slow", "web2 slow"), ("a", "b")]
)
def test_names_make_another_alert(one: str, other: str) -> None:
    assert Alert("s", "1", one).identity != Alert("s", "2", other).identity


def test_a_key_that_is_only_the_incidents_id_is_no_key() -> None:
    assert Alert("s", "1", "t", dedup_key="1").identity == Alert("s", "2", "t", dedup_key="2").identity
