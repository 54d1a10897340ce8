"""What waits for a human's word is shown with what it waits for and until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.queue import QueueFilter
from agent.domain.records import CHOICE, Changes, Decision
from agent.web import queue_views
from tests.unit.pipeline.conftest import ALERT, HookedSandbox, World, runbook, step

PING = "redis-cli PING"


@pytest.fixture
def world(store: Store, clock: FakeClock, tmp_path: Path) -> World:
    (tmp_path / "runbooks").mkdir()
    world = World(store, clock, tmp_path / "runbooks", HookedSandbox())
    world.answers(PING, *["PONG"] * 4)
    return world


def asks_for_approval(world: World) -> None:
    world.runbook(runbook(steps=step(1, PING), limits="- requires_human_approval: true"))


def asks_for_a_choice(world: World) -> None:
    for name in ("one", "two"):
        world.runbook(runbook(steps=step(1, PING)), name)


def waiting(world: World) -> list[dict[str, object]]:
    page = queue_views.page(world.store, QueueFilter(), world.clock.now())
    return list(page["escalations"])


def seen_while_it_waits(world: World, *, number: int = 1) -> list[dict[str, object]]:
    seen: list[dict[str, object]] = []

    def look(_: str) -> bool:
        seen.extend(waiting(world))
        return False

    world.on_wait = look
    world.handle(world.receive(replace(ALERT, source_id=f"P{number}")))
    return seen


def test_a_pending_approval_is_shown_with_its_expiry(world: World) -> None:
    asks_for_approval(world)
    (row,) = seen_while_it_waits(world)
    assert (row["status"], row["waits_for"], row["trigger"]) == (
        "waiting",
        "an approval",
        "approval_requested",
    )
    assert str(row["reason"]).startswith("✋ Approval needed within 900 s")
    assert str(row["until"]).startswith("2026-01-05T04:32:23")


def test_a_pending_choice_is_shown_with_what_is_offered(world: World) -> None:
    asks_for_a_choice(world)
    (row,) = seen_while_it_waits(world)
    assert (row["waits_for"], row["trigger"]) == ("a choice among one, two", "ambiguous")
    assert str(row["until"]).startswith("2026-01-05T04:32:23")


def test_what_expired_is_an_escalation_and_no_question_any_more(world: World) -> None:
    asks_for_approval(world)
    seen_while_it_waits(world)
    (row,) = waiting(world)
    assert (row["status"], row["waits_for"], row["until"]) == ("open", "a human", None)
    assert row["trigger"] == "approval_expired"


def test_what_was_answered_waits_no_more_although_its_run_has_not_noticed(world: World) -> None:
    asks_for_a_choice(world)
    incident_id = world.receive()
    after: list[int] = []

    def choose(_: str) -> bool:
        decision = Decision(CHOICE, True, "Responder", world.clock.now(), "one")
        assert world.store.decide(incident_id, decision)
        after.append(len(world.store.waiting()))
        return True

    world.on_wait = choose
    world.handle(incident_id)
    assert after == [0]


def test_questions_come_before_escalations_and_the_one_that_expires_first_before_the_others(
    world: World,
) -> None:
    escalated = world.page(source_id="P1", title="Nobody knows this").id
    expiries = {"P2": 900, "P3": 60}
    asked = {number: asked_for_approval(world, number, within_s) for number, within_s in expiries.items()}
    assert [row["incident_id"] for row in waiting(world)] == [asked["P3"], asked["P2"], escalated]


def asked_for_approval(world: World, number: str, within_s: float) -> str:
    incident_id = world.receive(replace(ALERT, source_id=number))
    until = world.clock.now() + timedelta(seconds=within_s)
    entry = Entry("approval-asked", EventKind.APPROVAL_REQUESTED, "asked", {"plan_hash": "h"})
    changes = Changes(status=Status.AWAITING_APPROVAL, waits_until=until)
    assert world.store.record(incident_id, [entry], changes=changes)
    return incident_id


def test_since_when_and_until_when_go_with_the_status(world: World) -> None:
    incident_id = world.receive()
    until = world.clock.now()
    world.store.record(incident_id, (), changes=Changes(status=Status.AWAITING_APPROVAL, waits_until=until))
    first = columns(world.store)
    world.clock.sleep(5)
    world.store.record(incident_id, (), changes=Changes(status=Status.AWAITING_APPROVAL, waits_until=until))
    assert columns(world.store) == first
    world.store.record(incident_id, (), changes=Changes(status=Status.RUNNING))
    since, waits_until = columns(world.store)
    assert since > first[0]
    assert waits_until is None


def columns(store: Store) -> tuple[str, str | None]:
    with store.database.reading() as connection:
        row = connection.exec_driver_sql("SELECT status_at, waits_until FROM incidents").one()
    return row[0], row[1]
