"""A process that dies anywhere on the way to another runbook loses and repeats nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agent.domain.incident import EventKind, Status
from agent.domain.runs import Leg, Parked, Places
from agent.pipeline.answers import NotTaken
from agent.pipeline.handle import handle
from tests.unit.pipeline.conftest import World
from tests.unit.pipeline.test_edits_restarts import Killed, MortalRun, woken
from tests.unit.pipeline.test_rechoice import OTHER, chooses, two, yes

__all__ = ["two"]

#: The run has so many steps in all; after the last one it is over.
STEPS = 22


def carried_on(world: World, incident_id: str) -> list[str]:
    """Legs until the incident ends; the first wait chooses another runbook, the second says yes."""
    words = [said(chooses(world, OTHER)), said(yes(world))]
    died: list[str] = []
    leg: Leg | None = Leg(incident_id)
    while leg is not None:
        memory = world.store.memory_of(leg, "main")
        if memory is None:
            break
        run = MortalRun(
            world.store, leg, memory, executor_id="main", places=Places(32), closing=threading.Event()
        )
        try:
            with run.riding():
                handle(run, world.context, incident_id)
            leg = None
        except Killed as death:
            died.append(str(death))
        except Parked:
            leg = woken(world, incident_id, words)
    return died


def said(move: Callable[[str], object]) -> Callable[[World, str], None]:
    def say(_: World, incident_id: str) -> None:
        assert not isinstance(move(incident_id), NotTaken)

    return say


@pytest.mark.parametrize("nth", range(STEPS + 1))
def test_it_dies_anywhere_and_goes_on_with_the_other_one(two: World, nth: int) -> None:
    incident_id = two.receive()
    MortalRun.dies_after = nth
    died = carried_on(two, incident_id)
    assert len(died) == (1 if nth else 0)
    incident = two.store.incident(incident_id)
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, OTHER)
    assert two.sandbox.commands() == ["redis-cli DEL sessions"]
    kinds = [event.kind for event in two.store.timeline(incident_id)]
    assert kinds.count(EventKind.APPROVAL_REQUESTED) == 2
    assert kinds.count(EventKind.CHOSEN) == 1
    assert kinds.count(EventKind.MATCHED) == 2
    standing = two.store.autonomy_of(OTHER)
    assert standing is not None
    assert [each.incident_id for each in standing.evidence] == [incident_id]
