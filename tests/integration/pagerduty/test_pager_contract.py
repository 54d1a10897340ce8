"""One contract, held by the fake pager and by the real adapter against the simulated PagerDuty."""

from dataclasses import dataclass

import pytest

from agent.adapters.fake_desk import FakePager
from agent.adapters.pagerduty_events import PagerDutyEvents
from agent.domain.alert import Severity
from agent.ports import Page, Pager
from agent.simulators.pagerduty import PagerDutySimulator


@dataclass
class FakeSide:
    """The fake, and how to look behind it."""

    pager: FakePager

    def woken(self) -> list[str]:
        return [page.summary for page in self.pager.woken]

    def still_open(self) -> list[str]:
        return [page.dedup_key for page in self.pager.open_pages]


@dataclass
class RealSide:
    """The adapter, and how to look behind it into the simulator."""

    pager: PagerDutyEvents
    sim: PagerDutySimulator

    def woken(self) -> list[str]:
        return [incident.title for incident in self.sim.incidents()]

    def still_open(self) -> list[str]:
        return [alert.alert_key for alert in self.sim.pages() if alert.status == "triggered"]


@pytest.fixture(params=["fake", "pagerduty"])
def side(request):
    if request.param == "fake":
        return FakeSide(FakePager())
    return RealSide(request.getfixturevalue("pager"), request.getfixturevalue("pagerduty"))


def page(key="incident-1", summary="Step 2 failed twice"):
    return Page(key, summary, Severity.CRITICAL, "redis-0", details={"attempts": 2})


def test_it_is_a_pager(side):
    port: Pager = side.pager
    assert callable(port.page)


def test_a_page_wakes_a_human(side):
    side.pager.page(page())
    assert side.woken() == ["Step 2 failed twice"]
    assert side.still_open() == ["incident-1"]


def test_the_same_key_twice_wakes_nobody_twice(side):
    side.pager.page(page())
    side.pager.page(page(summary="Step 2 failed twice, still"))
    assert side.woken() == ["Step 2 failed twice"]


def test_another_key_wakes_again(side):
    side.pager.page(page())
    side.pager.page(page("incident-2", "No runbook matches"))
    assert side.woken() == ["Step 2 failed twice", "No runbook matches"]


def test_clearing_ends_the_page(side):
    side.pager.page(page())
    side.pager.clear("incident-1")
    assert side.still_open() == []


def test_clearing_what_is_not_open_is_fine(side):
    side.pager.clear("never-paged")
    assert side.still_open() == []


def test_a_page_after_it_was_cleared_wakes_again(side):
    side.pager.page(page())
    side.pager.clear("incident-1")
    side.pager.page(page(summary="It came back"))
    assert side.woken() == ["Step 2 failed twice", "It came back"]
