"""A team's incidents of the past, all of them, whatever PagerDuty answers on the way."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.adapters.pagerduty_history import PagerDutyHistory
from agent.domain.alert import Severity, Urgency
from agent.domain.errors import Reason, ServiceError
from agent.simulators.server import Fault

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=30)


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def history(pagerduty, waits):
    reader = PagerDutyHistory(pagerduty.url, pagerduty.api_token, wait=waits.append)
    yield reader
    reader.close()


def made(pagerduty, count: int, *, minutes: int = 1, **fields) -> list[str]:
    found = []
    for at in range(count):
        incident = pagerduty.create_incident(f"Alert {at}", **fields)
        incident.created_at = BEGIN + timedelta(minutes=minutes * at)
        found.append(incident.id)
    return found


def test_every_page_is_read_and_the_alerts_tell_severity_and_labels(pagerduty, history):
    ids = made(pagerduty, 3, severity="error", labels={"alertname": "DiskFull", "pod": "db-0"})
    found = list(history.incidents(BEGIN, END))
    assert [past.id for past in found] == ids
    assert found[1].at == BEGIN + timedelta(minutes=1)
    assert found[0].alert.severity is Severity.ERROR
    assert found[0].alert.urgency is Urgency.HIGH
    assert found[0].alert.labels["alertname"] == "DiskFull"
    assert found[0].runbook is None


def test_more_than_a_page_is_read_in_order_and_without_alerts_in_few_requests(pagerduty, history):
    ids = made(pagerduty, 230)
    assert [past.id for past in history.incidents(BEGIN, END, with_alerts=False)] == ids
    assert len(pagerduty.requests()) == 3


def test_what_lies_outside_of_the_time_is_left_out(pagerduty, history):
    ids = made(pagerduty, 4, minutes=60)
    since = BEGIN + timedelta(hours=1)
    assert [past.id for past in history.incidents(since, since + timedelta(hours=2))] == ids[1:3]


def test_a_year_is_asked_for_in_parts_that_pagerduty_takes(pagerduty, history):
    ids = made(pagerduty, 5, minutes=60 * 24 * 70)
    found = history.incidents(BEGIN, BEGIN + timedelta(days=365), with_alerts=False)
    assert [past.id for past in found] == ids


def test_beyond_the_deepest_page_it_goes_on_from_the_last_time(pagerduty, history, monkeypatch):
    monkeypatch.setattr("agent.adapters.pagerduty_history._DEPTH_MAX", 200)
    ids = made(pagerduty, 450)
    assert [past.id for past in history.incidents(BEGIN, END, with_alerts=False)] == ids


def test_more_incidents_of_one_second_than_can_be_paged_are_told(pagerduty, history, monkeypatch):
    monkeypatch.setattr("agent.adapters.pagerduty_history._DEPTH_MAX", 200)
    made(pagerduty, 450, minutes=0)
    with pytest.raises(ServiceError, match="no later time to go on from"):
        list(history.incidents(BEGIN, END, with_alerts=False))


def test_it_waits_as_long_as_it_is_asked_to_and_goes_on(pagerduty, history, waits):
    ids = made(pagerduty, 2)
    pagerduty.misbehave(Fault(429, headers={"ratelimit-reset": "7"}), Fault(503), Fault(500))
    assert [past.id for past in history.incidents(BEGIN, END, with_alerts=False)] == ids
    assert waits == [7.0, 4.0, 8.0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_it_does_not_ask_for_ever(pagerduty, history, waits, status):
    pagerduty.misbehave(Fault(status, times=-1))
    with pytest.raises(ServiceError):
        list(history.incidents(BEGIN, END))
    assert len(pagerduty.requests()) == 6
    assert len(waits) == 5
    assert max(waits) <= 60


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, Reason.AUTH), (403, Reason.AUTH), (404, Reason.NOT_FOUND), (400, Reason.REJECTED)],
)
def test_what_asking_again_cannot_mend_is_told_at_once(pagerduty, history, waits, status, reason):
    pagerduty.misbehave(Fault(status, times=-1, body=f'{{"error": {{"message": "{pagerduty.api_token}"}}}}'))
    with pytest.raises(ServiceError) as caught:
        list(history.incidents(BEGIN, END))
    assert caught.value.reason is reason
    assert pagerduty.api_token not in str(caught.value) + repr(history)
    assert waits == []
