"""A process that dies anywhere on the way to another runbook loses and repeats nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.domain.incident import EventKind, Status
from agent.pipeline.answers import NotTaken
from tests.unit.pipeline.conftest import World
from tests.unit.pipeline.mortal import MortalRun, Words, carried_on
from tests.unit.pipeline.test_rechoice import OTHER, chooses, two, yes

__all__ = ["two"]

#: The run has so many steps in all; after the last one it is over.
STEPS = 22


def said(move: Callable[[str], object]) -> Words:
    def say(_: World, incident_id: str) -> None:
        assert not isinstance(move(incident_id), NotTaken)

    return say


@pytest.mark.parametrize("nth", range(STEPS + 1))
def test_it_dies_anywhere_and_goes_on_with_the_other_one(two: World, nth: int) -> None:
    incident_id = two.receive()
    MortalRun.dies_after = nth
    died = carried_on(two, incident_id, [said(chooses(two, OTHER)), said(yes(two))])
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
