"""A runbook that mostly escalates runs alone no more, until a run resolves or the file changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.domain.incident import Incident, Status
from agent.domain.records import Decision
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

PING = "redis-cli PING"
TEXT = runbook(steps=step(1, PING, keys='Expected output: "PONG"\nAttempts: 1'))
OWNED = f"---\nowner: cache-team\n---\n{TEXT}"


@pytest.fixture
def bad(world: World) -> World:
    """A runbook of which five runs escalated."""
    world.runbook(OWNED)
    ended(world, *["no"] * 5)
    return world


def ended(world: World, *outputs: str) -> list[Incident]:
    """Runs of other alerts, hours apart, whose step prints this."""
    incidents = []
    for output in outputs:
        number = len(world.store.incidents(limit=500))
        world.clock.sleep(4_000)
        world.answers(PING, output)
        incidents.append(world.handle(world.receive(replace(ALERT, source_id=f"R{number}"))))
    return incidents


def approving(world: World, number: int = 90) -> Incident:
    incident_id = world.receive(replace(ALERT, source_id=f"A{number}"))

    def yes(_: str) -> bool:
        decides = getattr(world.store.plan(incident_id), "plan_hash", "")
        return world.store.decide(incident_id, Decision(decides, True, "Responder", world.clock.now()))

    world.on_wait = yes
    incident = world.handle(incident_id)
    world.on_wait = lambda _: False
    return incident


def told_incomplete(world: World, incident: Incident) -> list[str]:
    return [text for text in world.told(incident.id) if text.startswith("⚠️") and "probably" in text]


def test_five_runs_that_escalated_need_an_approval_for_the_sixth(bad: World) -> None:
    (incident,) = ended(bad, "PONG")
    assert "nobody approved the plan in time" in incident.result
    assert len(bad.sandbox.commands()) == 5


def test_the_owner_is_named_in_the_thread(bad: World) -> None:
    (incident,) = ended(bad, "PONG")
    assert told_incomplete(bad, incident) == [
        "⚠️ redis-connection-timeout is probably incomplete: 5 of its last 5 runs escalated. "
        "It needs an approval until a run resolves its incident or the file changes. Owner: cache-team"
    ]


def test_four_runs_say_nothing_yet(world: World) -> None:
    world.runbook(TEXT)
    ended(world, *["no"] * 4)
    (incident,) = ended(world, "PONG")
    assert incident.status is Status.RESOLVED


def test_exactly_the_share_is_not_over_it(world: World) -> None:
    world.runbook(TEXT)
    ended(world, "PONG", *["no"] * 4)
    (incident,) = ended(world, "PONG")
    assert incident.status is Status.RESOLVED


def test_a_share_of_one_holds_nothing_back(world: World) -> None:
    world.configure(matching={"incomplete": {"escalated_share": 1.0}})
    world.runbook(TEXT)
    ended(world, *["no"] * 5)
    (incident,) = ended(world, "PONG")
    assert incident.status is Status.RESOLVED


def test_an_approved_run_that_resolves_lets_it_run_alone_again(bad: World) -> None:
    bad.clock.sleep(4_000)
    bad.answers(PING, "PONG")
    assert approving(bad).status is Status.RESOLVED
    # 5 of 6 is still over 80 %
    bad.clock.sleep(4_000)
    bad.answers(PING, "PONG")
    assert approving(bad, 91).status is Status.RESOLVED
    (incident,) = ended(bad, "PONG")
    assert told_incomplete(bad, incident) == []
    assert incident.status is Status.RESOLVED


def test_another_revision_starts_with_a_clean_record(bad: World) -> None:
    bad.runbook(OWNED + "\nNow better.\n")
    bad.context.library.reload()
    (incident,) = ended(bad, "PONG")
    assert incident.status is Status.RESOLVED


def test_what_never_ran_a_step_is_no_run(bad: World) -> None:
    ended(bad, *["PONG"] * 3)
    revision = bad.context.library.runbooks["redis-connection-timeout"].revision
    assert len(bad.store.run_ends("redis-connection-timeout", revision, limit=100)) == 5


def test_only_the_last_runs_count(world: World) -> None:
    world.configure(matching={"incomplete": {"runs": 5}})
    world.runbook(TEXT)
    ended(world, *["PONG"] * 5, *["no"] * 5)
    (incident,) = ended(world, "PONG")
    assert "of its last 5 runs" in told_incomplete(world, incident)[0]
    assert "Owner: not named in its front matter" in told_incomplete(world, incident)[0]


def test_one_that_waits_for_an_approval_anyway_is_told_so_too(world: World) -> None:
    world.configure(runbooks={"default_autonomy": "approve"})
    world.runbook(TEXT)
    for number in range(6):
        world.clock.sleep(4_000)
        world.answers(PING, "no")
        incident = approving(world, number)
    (told,) = told_incomplete(world, incident)
    assert "It needs" not in told
