"""More than one runbook: a human is paged at once and chooses; the incident goes on with that one."""

from __future__ import annotations

import pytest

from agent.domain.decisions import StandDown
from agent.domain.incident import Status
from agent.domain.records import CHOICE, Decision
from tests.unit.pipeline.conftest import World, runbook, step

PING = "redis-cli PING"
PINGS = step(1, PING, keys='Expected output: "PONG"\nAttempts: 1')


@pytest.fixture
def torn(world: World) -> World:
    for name in ("one", "two"):
        world.runbook(runbook(steps=PINGS), name)
    world.answers(PING, "PONG")
    return world


def choose(world: World, incident_id: str, name: str) -> bool:
    return world.store.decide(incident_id, Decision(CHOICE, True, "Responder", world.clock.now(), name))


def choosing(world: World, name: str) -> str:
    """An incident of which somebody says, when asked, which runbook it is."""
    incident_id = world.receive()
    world.on_wait = lambda _: choose(world, incident_id, name)
    return incident_id


def test_the_chosen_runbook_runs_and_it_is_told_who_chose(torn: World) -> None:
    incident = torn.handle(choosing(torn, "two"))
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "two")
    assert "👉 Responder chose two" in torn.told(incident.id)
    assert incident.match_reasons[0] == "chosen by Responder"
    chosen = next(event for event in torn.store.timeline(incident.id) if event.kind == "chosen")
    assert chosen.actor == "Responder"


def test_a_human_is_paged_at_once_with_the_ranked_choices(torn: World) -> None:
    incident_id = torn.receive()

    def look(_: str) -> bool:
        torn.deliver()
        (page,) = torn.pager.open_pages
        assert "More than one runbook matches: one, two" in page.summary
        assert torn.store.incident(incident_id).status is Status.AWAITING_APPROVAL
        return choose(torn, incident_id, "one")

    torn.on_wait = look
    torn.handle(incident_id)
    asked = next(text for text in torn.told(incident_id) if "to choose one" in text)
    assert f"`oncall-agent choose {incident_id} one`" in asked
    assert torn.kinds(incident_id)[:3] == ["received", "learned", "ambiguous"]


def test_nobody_choosing_in_time_escalates_and_wakes_nobody_twice(torn: World) -> None:
    incident = torn.page()
    assert incident.status is Status.ESCALATED
    assert "nobody chose one in time" in incident.result
    assert len(torn.pager.woken) == 1
    assert torn.sandbox.commands() == []


def test_a_choice_after_its_time_is_none(torn: World) -> None:
    incident_id = torn.receive()

    def late(_: str) -> bool:
        torn.clock.sleep(901)
        return choose(torn, incident_id, "one")

    torn.on_wait = late
    assert torn.handle(incident_id).status is Status.ESCALATED
    assert torn.sandbox.commands() == []


def test_a_runbook_that_was_not_offered_is_not_run(torn: World) -> None:
    torn.runbook(runbook(steps=PINGS, triggers='- Alert contains: "disk"'), "three")
    incident = torn.handle(choosing(torn, "three"))
    assert incident.status is Status.ESCALATED
    assert "had not been offered" in incident.result
    assert torn.sandbox.commands() == []


def test_the_first_choice_counts(torn: World) -> None:
    incident_id = torn.receive()
    assert choose(torn, incident_id, "two")
    assert not choose(torn, incident_id, "one")
    torn.on_wait = lambda _: True
    assert torn.handle(incident_id).runbook_id == "two"


def test_a_human_who_takes_over_while_a_choice_is_waited_for_ends_the_wait(torn: World) -> None:
    incident_id = torn.receive()
    torn.on_wait = lambda _: torn.store.stand_down(incident_id, StandDown("Responder", "took it"))
    assert torn.handle(incident_id).status is Status.STOOD_DOWN
    assert torn.sandbox.commands() == []


def test_what_was_offered_is_what_runs_whatever_happens_to_the_file(torn: World) -> None:
    incident_id = torn.receive()

    def change_and_choose(_: str) -> bool:
        torn.runbook(runbook(steps=step(1, "redis-cli FLUSHALL")), "one")
        torn.context.library.reload()
        return choose(torn, incident_id, "one")

    torn.on_wait = change_and_choose
    assert torn.handle(incident_id).status is Status.RESOLVED
    assert torn.sandbox.commands() == [PING]


def test_a_choice_is_no_approval(torn: World) -> None:
    for name in ("one", "two"):
        torn.runbook(runbook(steps=PINGS, limits="- requires_human_approval: true"), name)
    incident = torn.handle(choosing(torn, "one"))
    assert "nobody approved the plan in time" in incident.result
    assert torn.sandbox.commands() == []


def test_a_chosen_runbook_that_is_refused_runs_nothing(torn: World) -> None:
    for name in ("one", "two"):
        torn.runbook(runbook(steps=step(1, "redis-cli FLUSHALL"), limits="- max_pod_restarts: 1"), name)
    incident = torn.handle(choosing(torn, "one"))
    assert incident.result.startswith("Escalated to a human: Refused")
    assert torn.sandbox.commands() == []


def test_a_chosen_runbook_that_fails_wakes_somebody_again(torn: World) -> None:
    torn.answers(PING, "LOADING")
    for name in ("one", "two"):
        torn.runbook(runbook(steps=PINGS.replace("PONG", "NEVER")), name)
    incident = torn.handle(choosing(torn, "one"))
    assert incident.status is Status.ESCALATED
    keys = [page.dedup_key for page in torn.pager.woken]
    assert keys == [f"oncall-agent-{incident.id}", f"oncall-agent-{incident.id}-chosen"]


def test_without_a_pager_it_is_told_that_nobody_is_paged(torn: World) -> None:
    torn.channels = frozenset()
    incident = torn.page()
    asked = next(text for text in torn.told(incident.id) if "to choose one" in text)
    assert "Nobody is paged" in asked
