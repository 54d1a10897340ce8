"""What the two probes make of what they see: an answer or none, a file new, old, broken or gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.adapters.beats import FileProbe, ReadyProbe
from agent.adapters.fake_clock import FakeClock
from agent.adapters.watch_memory import MemoryFile
from agent.domain.watching import Silent, WatchMemory, Well
from agent.simulators.server import Fault
from tests.integration.watching.conftest import Listener


def look(listener: Listener, *, timeout_s: float = 1.0) -> Well | Silent:
    probe = ReadyProbe(f"{listener.url}/ready", timeout_s=timeout_s)
    try:
        return probe.look()
    finally:
        probe.close()


def why(found: Well | Silent) -> str:
    assert isinstance(found, Silent)
    return found.why


def test_an_agent_that_is_ready_is_well(listener: Listener) -> None:
    assert look(listener) == Well()
    assert listener.requests()[0].path == "/ready"


def test_an_agent_that_is_not_ready_says_why(listener: Listener) -> None:
    listener.status, listener.body = 503, {"status": "not ready", "reason": "starting or stopping"}
    assert why(look(listener)) == f"{listener.url}/ready answers 503: starting or stopping"


def test_an_agent_that_is_ready_but_cannot_do_all_of_its_work_is_not_well(listener: Listener) -> None:
    listener.body = {"status": "ready", "problems": ["3 pages are not delivered", "another"]}
    assert why(look(listener)).endswith("answers 200: 3 pages are not delivered; another")


@pytest.mark.parametrize("body", ["<html>It works!</html>", {"status": "ok"}, "", [1]])
def test_whoever_else_answers_is_not_the_agent(listener: Listener, body: object) -> None:
    listener.body = body
    assert "not as oncall-agent answers when it is well" in why(look(listener))


@pytest.mark.parametrize("status", [301, 401, 404, 500, 502])
def test_no_other_status_is_well(listener: Listener, status: int) -> None:
    listener.status = status
    assert f"answers {status}" in why(look(listener))


def test_no_answer_in_time_is_silence(listener: Listener) -> None:
    listener.misbehave(Fault(0, path="/ready", delay_s=0.6))
    assert "does not answer (timeout)" in why(look(listener, timeout_s=0.2))


def test_nobody_there_is_silence(listener: Listener) -> None:
    listener.misbehave(Fault(-1, path="/ready", times=1))
    assert "does not answer (unreachable)" in why(look(listener))


class Desk:
    """A heartbeat file that a test writes, and a probe that reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.probe = FileProbe(path, self.clock, stale_after_s=120)

    def beats(self, *, ago_s: float = 0.0, problems: tuple[str, ...] = ()) -> None:
        at = self.clock.now() - timedelta(seconds=ago_s)
        self.path.write_text(json.dumps({"at": at.isoformat(), "problems": list(problems)}))

    def look(self, *, after_s: float = 0.0) -> Well | Silent:
        self.clock.sleep(after_s)
        return self.probe.look()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "heartbeat.json")


def test_a_file_that_changes_is_well_and_so_it_is_for_a_while(desk: Desk) -> None:
    for _ in range(5):
        desk.beats()
        assert desk.look() == Well()
        assert desk.look(after_s=119) == Well()


def test_a_file_that_stops_changing_is_silent_since_its_last_change(desk: Desk) -> None:
    desk.beats()
    assert desk.look() == Well()
    changed_at = desk.clock.now()
    found = desk.look(after_s=121)
    assert why(found) == "no beat since 2026-01-05 04:17:23 UTC"
    assert found == Silent(why(found), changed_at)


def test_a_file_that_was_old_at_the_first_look_is_silent_from_that_look_on(desk: Desk) -> None:
    """It may be of the time before the machine was switched off."""
    desk.beats(ago_s=3_600)
    assert desk.look() == Silent("its last beat is 3600 s old")
    found = desk.look(after_s=30)
    assert isinstance(found, Silent)
    assert found.since is None
    desk.beats()
    assert desk.look() == Well()


def test_a_clock_that_is_set_anew_makes_no_file_old(desk: Desk) -> None:
    desk.beats()
    assert desk.look() == Well()
    desk.clock.step_back(-7_200)
    assert desk.look(after_s=10) == Well()
    desk.clock.step_back(14_400)
    desk.beats()
    assert desk.look(after_s=10) == Well()


def test_what_the_beat_says_is_wrong_is_wrong(desk: Desk) -> None:
    desk.beats(problems=("the store cannot be written", "another"))
    assert why(desk.look()) == "the store cannot be written; another"


def test_a_file_that_is_not_there_is_silence(desk: Desk) -> None:
    assert why(desk.look()) == f"{desk.path} cannot be read (No such file or directory)"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"at": 5, "problems": []}', '{"at": "2026-01-05"}'])
def test_a_file_that_is_no_heartbeat_is_silence(desk: Desk, text: str) -> None:
    desk.path.write_text(text)
    assert why(desk.look()) == f"{desk.path} is no heartbeat file"


# the watcher's own memory

SINCE = datetime.fromisoformat("2026-01-05T04:17:23+00:00")


@pytest.mark.parametrize(
    "memory",
    [WatchMemory(), WatchMemory(is_paged=False), WatchMemory(True, SINCE, 130.5, "it does not answer")],
)
def test_what_is_remembered_is_found_again(tmp_path: Path, memory: WatchMemory) -> None:
    path = tmp_path / "data" / "watch.json"
    MemoryFile(path).save(memory)
    assert MemoryFile(path).load() == memory


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"is_paged": true, "silent_since": "yesterday", "silent_s": 1, "why": ""}'],
)
def test_a_memory_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "watch.json"
    path.write_text(text)
    assert MemoryFile(path).load() == WatchMemory()


def test_a_memory_that_cannot_be_kept_is_told_and_stops_nothing(
    tmp_path: Path, logged: Callable[[], str]
) -> None:
    (tmp_path / "watch.json").mkdir()
    MemoryFile(tmp_path / "watch.json").save(WatchMemory(is_paged=True))
    assert "watch_memory_unwritable" in logged()
