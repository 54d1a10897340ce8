"""Anybody's JSON, by a mapping."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from agent.adapters.generic_webhook import GenericSource
from agent.config import parse
from agent.config.sources import Generic
from agent.domain.alert import Severity
from agent.domain.errors import ConfigError
from agent.domain.source_event import EventType
from agent.ports.sources import Malformed, Read

MAPPING = {
    "title": "monitor.name",
    "id": "event_id",
    "dedup_key": "monitor.id",
    "fired_at": "at",
    "body": "text",
    "service": "tags.service || 'unknown'",
    "severity": "level",
    "severity_map": {"sev1": "critical"},
    "labels": "tags",
    "url": "link",
    "status": "state",
    "resolved": ["Recovered", "OK"],
    "acknowledged": ["acked"],
    "firing": ["Alert"],
}
BODY = {
    "event_id": 7_000_000_000_000_000_001,
    "monitor": {"id": 42, "name": "Disk almost full"},
    "at": 1767589043123,
    "text": "91% of /var is used",
    "level": "SEV1",
    "tags": {"service": "postgres", "host": "db-1"},
    "link": "https://monitor.example.com/42",
    "state": "ALERT",
}


def source(mapping=None, **section):
    return GenericSource("acme", Generic(mapping={**MAPPING, **(mapping or {})}, **section))


def read(body=BODY, mapping=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return source(mapping).read(raw, {})


def event(changed=None, mapping=None):
    found = read({**BODY, **(changed or {})}, mapping)
    assert isinstance(found, Read), found
    (one,) = found.events
    return one


def test_a_mapped_alert_is_read_whole():
    found = event()
    alert = found.alert
    assert (found.type, found.source, found.source_id) == (EventType.TRIGGERED, "acme", "7000000000000000001")
    assert (alert.title, alert.body, alert.service) == ("Disk almost full", "91% of /var is used", "postgres")
    assert (alert.severity, alert.dedup_key) == (Severity.CRITICAL, "42")
    assert alert.labels == {"service": "postgres", "host": "db-1"}
    assert alert.url == "https://monitor.example.com/42"
    assert alert.fired_at == datetime(2026, 1, 5, 4, 57, 23, 123_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("Alert", EventType.TRIGGERED),
        ("recovered", EventType.RESOLVED),
        ("ok", EventType.RESOLVED),
        ("ACKED", EventType.ACKNOWLEDGED),
    ],
)
def test_the_status_says_what_happened(state, kind):
    assert event({"state": state}).type is kind


def test_a_status_that_means_nothing_starts_nothing():
    assert read({**BODY, "state": "No data"}) == Read((), why_none="a status without work")


def test_with_an_id_what_is_over_is_the_same_incident():
    assert event({"state": "OK"}).source_id == event().source_id


def test_without_an_id_what_is_over_is_found_by_its_key():
    over = event({"state": "OK", "at": 1767589099000}, {"id": None})
    fired = event(mapping={"id": None})
    assert fired.source_id == "42@2026-01-05T04:57:23.123000+00:00"
    assert over.known_by_key
    assert over.alert.identity == fired.alert.identity


def test_the_same_body_is_the_same_delivery_and_the_next_time_is_another():
    assert event().delivery_id == event().delivery_id
    assert event({"event_id": 8}).delivery_id != event().delivery_id
    assert event({"state": "OK"}).delivery_id != event().delivery_id


def test_many_alerts_in_one_body_are_many_events():
    many = {"batch": {"items": [{**BODY, "event_id": number} for number in range(3)]}}
    found = read(many, {"alerts": "batch.items"})
    assert [each.source_id for each in found.events] == ["0", "1", "2"]


def test_more_alerts_than_are_read_are_refused_whole():
    found = read({"items": [BODY] * 501}, {"alerts": "items"})
    assert isinstance(found, Malformed)


def test_one_alert_of_many_that_is_not_understood_is_told_by_its_place():
    found = read({"items": [BODY, {**BODY, "event_id": None}]}, {"alerts": "items"})
    assert isinstance(found, Malformed)
    assert found.reason == "alert 1: mapping.id (event_id) finds nothing"


@pytest.mark.parametrize(
    ("changed", "mapping", "why"),
    [
        ({"monitor": {}}, {}, "mapping.title (monitor.name) finds no text"),
        ({}, {"alerts": "tags"}, "mapping.alerts finds no list in this body"),
        ({}, {"title": "join(', ', text)"}, "mapping.title cannot be applied to this body"),
        ({"monitor": {"name": "x"}}, {"id": None}, "mapping.dedup_key (monitor.id) finds nothing"),
        ({"at": "soon"}, {"id": None}, "mapping.fired_at (at) finds no time"),
        ({"big": 1e999}, {"title": "to_string(floor(big))"}, "mapping.title cannot be applied"),
    ],
)
def test_what_a_mapping_does_not_find_is_told_with_its_key(changed, mapping, why):
    raw = json.dumps({**BODY, **changed}).replace("Infinity", "1e999").encode()
    found = source(mapping).read(raw, {})
    assert isinstance(found, Malformed)
    assert why in found.reason


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (
            ["env:prod", "team=db", "url:http://x/?a=b", "alone", 7],
            {"env": "prod", "team": "db", "url": "http://x/?a=b"},
        ),
        ({"a": {"b": [1, 2]}, "c": None}, {"a.b": "1, 2"}),
        ("text", {}),
        ({"long": "x" * 2_000}, {}),
    ],
)
def test_labels_are_an_object_or_a_list_of_tags(given, labels):
    assert dict(event({"tags": given}, {"service": None}).alert.labels) == labels


def test_an_id_of_any_length_stays_short_and_different():
    one, other = event({"event_id": "x" * 10_000 + "1"}), event({"event_id": "x" * 10_000 + "2"})
    assert len(one.source_id) < 300
    assert one.source_id != other.source_id


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", 7, "https://x/\n"])
def test_an_address_that_is_none_of_the_web_is_left_out(link):
    assert event({"link": link}).alert.url in ("", "https://x/")


def told(section):
    with pytest.raises(ConfigError) as caught:
        parse({"sources": {"generic": {"acme": section}}}, path="config.yaml")
    return str(caught.value)


@pytest.mark.parametrize("expression", ["a[", "a..b", "no_such_function(@", "", "x" * 1_001, "[" * 900])
def test_a_wrong_expression_is_told_when_the_configuration_is_read(expression):
    assert "sources.generic.acme.mapping.title: " in told({"mapping": {**MAPPING, "title": expression}})


def test_every_wrong_expression_is_told_at_once():
    words = told({"mapping": {**MAPPING, "title": "a[", "service": "b[", "colour": "c"}})
    assert "mapping.title: is not JMESPath" in words
    assert "mapping.service: is not JMESPath" in words
    assert "mapping.colour: is not a known key" in words


def test_a_misspelt_key_under_a_name_gets_a_suggestion():
    assert "mapping.servise: is not a known key; did you mean service?" in told(
        {"mapping": {**MAPPING, "servise": "b"}}
    )


def test_a_mapping_that_cannot_tell_one_alert_from_the_next_is_refused():
    words = told({"mapping": {"title": "t", "dedup_key": "k"}})
    assert "give id" in words
    assert "sources.generic.acme.mapping" in words


@pytest.mark.parametrize(
    "name",
    [
        "pagerduty",
        "grafana",
        "generic",
        "jira",
        "asked",
        "watch",
        "handoff",
        "Acme",
        "a/b",
        "",
        "-a",
        "a" * 41,
    ],
)
def test_a_name_that_is_taken_or_is_none_is_refused(name):
    with pytest.raises(ConfigError, match="generic"):
        parse({"sources": {"generic": {name: {"mapping": MAPPING}}}}, path="config.yaml")


def test_values_of_a_status_need_the_status():
    with pytest.raises(ValidationError, match="status"):
        Generic(mapping={"title": "t", "id": "i", "firing": ["x"]})


def test_a_signature_with_a_prefix_is_proof(tmp_path):
    (tmp_path / "secret").write_text("hmac-canary")
    (tmp_path / "token").write_text("token-canary")
    raw = json.dumps(BODY).encode()
    digest = hmac.new(b"hmac-canary", raw, hashlib.sha256).hexdigest()
    signed = {
        "secrets": [{"file": str(tmp_path / "secret")}],
        "header": "X-Hub-Signature-256",
        "prefix": "sha256=",
    }
    by_hmac = source(hmac=signed)
    assert by_hmac.genuine(raw, {"x-hub-signature-256": f"sha256={digest}"}) is None
    for given in (digest, f"sha1={digest}", "", f"sha256={digest[:-1]}", "sha256=" + "f" * 10_000):
        assert by_hmac.genuine(raw, {"x-hub-signature-256": given}) is not None
    both = source(hmac=signed, bearer_token={"file": str(tmp_path / "token")})
    assert both.genuine(raw, {"x-hub-signature-256": f"sha256={digest}"}) is not None
    token = {"authorization": "Bearer token-canary"}
    assert both.genuine(raw, token) is not None
    assert both.genuine(raw, {**token, "x-hub-signature-256": f"sha256={digest}"}) is None


def test_without_any_secret_nothing_is_taken():
    refused = source().genuine(b"{}", {})
    assert "sources.generic.acme" in refused.reason
    assert source(allow_unsigned_webhooks=True).genuine(b"{}", {}) is None
