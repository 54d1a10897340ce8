"""One contract, held by the fake desk and by the real adapter against the simulated PagerDuty."""

from dataclasses import dataclass

import pytest

from agent.adapters.fake_desk import FakeDesk
from agent.adapters.pagerduty_rest import PagerDutyDesk
from agent.domain.alert import Severity, Urgency
from agent.domain.errors import Reason, ServiceError
from agent.ports import IncidentDesk, SourceFacts
from agent.simulators.pagerduty import PagerDutySimulator


@dataclass
class FakeSide:
    """The fake, and how to look behind it."""

    desk: FakeDesk

    def add(self) -> str:
        facts = SourceFacts(
            title="Redis is down",
            service="api-gateway",
            urgency=Urgency.HIGH,
            severity=Severity.CRITICAL,
            labels={"pod": "redis-0"},
            alert_keys=("redis/primary",),
        )
        self.desk.add("QFAKE1", facts)
        return "QFAKE1"

    def notes(self, source_id: str) -> list[str]:
        return self.desk.incident(source_id).notes

    def acknowledgers(self, source_id: str) -> list[str]:
        return self.desk.incident(source_id).acknowledged_by

    def resolution(self, source_id: str) -> str:
        return self.desk.incident(source_id).resolution


@dataclass
class RealSide:
    """The adapter, and how to look behind it into the simulator."""

    desk: PagerDutyDesk
    sim: PagerDutySimulator

    def add(self) -> str:
        incident = self.sim.create_incident(
            "Redis is down", service="api-gateway", labels={"pod": "redis-0"}, alert_key="redis/primary"
        )
        return incident.id

    def notes(self, source_id: str) -> list[str]:
        return [note.content for note in self.sim.incident(source_id).notes]

    def acknowledgers(self, source_id: str) -> list[str]:
        return [user.id for user, _ in self.sim.incident(source_id).acknowledged_by]

    def resolution(self, source_id: str) -> str:
        return self.sim.incident(source_id).resolution


@pytest.fixture(params=["fake", "pagerduty"])
def side(request):
    if request.param == "fake":
        return FakeSide(FakeDesk())
    return RealSide(request.getfixturevalue("desk"), request.getfixturevalue("pagerduty"))


def test_it_is_an_incident_desk(side):
    port: IncidentDesk = side.desk
    assert callable(port.facts)


def test_facts_tell_what_the_webhook_does_not(side):
    facts = side.desk.facts(side.add())
    assert (facts.title, facts.service, facts.status) == ("Redis is down", "api-gateway", "triggered")
    assert (facts.severity, facts.urgency) == (Severity.CRITICAL, Urgency.HIGH)
    assert facts.labels["pod"] == "redis-0"
    assert facts.alert_keys == ("redis/primary",)


def test_acknowledging_is_seen_at_the_source_and_counted_for_us(side):
    source_id = side.add()
    assert side.desk.acknowledge(source_id) == side.desk.own_user_id()
    assert side.desk.facts(source_id).status == "acknowledged"
    assert side.acknowledgers(source_id) == [side.desk.own_user_id()]


def test_acknowledging_twice_is_fine(side):
    source_id = side.add()
    side.desk.acknowledge(source_id)
    assert side.desk.acknowledge(source_id) in {"", side.desk.own_user_id()}
    assert len(side.acknowledgers(source_id)) == 1


def test_acknowledging_what_is_resolved_does_not_reopen_it(side):
    source_id = side.add()
    side.desk.resolve(source_id, "done")
    assert side.desk.acknowledge(source_id) == ""
    assert side.desk.facts(source_id).status == "resolved"


def test_resolving_is_seen_at_the_source_with_its_reason(side):
    source_id = side.add()
    assert side.desk.resolve(source_id, "the pool was flushed") == side.desk.own_user_id()
    assert side.desk.facts(source_id).status == "resolved"
    assert side.resolution(source_id) == "the pool was flushed"


def test_resolving_twice_is_fine_and_keeps_the_first_reason(side):
    source_id = side.add()
    side.desk.resolve(source_id, "first")
    assert side.desk.resolve(source_id, "second") == ""
    assert side.resolution(source_id) == "first"


def test_a_note_is_added_once_however_often_it_is_sent(side):
    source_id = side.add()
    side.desk.note(source_id, "Step 1 of 2 passed\nOK")
    side.desk.note(source_id, "Step 1 of 2 passed\nOK")
    side.desk.note(source_id, "  Step 1 of 2 passed\nOK\n")
    side.desk.note(source_id, "Step 2 of 2 passed")
    assert side.notes(source_id) == ["Step 1 of 2 passed\nOK", "Step 2 of 2 passed"]


def test_an_empty_note_is_not_added(side):
    source_id = side.add()
    side.desk.note(source_id, " \n")
    assert side.notes(source_id) == []


def test_a_note_is_welcome_on_a_resolved_incident(side):
    source_id = side.add()
    side.desk.resolve(source_id, "done")
    side.desk.note(source_id, "the post-mortem is written")
    assert side.notes(source_id) == ["the post-mortem is written"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda desk: desk.facts("QNOWHERE"),
        lambda desk: desk.acknowledge("QNOWHERE"),
        lambda desk: desk.note("QNOWHERE", "hello"),
        lambda desk: desk.resolve("QNOWHERE", "done"),
        lambda desk: desk.facts("../users/me"),
        lambda desk: desk.facts(""),
    ],
)
def test_an_unknown_incident_is_not_found_and_not_worth_asking_again(side, ask):
    with pytest.raises(ServiceError) as caught:
        ask(side.desk)
    assert caught.value.reason is Reason.NOT_FOUND
    assert not caught.value.retryable
