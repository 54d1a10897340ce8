"""Every neighbour that speaks HTTP with everything that may be wrong with it: the rows of docs/outages.md."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.incident import EventKind
from tests.acceptance import outage_scenes
from tests.acceptance.outage_faults import Fault, Line
from tests.acceptance.outage_rows import HttpRow, http_rows, matches
from tests.acceptance.outage_scenes import PATIENT_S, TIMEOUT_S, Scene, Seen
from tests.unit.pipeline.conftest import HookedSandbox, World

#: The server that breaks off leaves its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SCENES: dict[str, type[Scene]] = {
    "slack": outage_scenes.SlackScene,
    "events": outage_scenes.EventsScene,
    "rest": outage_scenes.RestScene,
    "advisor": outage_scenes.AdvisorScene,
    "counting": outage_scenes.CountingScene,
    "changing": outage_scenes.ChangingScene,
}


@pytest.fixture
def clock() -> FakeClock:
    """Slack is asked for what was posted since a moment of this clock, and stamps with its own."""
    return FakeClock(datetime.now(UTC))


@pytest.fixture
def world(store: Store, clock: FakeClock, tmp_path: Path) -> World:
    (tmp_path / "runbooks").mkdir()
    return World(store, clock, tmp_path / "runbooks", HookedSandbox())


class Play:
    """One row, played: the neighbour breaks, an incident comes, the neighbour is mended."""

    def __init__(self, row: HttpRow, scene: Scene, line: Line, broken_url: str) -> None:
        self.row = row
        self.scene = scene
        self.line = line
        self.broken_url = broken_url

    def under_the_fault(self) -> Seen:
        if self.row.fault.costs_time:
            self.scene.be_patient(TIMEOUT_S)
        self.scene.connect(self.broken_url)
        self.line.only = self.scene.concerns
        self.line.last = self.scene.comes_before if self.row.neighbour.scene == "changing" else None
        if not self.row.fault.needs_another_address:
            self.line.break_(self.row.fault)
        return self.scene.play()

    def waits(self) -> tuple[list[float], list[dict[str, object]]]:
        """What the sender waits between its tries, and what it logs."""
        sender = self.scene.sender()
        if sender is None:
            return [], []
        expected = self.row.neighbour.waits_for(self.row.fault)
        tries = 3 if self.row.fault.costs_time else len(expected)
        with capture_logs() as logged:
            waits = []
            for _ in range(tries):
                waits.append(sender.deliver())
                self.scene.world.clock.sleep(waits[-1])
        return waits, list(logged)  # type: ignore[arg-type]

    def mended(self) -> None:
        if not self.row.fault.needs_another_address:
            self.line.mend()
        self.scene.be_patient(PATIENT_S)
        self.scene.connect(self.line.url)
        sender = self.scene.sender()
        while sender is not None and sender.channel in self.scene.world.store.outbox_state():
            self.scene.world.clock.sleep(sender.deliver() or 0.2)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in http_rows()])
def test_a_broken_neighbour_is_told_tried_again_and_loses_nothing(
    row: HttpRow, world: World, line_to: Callable[..., Line], bad_tls: ssl.SSLContext
) -> None:
    scene = SCENES[row.neighbour.scene](world)
    with scene.open() as simulator:
        line = line_to(simulator.url)
        broken = {
            Fault.NO_NAME: lambda: "https://vendor.invalid",
            Fault.BAD_TLS: lambda: line_to(simulator.url, tls=bad_tls).url,
        }
        play = Play(row, scene, line, broken.get(row.fault, lambda: line.url)())
        seen = play.under_the_fault()
        waits, logged = play.waits()
        told = world.told(seen.incident.id)
        play.mended()

        assert seen.incident.status is row.neighbour.ends
        assert seen.took_s < PATIENT_S
        if row.told:
            assert [text for text in told if matches(row.told, text)], told
        errors = [str(each.get("error") or each.get("reason")) for each in (*seen.logged, *logged)]
        if row.neighbour.logged:
            events = {str(each["event"]) for each in (*seen.logged, *logged)}
            assert row.neighbour.logged in events
            assert [error for error in errors if matches(row.error, error)], errors
        assert waits == list(row.neighbour.waits_for(row.fault)[: len(waits)])
        scene.nothing_is_lost(seen)


def test_every_fault_has_a_row_for_every_neighbour() -> None:
    rows = {(row.neighbour.scene, row.fault) for row in http_rows()}
    by_address = {("changing", fault) for fault in Fault if fault.needs_another_address}
    assert {(scene, fault) for scene in SCENES for fault in Fault} - rows == by_address


def test_a_page_that_is_late_wakes_once_and_is_told_once(world: World, line_to: Callable[..., Line]) -> None:
    scene = outage_scenes.EventsScene(world)
    with scene.open() as simulator:
        line = line_to(simulator.url)
        scene.be_patient(TIMEOUT_S)
        scene.connect(line.url)
        line.break_(Fault.SLOW)
        seen = scene.play()
        sender = scene.sender()
        for _ in range(3):
            world.clock.sleep(sender.deliver())
        line.mend()
        scene.be_patient(PATIENT_S)
        scene.connect(line.url)
        scene.sender().deliver()
        notes = [
            event.text for event in world.store.timeline(seen.incident.id) if event.kind is EventKind.NOTE
        ]
        assert len([text for text in notes if text.startswith("⚠️ The page could not be delivered yet")]) == 1
        assert notes[-1] == "📟 A human was paged"
        assert len(simulator.requests("/v2/enqueue")) == 4
        assert len(scene.arrived()) == 1  # type: ignore[arg-type]
