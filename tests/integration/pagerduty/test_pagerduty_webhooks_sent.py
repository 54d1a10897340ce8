"""Webhooks as PagerDuty sends them: signed, in order, again after 5xx, and dropped after 4xx."""

import socket

import pytest
from flask import Flask, request
from raw_server import closed_port

from agent.adapters.pagerduty_webhook import WebhookEvent, read, to_source_event, verify
from agent.domain.alert import Severity
from agent.domain.source_event import ActorKind, EventType
from agent.ports import Page
from agent.simulators.pagerduty import WEBHOOK_SECRET, PagerDutySimulator
from agent.simulators.pagerduty_bodies import ping_event, webhook_event
from agent.simulators.pagerduty_delivery import Deliverer
from agent.simulators.server import Fault, Simulator
from tests.acceptance.conftest import wait_until

ALL_EVENT_TYPES = [
    "incident.acknowledged",
    "incident.annotated",
    "incident.conference_bridge.updated",
    "incident.custom_field_values.updated",
    "incident.delegated",
    "incident.escalated",
    "incident.incident_type.changed",
    "incident.priority_updated",
    "incident.reassigned",
    "incident.reopened",
    "incident.resolved",
    "incident.responder.added",
    "incident.responder.replied",
    "incident.role.assigned",
    "incident.service_updated",
    "incident.status_update_published",
    "incident.task.completed",
    "incident.task.created",
    "incident.task.updated",
    "incident.triggered",
    "incident.unacknowledged",
    "incident.action_invocation.created",
    "incident.action_invocation.terminated",
    "incident.action_invocation.updated",
    "incident.workflow.started",
    "incident.workflow.completed",
    "service.created",
    "service.custom_field_values.updated",
    "service.deleted",
    "service.updated",
]


@pytest.fixture
def receiver():
    app = Flask("receiver")

    @app.post("/webhook/pagerduty")
    def receive():
        known = verify(request.get_data(), request.headers.get("X-PagerDuty-Signature"), [WEBHOOK_SECRET])
        return {"received": known}, 202 if known else 401

    with Simulator(app) as server:
        yield server


@pytest.fixture
def target(receiver):
    return f"{receiver.url}/webhook/pagerduty"


@pytest.fixture
def subscribed(pagerduty, target):
    pagerduty.subscribe(target)
    return pagerduty


def received(receiver):
    return [read(each.body.encode()) for each in receiver.requests("/webhook")]


def kinds(receiver):
    return [event.event_type for event in received(receiver)]


def test_a_new_incident_arrives_signed(subscribed, receiver):
    incident = subscribed.create_incident(
        "Redis is down", service="api-gateway", team="Platform", priority="P1"
    )
    assert subscribed.wait_until_delivered()
    request_seen = receiver.requests("/webhook")[0]
    assert request_seen.status == 202
    assert request_seen.headers["X-Webhook-Id"]
    assert request_seen.headers["X-Webhook-Subscription"]
    event = received(receiver)[0]
    assert (event.incident.id, event.incident.service) == (incident.id, "api-gateway")
    assert (event.incident.team, event.incident.priority) == ("Platform", "P1")
    assert event.client_name == "Alertmanager"


def test_during_a_rotation_each_secret_signs(pagerduty, receiver, target):
    pagerduty.subscribe(target, ["the-next-one", WEBHOOK_SECRET])
    pagerduty.create_incident("Redis is down")
    assert pagerduty.wait_until_delivered()
    assert receiver.requests("/webhook")[0].status == 202


def test_our_own_writes_come_back_as_ours(subscribed, receiver, desk):
    incident = subscribed.create_incident("Redis is down")
    own_id = desk.acknowledge(incident.id)
    desk.note(incident.id, "Step 1 passed")
    desk.resolve(incident.id, "done")
    assert subscribed.wait_until_delivered()
    events = received(receiver)
    assert kinds(receiver) == [
        "incident.triggered",
        "incident.acknowledged",
        "incident.annotated",
        "incident.resolved",
    ]
    assert [event.agent_id for event in events[1:]] == [own_id] * 3
    assert {event.incident.id for event in events} == {incident.id}


def test_our_own_writes_can_be_kept_from_coming_back(subscribed, receiver, desk):
    subscribed.echo_own_writes = False
    incident = subscribed.create_incident("Redis is down")
    desk.acknowledge(incident.id)
    assert subscribed.wait_until_delivered()
    assert kinds(receiver) == ["incident.triggered"]


def test_a_page_comes_back_as_a_new_incident_of_our_client(subscribed, receiver, pager):
    pager.page(Page("k", "A human is needed", Severity.CRITICAL, "redis-0"))
    pager.clear("k")
    assert subscribed.wait_until_delivered()
    triggered, resolved = received(receiver)
    assert (triggered.client_name, triggered.incident.title) == ("oncall-agent", "A human is needed")
    assert triggered.agent_type == "inbound_integration_reference"
    assert resolved.event_type == "incident.resolved"


def test_a_page_can_be_kept_from_coming_back(subscribed, receiver, pager):
    subscribed.webhooks_for_pages = False
    pager.page(Page("k", "A human is needed", Severity.CRITICAL, "redis-0"))
    assert subscribed.wait_until_delivered()
    assert received(receiver) == []


