"""Alerts of one service that come in together are told of each other, where that is wanted."""

from __future__ import annotations

from agent.domain.incident import Status
from tests.unit.pipeline.conftest import World, runbook, step


def pages(world: World) -> list[str]:
    """Two alerts of one service ten seconds apart, one of another service between them."""
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    ids = []
    for number, service in enumerate(("shop", "billing", "shop")):
        world.answers("redis-cli PING", "PONG")
        incident = world.page(source_id=f"P{number}", title=f"redis n{number}", service=service)
        assert incident.status is Status.RESOLVED
        ids.append(incident.id)
        world.clock.sleep(5)
    return ids


def related(world: World, incident_id: str) -> list[str]:
    return [text for text in world.told(incident_id) if text.startswith("🔗")]


def test_both_threads_say_what_else_came_in_for_the_service(world: World) -> None:
    world.configure(intake={"group_window_s": 60})
    first, other, second = pages(world)
    assert related(world, first) == [f"🔗 Related: {second} “redis n2” of the same service came 10s later"]
    assert related(world, second) == [
        f"🔗 Related: of the same service within 1m 0s before\n    {first} “redis n0”, resolved"
    ]
    assert related(world, other) == []


def test_what_came_in_earlier_than_the_window_is_not_related(world: World) -> None:
    world.configure(intake={"group_window_s": 9})
    first, _, second = pages(world)
    assert (related(world, first), related(world, second)) == ([], [])


def test_nothing_is_told_where_nobody_asked_for_it(world: World) -> None:
    assert [related(world, each) for each in pages(world)] == [[], [], []]
