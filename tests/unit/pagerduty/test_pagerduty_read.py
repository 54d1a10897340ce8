import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.pagerduty_webhook import (
    IncidentPart,
    Malformed,
    WebhookEvent,
    read,
    to_alert,
    to_source_event,
)
from agent.domain.alert import Urgency
from agent.domain.source_event import ActorKind, EventType

SAMPLES = Path(__file__).resolve().parents[4] / "shared/contracts/pagerduty/webhook-v3"

INCIDENT = {
    "id": "QREDIS01",
    "type": "incident",
    "html_url": "https://pagerduty.example.com/incidents/QREDIS01",
    "status": "triggered",
    "incident_key": "redis/primary",
    "created_at": "2026-03-01T02:03:04Z",
    "title": "Redis connection timeout",
    "service": {"id": "PSVC", "type": "service_reference", "summary": "api-gateway"},
    "assignees": [{"id": "PUSER1", "type": "user_reference"}, None, {"id": None}],
    "teams": [{"summary": "Platform"}, {"summary": "Second"}],
    "priority": {"summary": "P1"},
    "urgency": "high",
}
EVENT = {
    "id": "01EVENT",
    "event_type": "incident.triggered",
    "resource_type": "incident",
    "occurred_at": "2026-03-01T02:03:05.250Z",
    "agent": {"id": "PUSER1", "type": "user_reference", "summary": "On-call Responder"},
    "client": {"name": "Alertmanager", "url": "https://am.example.com"},
    "data": INCIDENT,
}


def event(**changed):
    return json.dumps({"event": {**EVENT, **changed}}).encode()


def incident(**changed):
    return event(data={**INCIDENT, **changed})


def test_a_triggered_incident_is_read_whole():
    assert read(event()) == WebhookEvent(
        event_id="01EVENT",
        event_type="incident.triggered",
        occurred_at=datetime(2026, 3, 1, 2, 3, 5, 250_000, tzinfo=UTC),
        agent_id="PUSER1",
        agent_type="user_reference",
        agent_name="On-call Responder",
        client_name="Alertmanager",
        incident=IncidentPart(
            id="QREDIS01",
            title="Redis connection timeout",
            status="triggered",
            urgency=Urgency.HIGH,
            priority="P1",
            service="api-gateway",
            team="Platform",
            url="https://pagerduty.example.com/incidents/QREDIS01",
            incident_key="redis/primary",
            created_at=datetime(2026, 3, 1, 2, 3, 4, tzinfo=UTC),
            assignee_ids=("PUSER1",),
        ),
    )


def test_the_alert_carries_what_the_webhook_says_and_no_severity():
    alert = to_alert(read(event()))
    assert (alert.source, alert.source_id, alert.dedup_key) == ("pagerduty", "QREDIS01", "redis/primary")
    assert (alert.service, alert.team, alert.priority) == ("api-gateway", "Platform", "P1")
    assert (alert.urgency, alert.severity) == (Urgency.HIGH, None)
    assert alert.fired_at == datetime(2026, 3, 1, 2, 3, 4, tzinfo=UTC)


def test_an_older_payload_without_key_and_time_takes_its_id_and_the_events_time():
    older = {k: v for k, v in INCIDENT.items() if k not in {"incident_key", "created_at"}}
    alert = to_alert(read(event(data=older)))
    assert alert.dedup_key == "QREDIS01"
    assert alert.fired_at == datetime(2026, 3, 1, 2, 3, 5, 250_000, tzinfo=UTC)


def test_a_note_points_to_its_incident():
    note = {
        "id": "PNOTE",
        "type": "incident_note",
        "content": "looking",
        "incident": {"id": "QREDIS01", "type": "incident_reference", "summary": "Redis connection timeout"},
    }
    read_note = read(event(event_type="incident.annotated", data=note))
    assert read_note.incident == IncidentPart(id="QREDIS01", title="Redis connection timeout")


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("pagey.ping", {"type": "ping", "message": "hello"}),
        ("service.updated", {"type": "service", "id": "PSVC", "summary": "api-gateway"}),
        ("incident.something.new", {"type": "incident_something", "id": "X"}),
        ("incident.annotated", None),
    ],
)
def test_an_event_without_incident_is_an_event_all_the_same(event_type, data):
    found = read(event(event_type=event_type, data=data, resource_type="x"))
    assert found.incident is None
    assert to_alert(found) is None


def test_the_short_form_is_a_triggered_incident():
    raw = b'{"incident": {"id": "P123", "title": "Redis down", "urgency": "high"}}'
    found = read(raw)
    assert (found.event_type, found.simple, found.incident.urgency) == (
        "incident.triggered",
        True,
        Urgency.HIGH,
    )
    assert to_alert(found).title == "Redis down"


@pytest.mark.parametrize("word", ["", "severe", "HIGH", None, 1, {"a": 1}, ["high"]])
def test_an_urgency_that_pagerduty_does_not_have_is_none(word):
    assert read(incident(urgency=word)).incident.urgency is None


