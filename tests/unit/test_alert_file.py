from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.adapters.alert_file import AlertFileError, read_alert
from agent.domain.alert import Alert, Severity, Urgency
from tests.unit.alertmanager.alertmanager_bodies import alert, group

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alert.json"


def read(path: Path, data: object) -> Alert:
    path.write_text(json.dumps(data))
    return read_alert(path)


def refused(path: Path, data: object) -> str:
    with pytest.raises(AlertFileError) as raised:
        read(path, data)
    return str(raised.value)


def test_the_normal_form_is_read_whole(path: Path) -> None:
    written: dict[str, Any] = {
        "source": "grafana", "source_id": "7", "title": "Redis is slow", "body": "p99 2 s",
        "severity": "error", "urgency": "high", "service": "api", "labels": {"pod": "a", "shard": 3},
        "priority": "P1", "team": "platform", "environment": "production", "url": "https://example.com/7",
        "dedup_key": "redis-slow",
    }  # fmt: skip
    assert read(path, written) == Alert(
        "grafana", "7", "Redis is slow", "p99 2 s", "api", Severity.ERROR, Urgency.HIGH, "P1", "platform",
        "production", {"pod": "a", "shard": "3"}, "https://example.com/7", "redis-slow",
    )  # fmt: skip


def test_a_title_is_enough(path: Path) -> None:
    assert read(path, {"title": "Redis is slow"}) == Alert("manual", "Redis is slow", "Redis is slow")
    assert read(path, {"title": "x", "dedup_key": "k"}).source_id == "k"


def test_what_is_null_counts_as_left_out(path: Path) -> None:
    alert = read(path, {"title": "x", "severity": None, "labels": None, "service": None, "body": None})
    assert alert == Alert("manual", "x", "x")


def test_a_pagerduty_webhook_is_read_as_the_daemon_reads_it(path: Path) -> None:
    incident = {
        "id": "P1", "type": "incident", "title": "Redis is slow", "urgency": "low",
        "service": {"summary": "api"}, "html_url": "https://acme.pagerduty.com/incidents/P1",
    }  # fmt: skip
    alert = read(path, {"event": {"event_type": "incident.triggered", "data": incident}})
    assert (alert.source, alert.source_id, alert.title) == ("pagerduty", "P1", "Redis is slow")
    assert (alert.urgency, alert.service) == (Urgency.LOW, "api")


def test_the_short_pagerduty_form_is_read_too(path: Path) -> None:
    alert = read(path, {"incident": {"id": "P1", "title": "Redis is slow", "urgency": "high"}})
    assert (alert.source, alert.title, alert.urgency) == ("pagerduty", "Redis is slow", Urgency.HIGH)


def test_an_alertmanager_body_is_read_by_its_first_alert(path: Path) -> None:
    first = {
        "labels": {
            "alertname": "KubePodCrashLooping", "severity": "warning", "service": "api", "team": "platform",
            "env": "production", "pod": "api-1",
        },
        "annotations": {"summary": "Pod restarts", "description": "Pod api-1 restarts"},
        "fingerprint": "f1",
    }  # fmt: skip
    alert = read(path, {"version": "4", "alerts": [first, {"labels": {"alertname": "Another"}}]})
    assert (alert.source, alert.source_id, alert.dedup_key) == ("alertmanager", "f1", "f1")
    assert alert.title == "KubePodCrashLooping: Pod restarts"
    assert alert.body == "Pod restarts\nPod api-1 restarts"
    assert (alert.severity, alert.service, alert.team) == (Severity.WARNING, "api", "platform")
    assert alert.environment == "production"
    assert alert.labels["pod"] == "api-1"


def test_a_whole_alertmanager_body_is_read_as_the_daemon_reads_it_by_what_fires(path: Path) -> None:
    over, fires = alert("Over", status="resolved", fingerprint="f0"), alert("RedisDown", severity="page")
    found = read(path, group(over, fires))
    assert (found.title, found.severity) == ("RedisDown: Redis does not answer", Severity.CRITICAL)
    assert found.source_id == "0d97dcaf238fc112/2026-11-20T23:34:25.807379+00:00"


def test_an_alertmanager_alert_without_a_fingerprint_goes_by_its_name(path: Path) -> None:
    alert = read(path, {"alerts": [{"labels": {"alertname": "Down", "severity": "page"}}]})
    assert (alert.source_id, alert.title, alert.severity) == ("Down", "Down", None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "must hold a JSON object"),
        (None, "must hold a JSON object"),
        ({}, "no title; write a raw webhook body, or"),
        ({"title": 7}, "no title"),
        ({"titel": "x"}, "unknown key titel"),
        ({"title": "x", "severity": "high"}, "severity must be one of critical, error, warning, info"),
        ({"title": "x", "urgency": "critical"}, "urgency must be one of high, low"),
        ({"alerts": ["x"]}, "alerts[0] must be an object"),
        ({"alerts": []}, "unknown key alerts"),
        ({"event": {"data": {}}}, "looks like a PagerDuty webhook, but event.event_type is missing"),
        ({"event": {"event_type": "pagey.ping", "data": {}}}, "but it carries no incident"),
        ({"incident": {"title": "x"}}, "incident.id is missing"),
    ],
)
def test_what_holds_no_alert_is_told_with_the_file_and_a_way_out(
    path: Path, data: object, words: str
) -> None:
    told = refused(path, data)
    assert str(path) in told
    assert words in told


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"title": '])
def test_what_is_no_json_is_told(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    with pytest.raises(AlertFileError, match="is not JSON"):
        read_alert(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(AlertFileError, match="cannot be read: No such file or directory"):
        read_alert(tmp_path / "nowhere.json")
    with pytest.raises(AlertFileError, match="cannot be read: Is a directory"):
        read_alert(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(["title", "event", "incident", "alerts", "labels", "severity"]), JSON))
def test_whatever_the_json_says_it_is_an_alert_or_told_with_words(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data))
    try:
        alert = read_alert(path)
    except AlertFileError as error:
        told = str(error)
    else:
        told = str(path)
        assert all(isinstance(value, str) for value in (alert.title, alert.source_id, *alert.labels.values()))
    assert str(path) in told