def test_a_human_who_takes_over_is_told_as_a_human(subscribed, receiver):
    incident = subscribed.create_incident("Redis is down")
    subscribed.acknowledge_as_human(incident.id)
    subscribed.reassign_as_human(incident.id)
    subscribed.resolve_as_human(incident.id)
    subscribed.reopen_as_human(incident.id)
    assert subscribed.wait_until_delivered()
    events = [to_source_event(event, "d") for event in received(receiver)[1:]]
    assert [event.type for event in events] == [
        EventType.ACKNOWLEDGED,
        EventType.REASSIGNED,
        EventType.RESOLVED,
        EventType.REOPENED,
    ]
    assert {event.actor_kind for event in events} == {ActorKind.HUMAN}
    assert subscribed.own_user.id not in {event.actor_id for event in events}


def test_monitoring_that_clears_is_told_as_a_machine(subscribed, receiver):
    incident = subscribed.create_incident("Redis is down")
    subscribed.clear_by_monitoring(incident.id)
    assert subscribed.wait_until_delivered()
    assert to_source_event(received(receiver)[-1], "d").actor_kind is ActorKind.MACHINE


def test_a_5xx_is_delivered_again_with_the_same_id_and_in_order(subscribed, receiver):
    receiver.misbehave(Fault(503, times=2), Fault(-1), Fault(429))
    incident = subscribed.create_incident("Redis is down")
    subscribed.acknowledge_as_human(incident.id)
    assert subscribed.wait_until_delivered()
    assert kinds(receiver) == [*["incident.triggered"] * 5, "incident.acknowledged"]
    assert len({each.headers["X-Webhook-Id"] for each in receiver.requests("/webhook")}) == 2
    first = subscribed.deliveries()[0]
    assert (first.statuses, first.outcome) == ((503, 503, 0, 429, 202), "delivered")


def test_a_failing_incident_does_not_hold_up_another(target, receiver):
    with PagerDutySimulator(deliverer=Deliverer(backoff_s=0.2)) as sim:
        sim.subscribe(target)
        receiver.misbehave(Fault(503))
        first = sim.create_incident("held back")
        second = sim.create_incident("goes on")
        assert sim.wait_until_delivered()
    assert [event.incident.id for event in received(receiver)] == [first.id, second.id, first.id]


def test_a_4xx_drops_the_webhook_and_three_in_a_row_switch_it_off(subscribed, receiver):
    receiver.misbehave(Fault(400, times=3))
    for number in range(5):
        subscribed.create_incident(f"incident {number}")
    assert subscribed.wait_until_delivered()
    assert len(receiver.requests("/webhook")) == 3
    subscribed.create_incident("nobody hears of it")
    assert len(receiver.requests("/webhook")) == 3
    assert {each.outcome for each in subscribed.deliveries()} == {"dropped"}


def test_nobody_listening_is_given_up_in_the_end():
    with PagerDutySimulator(deliverer=Deliverer(tries=3, backoff_s=0.001)) as sim:
        sim.subscribe(f"http://127.0.0.1:{closed_port()}/webhook")
        sim.create_incident("Redis is down")
        assert sim.wait_until_delivered()
        assert [(each.statuses, each.outcome) for each in sim.deliveries()] == [((0, 0, 0), "dropped")]


def test_one_webhook_can_be_sent_now(subscribed, receiver, target):
    incident = subscribed.create_incident("Redis is down")
    assert subscribed.wait_until_delivered()
    event = webhook_event("incident.acknowledged", incident, agent=subscribed.own_user)
    assert subscribed.deliver(target, event, webhook_id="again") == 202
    assert subscribed.deliver(target, event, webhook_id="again") == 202
    assert [each.headers["X-Webhook-Id"] for each in receiver.requests("/webhook")[1:]] == ["again", "again"]
    assert subscribed.deliver(target, ping_event()) == 202
    assert subscribed.deliver(f"http://127.0.0.1:{closed_port()}", ping_event()) == 0


@pytest.mark.parametrize("event_type", ALL_EVENT_TYPES)
def test_every_type_of_event_can_be_sent_and_read(subscribed, receiver, target, event_type):
    incident = subscribed.create_incident("Redis is down")
    assert subscribed.wait_until_delivered()
    assert subscribed.deliver(target, webhook_event(event_type, incident)) == 202
    event = received(receiver)[-1]
    assert isinstance(event, WebhookEvent)
    assert event.event_type == event_type
    assert (event.incident is not None) is event_type.startswith("incident.")
    assert event.incident is None or (event.incident.id, event.incident.title) == (
        incident.id,
        "Redis is down",
    )


def test_what_is_hung_up_on_is_recorded_whole_however_slowly_it_comes(receiver):
    receiver.misbehave(Fault(-1))
    host, port = receiver.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=0.3) as slow:
        slow.sendall(b"POST /webhook/pagerduty HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        with pytest.raises(TimeoutError):
            slow.recv(1)  # it waits for the rest
        slow.sendall(b"{}")
        slow.settimeout(30)
        assert slow.recv(1) == b""
    wait_until(lambda: receiver.requests("/"), "it is recorded")
    (recorded,) = receiver.requests("/")
    assert recorded.body == "{}"
