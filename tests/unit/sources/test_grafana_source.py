"""Grafana's alerting webhook, read and proved."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters.grafana_webhook import GrafanaSource, read
from agent.config.sources import Grafana
from agent.domain.alert import Severity
from agent.domain.source_event import EventType
from agent.ports.sources import Malformed, Read

SAMPLES = Path(__file__).resolve().parents[4] / "shared/contracts/grafana"
NOW = datetime(2026, 1, 5, 4, 20, tzinfo=UTC)

ALERT = {
    "status": "firing",
    "labels": {"alertname": "High latency", "service": "api-gateway", "severity": "warning", "env": "prod"},
    "annotations": {
        "summary": "p99 over 2 s",
        "description": "Requests are slow",
        "runbook_url": "https://runbooks.example.com/latency",
    },
    "startsAt": "2026-01-05T04:17:23.782137894Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "/alerting/grafana/abc/view?orgId=1",
    "dashboardURL": "",
    "panelURL": "https://grafana.example.com/d/x?viewPanel=1",
    "fingerprint": "aaafafe0953f0962",
    "values": {"B": 22.5, "C": 1},
}


def group(*alerts, **changed):
    said = {
        "receiver": "agent",
        "status": "firing",
        "alerts": list(alerts) or [ALERT],
        "externalURL": "https://grafana.example.com/",
        "version": "1",
        "orgId": 3,
        "title": "[FIRING:1]",
        **changed,
    }
    return json.dumps(said).encode()


def events(raw):
    found = read(raw)
    assert isinstance(found, Read), found
    return found.events


def test_a_firing_alert_is_read_whole():
    (event,) = events(group())
    alert = event.alert
    assert event.type is EventType.TRIGGERED
    assert alert.title == "High latency: p99 over 2 s"
    assert "Requests are slow" in alert.body
    assert "Values: B = 22.5, C = 1" in alert.body
    assert (alert.service, alert.severity, alert.environment) == ("api-gateway", Severity.WARNING, "prod")
    assert alert.labels["values.B"] == "22.5"
    assert alert.dedup_key == "3/aaafafe0953f0962"
    assert alert.fired_at == datetime(2026, 1, 5, 4, 17, 23, 782_137, tzinfo=UTC)


def test_relative_addresses_are_told_as_whole_ones():
    (event,) = events(group())
    assert event.alert.url == "https://grafana.example.com/alerting/grafana/abc/view?orgId=1"
    assert event.alert.links == (
        "https://runbooks.example.com/latency",
        "https://grafana.example.com/d/x?viewPanel=1",
    )


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://[half", "//\x00", "file:///etc/passwd", 7]
)
def test_an_address_that_is_none_is_left_out(address):
    (event,) = events(group({**ALERT, "generatorURL": address, "panelURL": address}, externalURL="nonsense"))
    assert event.alert.url == ""
    assert event.alert.links == ("https://runbooks.example.com/latency",)


def test_each_alert_of_a_group_has_its_own_status():
    over = {**ALERT, "status": "resolved", "fingerprint": "bbb", "endsAt": "2026-01-05T04:19:00Z"}
    one, other = events(group(ALERT, over))
    assert (one.type, other.type) == (EventType.TRIGGERED, EventType.RESOLVED)
    assert one.source_id != other.source_id


def test_what_is_resolved_is_the_incident_that_fired_and_the_next_time_is_another():
    (fired,) = events(group())
    (over,) = events(group({**ALERT, "status": "resolved", "endsAt": "2026-01-05T04:19:00Z"}))
    (again,) = events(group({**ALERT, "startsAt": "2026-01-05T05:00:00Z"}))
    assert over.source_id == fired.source_id
    assert over.delivery_id != fired.delivery_id
    assert again.source_id != fired.source_id
    assert again.alert.identity == fired.alert.identity


def test_a_repeated_notification_is_the_same_delivery_whatever_else_is_in_the_group():
    (alone,) = events(group())
    repeated = events(
        group({**ALERT, "fingerprint": "bbb"}, {**ALERT, "values": {"B": 99}}, title="[FIRING:2]")
    )
    assert alone.delivery_id == repeated[1].delivery_id


def test_two_organisations_may_have_the_same_fingerprint():
    (one,), (other,) = events(group()), events(group(orgId=4))
    assert one.source_id != other.source_id


def test_the_button_that_tries_a_contact_point_starts_nothing():
    tried = {**ALERT, "labels": {"alertname": "TestAlert", "instance": "Grafana", "grafana_folder": "x"}}
    assert read(group(tried)) == Read((), why_none="a test notification")


@pytest.mark.parametrize("changed", [{"status": "pending"}, {"startsAt": "soon"}, {"startsAt": None}])
def test_an_alert_that_is_not_understood_is_told_by_its_place(changed):
    found = read(group(ALERT, {**ALERT, **changed}))
    assert isinstance(found, Malformed)
    assert "alerts[1]" in found.reason


def test_the_label_that_names_the_service_is_the_operators_choice():
    found = read(group({**ALERT, "labels": {"job": "payments"}}), service_label="job")
    assert found.events[0].alert.service == "payments"


def signed(raw, secret="hmac-canary", at=""):
    return hmac.new(secret.encode(), f"{at}:".encode() + raw if at else raw, hashlib.sha256).hexdigest()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "hmac"
    path.write_text("hmac-canary")
    return path


@pytest.mark.parametrize("header", ["x-grafana-alerting-signature", "x-grafana-alert-signature"])
def test_a_signature_over_the_body_is_proof(secret, header):
    source = GrafanaSource(Grafana(hmac_secrets=[{"file": str(secret)}]))
    raw = group()
    assert source.genuine(raw, {header: signed(raw)}) is None
    assert source.genuine(raw + b" ", {header: signed(raw)}) is not None
    assert source.genuine(raw, {header: signed(raw, "another")}) is not None
    assert source.genuine(raw, {}) is not None
    assert source.genuine(raw, {header: "\udc80" * 20}) is not None


def test_a_secret_that_was_replaced_is_fetched_anew(secret):
    source = GrafanaSource(Grafana(hmac_secrets=[{"file": str(secret)}]))
    raw, header = group(), "x-grafana-alerting-signature"
    assert source.genuine(raw, {header: signed(raw)}) is None
    secret.write_text("next-canary")
    assert source.genuine(raw, {header: signed(raw, "next-canary")}) is None
    assert source.genuine(raw, {header: signed(raw)}) is not None


def test_with_a_timestamp_header_an_old_signature_is_a_replay(secret):
    section = Grafana(
        hmac_secrets=[{"file": str(secret)}], hmac_header="X-Sig", hmac_timestamp_header="X-Sig-At"
    )
    source = GrafanaSource(section, now=lambda: NOW)
    raw, at = group(), str(int(NOW.timestamp()) - 200)
    assert source.genuine(raw, {"x-sig": signed(raw, at=at), "x-sig-at": at}) is None
    for stamp in (
        str(int(NOW.timestamp()) - 301),
        str(int(NOW.timestamp()) + 301),
        "",
        "soon",
        "٣",
        "9" * 30,
    ):
        assert source.genuine(raw, {"x-sig": signed(raw, at=stamp), "x-sig-at": stamp}) is not None
    assert source.genuine(raw, {"x-sig": signed(raw), "x-sig-at": at}) is not None


def test_whatever_proof_is_configured_is_needed(secret, tmp_path):
    (tmp_path / "token").write_text("token-canary")
    section = Grafana(hmac_secrets=[{"file": str(secret)}], bearer_token={"file": str(tmp_path / "token")})
    source, raw = GrafanaSource(section), group()
    signature = {"x-grafana-alerting-signature": signed(raw)}
    token = {"authorization": "Bearer token-canary"}
    assert source.genuine(raw, {**signature, **token}) is None
    assert source.genuine(raw, signature) is not None
    assert source.genuine(raw, token) is not None


def test_without_any_secret_nothing_is_taken():
    assert GrafanaSource(Grafana()).genuine(group(), {}) is not None


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded payloads are beside the repository, not in it")
def test_recorded_notifications_are_read():
    mixed = events((SAMPLES / "real.mixed-firing-resolved.v9.2022.json").read_bytes())
    assert [each.type for each in mixed] == [EventType.RESOLVED, EventType.RESOLVED, EventType.TRIGGERED]
    assert mixed[0].alert.title == "Test alert: This is a summary field, failure on badhost.example.com"
    tried = read((SAMPLES / "test-notification.v12.2026.json").read_bytes())
    assert tried == Read((), why_none="a test notification")
