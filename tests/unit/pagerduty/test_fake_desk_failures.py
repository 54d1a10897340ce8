import pytest

from agent.adapters.fake_desk import FakeDesk, FakePager
from agent.domain.alert import Severity
from agent.domain.errors import Reason, ServiceError
from agent.ports import Page, SourceFacts

DOWN = ServiceError("pagerduty", Reason.SERVER_ERROR, "down", retryable=True)
PAGE = Page("key", "a human is needed", Severity.CRITICAL, "redis-0")


def test_a_desk_told_to_fail_fails_that_often_and_changes_nothing():
    desk = FakeDesk()
    incident = desk.add("Q1", SourceFacts(title="Redis is down"))
    desk.fail_with(DOWN, DOWN)
    for _ in range(2):
        with pytest.raises(ServiceError):
            desk.acknowledge("Q1")
    assert incident.facts.status == "triggered"
    assert desk.acknowledge("Q1") == desk.own_user_id()


def test_a_pager_told_to_fail_wakes_nobody_until_it_works():
    pager = FakePager()
    pager.fail_with(DOWN)
    with pytest.raises(ServiceError):
        pager.page(PAGE)
    assert not pager.woken
    pager.page(PAGE)
    assert [page.dedup_key for page in pager.open_pages] == ["key"]
