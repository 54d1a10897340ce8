"""The card's buttons for another runbook: who may, what becomes of the question, and the next one's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.domain.incident import Status
from agent.simulators.slack import SlackSimulator
from agent.simulators.slack_presses import buttons
from tests.integration.web.conftest import Site
from tests.integration.web.slack_workplace import ALICE, BOB, Workplace, populate, workplace
from tests.unit.pipeline.conftest import runbook, step


@pytest.fixture
def place(site: Site) -> Iterator[Workplace]:
    with SlackSimulator() as simulator:
        populate(simulator)
        yield workplace(site, simulator)


def torn(place: Workplace) -> None:
    """Beside the runbook that matches best, another one whose conditions hold."""
    other = runbook(title="Redis Memory", steps=step(1, "redis-cli DEL sessions"))
    place.site.world.runbook(other, "redis-memory")
    place.site.world.answers("redis-cli DEL sessions", "1")


def test_a_press_has_the_other_runbook_planned_and_asked_about(place: Workplace) -> None:
    torn(place)
    said: list[str] = []

    def meanwhile(_: str) -> None:
        card = place.card()
        assert "Rather redis-memory" in str(card.blocks)
        assert "Others that match" in card.shown
        said.append(place.press(BOB, "other_runbook:4", card))
        said.append(place.press(ALICE, "other_runbook:4", card))
        said.append(place.press(ALICE, "approve:0", card))

    incident_id = place.waiting(meanwhile)
    assert "takes the role approver" in said[0]
    assert said[1] == "You chose redis-memory: its plan is asked about anew"
    assert "Nothing was done" in said[2]
    assert "alice (by Slack) chose redis-memory instead" in said[2]
    incident = place.site.store.incident(incident_id)
    assert (incident.status, incident.runbook_id) == (Status.ESCALATED, "redis-memory")
    shown = [each.shown for each in place.slack.messages() if each.thread_ts and each.blocks]
    assert any("alice (by Slack) chose redis-memory instead" in each for each in shown)
    assert buttons(place.card()) == []