def test_a_link_that_is_no_web_address_is_left_out():
    assert read(incident(html_url="javascript:alert(1)")).incident.url == ""


def test_text_that_no_database_takes_is_made_storable():
    raw = event().replace(b"Redis connection timeout", rb"Redis \u0000 \ud800 timeout")
    assert read(raw).incident.title == "Redis \ufffd \ufffd timeout"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'"\\ud800"', "not a JSON object"),
        (b"{}", '"event"'),
        (b'{"event": null}', '"event"'),
        (b'{"event": {}}', "event_type"),
        (b'{"event": {"event_type": 7}}', "event_type"),
        (b'{"event": {"event_type": "incident.triggered"}}', "without an incident id"),
        (b'{"event": {"event_type": "incident.resolved", "data": {"type": "incident"}}}', "without"),
        (b'{"messages": [{"event": "incident.trigger"}]}', "V3"),
        (b'{"incident": {"title": "no id"}}', "incident.id"),
        (b'{"incident": {"id": "Q\\ud800"}}', "incident.id"),
        (b"\xff\xfe{}", "UTF-8"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"event": {}, "event": {}}', "twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 200_000, "nested"),
        (b'{"a":' * 200_000, "nested"),
        (b'{"a": "\x00"}', "not JSON"),
        (b" " * (1024 * 1024 + 1), "bytes"),
    ],
)
def test_a_body_that_is_not_understood_is_malformed_with_words(raw, words):
    found = read(raw)
    assert isinstance(found, Malformed)
    assert words in found.reason
    assert len(found.reason) < 300


@pytest.mark.parametrize(
    "time", ["", "yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 5]
)
def test_a_time_that_cannot_be_is_absent(time):
    assert read(event(occurred_at=time)).occurred_at is None


def test_a_time_without_zone_is_taken_as_utc():
    assert read(event(occurred_at="2026-03-01T02:03:05")).occurred_at == datetime(
        2026, 3, 1, 2, 3, 5, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("incident.triggered", EventType.TRIGGERED),
        ("incident.acknowledged", EventType.ACKNOWLEDGED),
        ("incident.reassigned", EventType.REASSIGNED),
        ("incident.delegated", EventType.REASSIGNED),
        ("incident.escalated", EventType.REASSIGNED),
        ("incident.resolved", EventType.RESOLVED),
        ("incident.reopened", EventType.REOPENED),
        ("incident.priority_updated", EventType.OTHER),
        ("incident.unheard_of", EventType.OTHER),
    ],
)
def test_an_event_is_named_in_the_agents_words(event_type, expected):
    source_event = to_source_event(read(event(event_type=event_type)), "delivery-1")
    assert (source_event.type, source_event.name) == (expected, event_type)
    assert (source_event.source_id, source_event.delivery_id) == ("QREDIS01", "delivery-1")
    assert source_event.alert.title == "Redis connection timeout"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ({"id": "P1", "type": "user_reference"}, ActorKind.HUMAN),
        ({"id": "P1", "type": "inbound_integration_reference"}, ActorKind.MACHINE),
        ({"id": "P1", "type": "service_reference"}, ActorKind.MACHINE),
        (None, ActorKind.UNKNOWN),
        ({}, ActorKind.UNKNOWN),
        ("a string", ActorKind.UNKNOWN),
    ],
)
def test_who_did_it_is_told_as_far_as_pagerduty_tells(agent, expected):
    assert to_source_event(read(event(agent=agent)), "d").actor_kind is expected


def test_without_a_delivery_id_the_events_own_id_stands_in():
    assert to_source_event(read(event()), "").delivery_id == "01EVENT"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from([*INCIDENT, *EVENT])


@given(st.binary())
def test_no_bytes_make_read_raise(raw):
    assert isinstance(read(raw), WebhookEvent | Malformed)


@given(JSON)
def test_no_json_makes_read_raise(value):
    assert isinstance(read(json.dumps(value).encode()), WebhookEvent | Malformed)


@given(st.dictionaries(FIELDS, JSON), st.dictionaries(FIELDS, JSON))
def test_no_field_of_a_wrong_type_makes_reading_raise(in_event, in_incident):
    data = {**INCIDENT, **in_incident}
    found = read(json.dumps({"event": {"data": data, **EVENT, **in_event}}).encode())
    if isinstance(found, WebhookEvent):
        to_source_event(found, "d")


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared contracts are not at hand")
def test_every_collected_sample_is_read():
    for path in sorted(SAMPLES.glob("*.json")):
        body = json.loads(path.read_text())
        if "event" not in body:
            continue
        found = read(path.read_bytes())
        assert isinstance(found, WebhookEvent), path.name
        expected = found.event_type.startswith("incident.")
        assert (found.incident is not None) is expected, path.name
        assert not expected or found.incident.title, path.name
