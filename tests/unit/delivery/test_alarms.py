"""Alarms about the agent itself: raised once, taken back once, whatever is restarted or down in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.fake_desk import FakePager
from agent.delivery.alarms import Alarm, Alarms
from agent.domain.alert import Severity
from agent.domain.errors import StoreError
from tests.unit.delivery.conftest import BUSY, DOWN

TROUBLE = Alarm("it cannot do this", "do that", Severity.WARNING, {"count": 3})


class Notes:
    """What the store remembers; it may be unwritable."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.is_full = False

    def keep_known(self, name: str, value: str) -> None:
        if self.is_full:
            raise StoreError("the disk is full")
        self.kept[name] = value

    def forget_known(self, name: str) -> None:
        if self.is_full:
            raise StoreError("the disk is full")
        self.kept.pop(name, None)

    def known(self, prefix: str) -> dict[str, str]:
        return {
            name.removeprefix(prefix): value for name, value in self.kept.items() if name.startswith(prefix)
        }


class Tower:
    """Alarms of a process that may be restarted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.pager = FakePager()
        self.notes = Notes()
        self.restart()

    def restart(self) -> None:
        self.alarms = Alarms(self.pager, self.notes, self.clock, source="agent-0")

    def sees(self, alarm: Alarm | None, *, times: int = 1) -> None:
        for _ in range(times):
            self.alarms.settle("chat-late", alarm)
            self.clock.sleep(5)

    @property
    def open_keys(self) -> list[str]:
        return [page.dedup_key for page in self.pager.open_pages]


@pytest.fixture
def tower() -> Tower:
    return Tower()


def test_an_alarm_is_raised_once_with_what_to_do(tower: Tower) -> None:
    tower.sees(TROUBLE, times=100)
    (page,) = tower.pager.woken
    assert (page.dedup_key, page.summary) == ("oncall-agent-alarm-chat-late", "it cannot do this")
    assert (page.severity, page.source, page.component) == (Severity.WARNING, "agent-0", "oncall-agent")
    assert page.details == {"count": 3, "what_to_do": "do that"}


def test_it_is_taken_back_when_the_trouble_is_over_and_raised_again_when_it_is_back(tower: Tower) -> None:
    for _ in range(2):
        tower.sees(TROUBLE, times=3)
        tower.sees(None, times=3)
        assert tower.open_keys == []
    assert len(tower.pager.woken) == 2


def test_without_trouble_nothing_is_said(tower: Tower) -> None:
    tower.pager.fail_with(DOWN)
    tower.sees(None, times=10)
    tower.sees(TROUBLE)
    assert tower.pager.woken == []  # the failure was still waiting for the first call


def test_a_pager_that_is_down_is_tried_until_it_takes_the_alarm(tower: Tower) -> None:
    tower.pager.fail_with(DOWN, DOWN, BUSY)
    tower.sees(TROUBLE, times=20)
    assert len(tower.pager.woken) == 1


def test_a_restart_neither_raises_it_anew_nor_leaves_it_open(tower: Tower) -> None:
    tower.sees(TROUBLE)
    tower.restart()
    tower.sees(TROUBLE, times=3)
    assert len(tower.pager.woken) == 1
    tower.restart()
    tower.sees(None)
    assert tower.open_keys == []


def test_a_store_that_cannot_be_written_keeps_no_alarm_back(tower: Tower) -> None:
    tower.notes.is_full = True
    tower.sees(TROUBLE, times=3)
    assert len(tower.pager.woken) == 1
    tower.sees(None)
    assert tower.open_keys == []


def test_without_a_pager_the_log_says_it(logged: Callable[[], str]) -> None:
    alarms = Alarms(None, Notes(), FakeClock(), source="agent-0")
    for _ in range(3):
        alarms.settle("chat-late", TROUBLE)
    assert logged().count("it cannot do this") == 1
