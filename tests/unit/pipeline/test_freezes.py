"""Freeze windows in the story of an incident."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from agent.domain.incident import Status
from agent.domain.records import Decision
from tests.unit.pipeline.conftest import SETTINGS, World, runbook, step


def freeze(world: World, mode: str, *, begins_in_s: float = -60, **more: Any) -> None:
    """A window around now; the fake clock stands on a whole minute or not."""
    now = world.clock.now()
    begins = now + timedelta(seconds=begins_in_s)
    entry: Mapping[str, Any] = {
        "name": "year end",
        "mode": mode,
        "starts": begins.isoformat(" "),
        "ends": (now + timedelta(hours=1)).isoformat(" "),
        **more,
    }
    configured = dict(SETTINGS)
    world.configure(**configured)
    data = world.config.model_dump() | {"freeze": [entry]}
    world.config = type(world.config).model_validate(data)


def test_in_a_window_of_mode_notify_the_plan_is_told_a_human_paged_and_nothing_run(two_steps: World) -> None:
    freeze(two_steps, "notify")
    incident = two_steps.page()
    assert incident.status is Status.ESCALATED
    assert two_steps.sandbox.commands() == []
    told = "\n".join(two_steps.told(incident.id))
    assert "🧊 Freeze “year end” until" in told
    assert (
        "nothing is run. By hand it would be:\n    $ redis-cli FLUSHDB\n    $ redis-cli DEL sessions" in told
    )
    (page,) = two_steps.pager.open_pages
    assert "freeze “year end” until" in page.summary
    assert two_steps.store.escalation(incident.id)["trigger"] == "freeze"  # type: ignore[index]
    assert two_steps.desk.incident("P1").acknowledged_by == []


def approving(world: World, incident_id: str) -> None:
    """Somebody says yes at once."""

    def wait(_: str) -> bool:
        asked = [e for e in world.store.timeline(incident_id) if e.kind == "approval_requested"]
        decision = Decision(str(asked[-1].data["plan_hash"]), True, "carol", world.clock.now())
        return world.store.decide(incident_id, decision)

    world.on_wait = wait


def test_in_a_window_of_mode_approve_even_what_runs_alone_waits_for_a_yes(two_steps: World) -> None:
    freeze(two_steps, "approve")
    incident_id = two_steps.receive()
    approving(two_steps, incident_id)
    assert two_steps.handle(incident_id).status is Status.RESOLVED
    assert "approval_requested" in two_steps.kinds(incident_id)
    assert any("nothing runs without a yes" in text for text in two_steps.told(incident_id))
    assert two_steps.sandbox.commands() == ["redis-cli FLUSHDB", "redis-cli DEL sessions"]


def test_without_a_yes_nothing_runs_in_a_window_of_mode_approve(two_steps: World) -> None:
    freeze(two_steps, "approve")
    incident = two_steps.page()
    assert (incident.status, two_steps.sandbox.commands()) == (Status.ESCALATED, [])


def test_outside_its_window_and_for_others_a_freeze_is_nothing(two_steps: World) -> None:
    freeze(two_steps, "notify", services=["billing"], runbooks=["disk-full"])
    assert two_steps.page().status is Status.RESOLVED


@pytest.mark.parametrize(
    "about",
    [
        {"services": ["API-*"]},
        {"runbooks": ["redis-*"]},
        {"runbooks": ["redis-connection-timeout.md"]},
        {"services": ["billing"], "runbooks": ["redis-connection-timeout"]},
    ],
)
def test_a_window_is_about_its_services_and_its_runbooks(two_steps: World, about: dict[str, Any]) -> None:
    freeze(two_steps, "notify", **about)
    assert two_steps.page().status is Status.ESCALATED


def test_an_alert_that_does_not_say_its_service_may_be_of_a_frozen_one(two_steps: World) -> None:
    freeze(two_steps, "notify", services=["billing"])
    assert two_steps.page(service="").status is Status.ESCALATED


def test_a_freeze_that_begins_in_the_middle_stops_the_next_change(two_steps: World) -> None:
    freeze(two_steps, "notify", begins_in_s=30)
    two_steps.when_run("redis-cli FLUSHDB", lambda: two_steps.clock.sleep(60))
    incident = two_steps.page()
    assert two_steps.sandbox.commands() == ["redis-cli FLUSHDB"]
    assert incident.status is Status.ESCALATED
    (page,) = two_steps.pager.open_pages
    assert "it was at step 2 (Step 2)" in page.summary
    assert page.details["what_was_tried"] == ["step 1, attempt 1: succeeded, exit code 0"]


def test_reads_go_on_in_a_freeze_that_begins_in_the_middle(world: World) -> None:
    freeze(world, "notify", begins_in_s=30)
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB") + step(2, "redis-cli PING")))
    world.answers("redis-cli FLUSHDB", "OK")
    world.answers("redis-cli PING", "PONG")
    world.when_run("redis-cli FLUSHDB", lambda: world.clock.sleep(60))
    assert world.page().status is Status.RESOLVED


def test_what_a_human_said_yes_to_goes_on_when_a_freeze_that_asks_for_a_yes_begins(two_steps: World) -> None:
    freeze(two_steps, "approve", begins_in_s=30)
    two_steps.runbook(
        "---\nautonomy: approve\n---\n"
        + runbook(
            limits="- max_cache_operations: 2",
            steps=step(1, "redis-cli FLUSHDB") + step(2, "redis-cli DEL sessions"),
        )
    )
    two_steps.when_run("redis-cli FLUSHDB", lambda: two_steps.clock.sleep(60))
    incident_id = two_steps.receive()
    approving(two_steps, incident_id)
    assert two_steps.handle(incident_id).status is Status.RESOLVED


def test_what_runs_alone_is_stopped_when_a_freeze_that_asks_for_a_yes_begins(two_steps: World) -> None:
    freeze(two_steps, "approve", begins_in_s=30)
    two_steps.when_run("redis-cli FLUSHDB", lambda: two_steps.clock.sleep(60))
    assert two_steps.page().status is Status.ESCALATED
    assert two_steps.sandbox.commands() == ["redis-cli FLUSHDB"]


def test_a_yes_is_not_enough_for_a_window_that_lets_nothing_run(two_steps: World) -> None:
    freeze(two_steps, "notify", begins_in_s=30)
    two_steps.runbook("---\nautonomy: approve\n---\n" + runbook(steps=step(1, "redis-cli FLUSHDB")))
    incident_id = two_steps.receive()
    approving(two_steps, incident_id)
    inner = two_steps.on_wait

    def late(topic: str) -> bool:
        two_steps.clock.sleep(60)
        return inner(topic)

    two_steps.on_wait = late
    assert two_steps.handle(incident_id).status is Status.ESCALATED
    assert two_steps.sandbox.commands() == []


def test_a_runbook_that_only_suggests_still_only_suggests(two_steps: World) -> None:
    freeze(two_steps, "approve")
    two_steps.runbook("---\nautonomy: suggest\n---\n" + runbook(steps=step(1, "redis-cli PING")))
    incident = two_steps.page()
    assert "autonomy is suggest" in incident.result
