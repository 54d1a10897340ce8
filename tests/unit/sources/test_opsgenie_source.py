"""Opsgenie's outgoing webhook, read."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters.opsgenie_webhook import OpsgenieSource, read
from agent.config.sources import Opsgenie
from agent.domain.alert import Severity
from agent.domain.source_event import ActorKind, EventType
from agent.ports.sources import Malformed, Read

SAMPLES = Path(__file__).resolve().parents[4] / "shared/contracts/opsgenie"

ALERT = {
    "alertId": "0d4e1c4f-8b1f-4f0a-9c35-2f4f6f2d9a10-1767589043000",
    "message": "Redis connection timeout",
    "description": "checkout cannot reach redis-primary",
    "alias": "redis/primary",
    "tags": ["payments", "eu"],
    "entity": "api-gateway",
    "source": "monitoring",
    "priority": "P2",
    "details": {"pod": "checkout-1", "env": "production", "nested": {"deep": 1}},
    "username": "sre@example.com",
    "userId": "user-1",
    "createdAt": 1767589043123,
    "updatedAt": 1767589043123000110,
}


def body(action="Create", source=None, **changed):
    said = {"action": action, "alert": {**ALERT, **changed}, "source": source or {"name": "", "type": "web"}}
    return json.dumps(said).encode()


def event(*args, **changed):
    found = read(body(*args, **changed))
    assert isinstance(found, Read), found
    (one,) = found.events
    return one


def test_a_created_alert_is_read_whole():
    found = event()
    assert (found.type, found.source_id) == (EventType.TRIGGERED, ALERT["alertId"])
    alert = found.alert
    assert alert.title == "Redis connection timeout"
    assert alert.body == "checkout cannot reach redis-primary"
    assert (alert.service, alert.environment) == ("api-gateway", "production")
    assert (alert.severity, alert.priority) == (Severity.ERROR, "P2")
    assert alert.dedup_key == "redis/primary"
    assert alert.labels["pod"] == "checkout-1"
    assert alert.labels["nested.deep"] == "1"
    assert alert.labels["tags"] == "payments, eu"
    assert alert.fired_at == datetime(2026, 1, 5, 4, 57, 23, 123_000, tzinfo=UTC)


def test_milliseconds_and_nanoseconds_beyond_a_floats_precision_are_both_exact():
    assert event().occurred_at == datetime(2026, 1, 5, 4, 57, 23, 123_000, tzinfo=UTC)
    one, other = event(updatedAt=1767589043123000110), event(updatedAt=1767589043123000111)
    assert one.delivery_id != other.delivery_id


@pytest.mark.parametrize(
    ("given", "priority", "severity"),
    [
        (1, "P1", Severity.CRITICAL),
        ("P3", "P3", Severity.WARNING),
        ("p5", "P5", Severity.INFO),
        ("4", "P4", Severity.INFO),
        (9, "", None),
        (None, "", None),
        (True, "", None),
        ({"x": 1}, "", None),
    ],
)
def test_a_priority_is_a_number_or_a_word(given, priority, severity):
    alert = event(priority=given).alert
    assert (alert.priority, alert.severity) == (priority, severity)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("Create", EventType.TRIGGERED),
        ("Acknowledge", EventType.ACKNOWLEDGED),
        ("AssignOwnership", EventType.REASSIGNED),
        ("TakeOwnership", EventType.REASSIGNED),
        ("Close", EventType.RESOLVED),
        ("Delete", EventType.RESOLVED),
    ],
)
def test_what_is_done_to_an_alert_is_an_event(action, kind):
    assert event(action).type is kind


@pytest.mark.parametrize(
    "action", ["AddNote", "AddTags", "UnAcknowledge", "Snooze", "EscalateNext", "Something"]
)
def test_what_needs_no_work_is_taken_without_an_event(action):
    found = read(body(action))
    assert found == Read((), why_none="no work for the agent")


def test_whoever_works_in_the_web_app_is_a_human_and_an_integration_is_not():
    assert event("Close").actor_kind is ActorKind.HUMAN
    by_machine = event("Close", source={"type": "API"}, username="Alert API")
    assert by_machine.actor_kind is ActorKind.MACHINE
    assert by_machine.actor_name == "Alert API"


def test_an_attempt_to_deliver_it_again_has_the_same_id_and_another_action_has_another():
    assert event().delivery_id == event().delivery_id
    assert event("Close").delivery_id != event().delivery_id


def test_an_alert_without_an_id_is_malformed():
    assert isinstance(read(body(alertId=None)), Malformed)
    assert isinstance(read(b'{"alert": {}}'), Malformed)


@pytest.fixture
def section(tmp_path):
    (tmp_path / "token").write_text("token-canary")
    return Opsgenie(bearer_token={"file": str(tmp_path / "token")})


def test_nothing_is_taken_without_the_secret(section):
    source = OpsgenieSource(section)
    assert source.genuine(body(), {"authorization": "Bearer token-canary"}) is None
    for given in (
        "",
        "Bearer wrong",
        "GenieKey token-canary",
        "Basic " + b64encode(b"a:token-canary").decode(),
    ):
        refused = source.genuine(body(), {"authorization": given})
        assert refused is not None
        assert "token-canary" not in refused.reason


def test_a_section_without_any_secret_refuses_unless_it_says_otherwise():
    refused = OpsgenieSource(Opsgenie()).genuine(body(), {})
    assert refused is not None
    assert "sources.opsgenie" in refused.reason
    assert OpsgenieSource(Opsgenie(allow_unsigned_webhooks=True)).genuine(body(), {}) is None


def test_basic_auth_is_enough(tmp_path):
    (tmp_path / "password").write_text("s3cret:with-colon")
    section = Opsgenie(username="opsgenie", password={"file": str(tmp_path / "password")})
    given = "Basic " + b64encode(b"opsgenie:s3cret:with-colon").decode()
    assert OpsgenieSource(section).genuine(b"{}", {"authorization": given}) is None


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded payloads are beside the repository, not in it")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("create", EventType.TRIGGERED),
        ("acknowledge", EventType.ACKNOWLEDGED),
        ("close", EventType.RESOLVED),
    ],
)
def test_recorded_webhooks_are_read(name, kind):
    raw = (SAMPLES / f"real.{name}.json").read_bytes()
    found = read(raw)
    assert isinstance(found, Read)
    (one,) = found.events
    assert one.type is kind
    assert one.source_id == json.loads(raw)["alert"]["alertId"]
    assert one.alert.fired_at.year in (2015, 2017)
