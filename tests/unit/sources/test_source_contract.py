"""What every source of alerts keeps to, whoever posts it."""

import json
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from agent.adapters import sns_webhook
from agent.config import parse
from agent.domain.source_event import EventType
from agent.ports.sources import Malformed, NotGenuine, Read
from agent.web import sources as registry
from tests.unit.sources.sns_signing import TOPIC, Signer, notification

SECRET = "configured-secret-canary"
GIVEN = "given-token-canary"
FIRING = {
    "status": "firing",
    "labels": {"alertname": "Redis"},
    "startsAt": "2026-01-05T04:10:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "abc",
}
INCIDENT = {"id": "P1", "type": "incident", "title": "Redis", "service": {"summary": "api"}}
BODIES = {
    "pagerduty": {"event": {"id": "01", "event_type": "incident.triggered", "data": INCIDENT}},
    "alertmanager": {"version": "4", "status": "firing", "groupKey": "g", "alerts": [FIRING]},
    "opsgenie": {"action": "Create", "alert": {"alertId": "A1", "message": "Redis"}},
    "grafana": {"version": "1", "orgId": 1, "status": "firing", "alerts": [FIRING]},
    "acme": {"title": "Redis", "id": 7},
}
NAMES = [*BODIES, "sns"]


@pytest.fixture(scope="module")
def signer():
    return Signer()


@pytest.fixture
def bodies(signer):
    return {
        name: json.dumps(body).encode()
        for name, body in {**BODIES, "sns": signer.sign(notification())}.items()
    }


@pytest.fixture
def sources(tmp_path, signer, monkeypatch):
    (tmp_path / "secret").write_text(SECRET)
    reference = {"file": str(tmp_path / "secret")}
    token = {"bearer_token": reference}
    config = parse(
        {
            "pagerduty": {"webhook_secrets": [reference]},
            "sources": {
                "alertmanager": token,
                "opsgenie": token,
                "grafana": {**token, "hmac_secrets": [reference]},
                "sns": {"topics": [TOPIC]},
                "generic": {"acme": {**token, "mapping": {"title": "title", "id": "id"}}},
            },
        },
        path="config.yaml",
    )
    now = datetime(2026, 1, 5, 4, 20, tzinfo=UTC)
    monkeypatch.setattr(
        registry,
        "_sns",
        lambda section, is_offline: sns_webhook.SnsSource(
            section, fetch=lambda url: signer.pem, now=lambda: now
        ),
    )
    return registry.sources_of(config)


def test_every_source_that_is_configured_is_listened_to(sources):
    assert set(sources) == set(NAMES)
    assert all(source.name == name for name, source in sources.items())


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_that_fires_is_one_event_of_this_source(sources, bodies, name):
    read = sources[name].read(bodies[name], {})
    assert isinstance(read, Read)
    (event,) = read.events
    assert event.type is EventType.TRIGGERED
    assert event.source == event.alert.source == name
    assert event.source_id == event.alert.source_id
    assert event.delivery_id.startswith(f"{name}:")
    assert len(event.delivery_id) <= 300
    assert event.alert.title


@pytest.mark.parametrize("name", NAMES)
def test_reading_the_same_body_again_says_the_same(sources, bodies, name):
    assert sources[name].read(bodies[name], {}) == sources[name].read(bodies[name], {})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "given", ["", f"Bearer {GIVEN}", "Basic !!!", "Bearer", "Bearer " + "x" * 20_000, "\udc80"]
)
def test_what_does_not_prove_itself_is_refused_without_naming_a_secret(sources, bodies, name, given):
    raw = bodies[name] if name != "sns" else json.dumps({**notification(), "Signature": "AAAA"}).encode()
    headers = {"authorization": given} if given else {}
    with capture_logs() as told:
        refused = sources[name].genuine(raw, headers)
    assert isinstance(refused, NotGenuine)
    assert refused.reason
    for secret in (SECRET, GIVEN):
        assert secret not in refused.reason
        assert secret not in str(told)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b'{"version": "4", "event": 3}']
)
def test_junk_is_told_with_words(sources, name, raw):
    read = sources[name].read(raw, {})
    assert isinstance(read, Malformed)
    assert read.reason
    assert sources[name].genuine(raw, {}) is not None
