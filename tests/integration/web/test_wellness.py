"""`/ready` and the metrics say whether the agent can do its work, and since when it cannot."""

from __future__ import annotations

import pytest

from tests.integration.web.conftest import Site
from tests.integration.web.test_web_edges import metrics
from tests.unit.pipeline.conftest import SECRET


@pytest.fixture
def working(site: Site) -> Site:
    for name in ("dispatcher", "watchdog"):
        site.pulse.expect(name, is_vital=True)
    return site


def test_an_agent_that_is_well_is_ready_and_names_no_problem(working: Site) -> None:
    answer = working.get("/ready")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ready", "runbooks": 0})
    assert metrics(working)["oncall_well"] == 1


def test_a_vital_schedule_that_has_not_done_its_work_for_long_makes_it_unready(working: Site) -> None:
    working.world.clock.sleep(100)
    working.pulse.ticked("dispatcher")
    working.world.clock.sleep(21)
    answer = working.get("/ready")
    assert answer.status_code == 503
    assert answer.get_json() == {
        "status": "not ready",
        "reason": "the schedule watchdog has not done its work for 121 s, and says nothing of why",
    }
    assert metrics(working)["oncall_well"] == 0
    working.pulse.ticked("watchdog")
    assert working.get("/ready").status_code == 200


def test_what_keeps_pages_from_humans_is_told_but_keeps_no_webhook_out(working: Site) -> None:
    working.pulse.hindered("pages", f"3 pages are not delivered: key {SECRET} refused")
    answer = working.get("/ready")
    assert answer.status_code == 200
    assert answer.get_json()["status"] == "ready"
    (problem,) = answer.get_json()["problems"]
    assert problem.startswith("3 pages are not delivered")
    assert SECRET not in problem
    assert metrics(working)["oncall_well"] == 0


def test_metrics_tell_when_each_schedule_last_did_its_work(working: Site) -> None:
    assert "oncall_watchdog_last_tick_timestamp_seconds" not in metrics(working)
    working.pulse.ticked("watchdog")
    at = working.world.clock.now().timestamp()
    working.world.clock.sleep(7)
    working.pulse.ticked("dispatcher")
    seen = metrics(working)
    assert seen["oncall_watchdog_last_tick_timestamp_seconds"] == at
    assert seen['oncall_schedule_last_tick_timestamp_seconds{schedule="watchdog"}'] == at
    assert seen['oncall_schedule_last_tick_timestamp_seconds{schedule="dispatcher"}'] == at + 7


def test_metrics_count_what_was_found_stuck_by_its_reason(working: Site) -> None:
    working.store.count({"stuck/backlog": 2})
    seen = metrics(working)
    assert seen['oncall_watchdog_stuck_total{why="backlog"}'] == 2
    assert seen['oncall_watchdog_stuck_total{why="overdue"}'] == 0
