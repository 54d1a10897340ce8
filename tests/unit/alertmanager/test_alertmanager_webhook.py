"""What Alertmanager's webhook says, and what is none of its own."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.adapters.alertmanager_webhook import AlertmanagerSource, read
from agent.config.secrets import SecretReference
from agent.config.sources import Alertmanager
from agent.domain.alert import Severity
from agent.domain.source_event import EventType, SourceEvent
from agent.ports.sources import Malformed, NotGenuine, Read
from tests.unit.alertmanager.alertmanager_bodies import alert, group

CONTRACTS = Path(__file__).parents[3].parent / "shared" / "contracts" / "alertmanager"

#: What the shared facts are checked by, where they are there.
SAMPLES = sorted(CONTRACTS.glob("*webhook-v4*.json")) + sorted(CONTRACTS.glob("real.*.json"))


def events(body: dict[str, Any], **section: Any) -> list[SourceEvent]:
    found = read(json.dumps(body).encode(), Alertmanager(**section))
    assert isinstance(found, Read), found
    return list(found.events)


def why(body: object) -> str:
    found = read(json.dumps(body).encode(), Alertmanager())
    assert isinstance(found, Malformed), found
    return found.reason


def test_each_alert_of_a_group_is_an_event_with_its_own_status() -> None:
    fires, over = events(group(alert(pod="a"), alert(pod="b", status="resolved", fingerprint="f2")))
    assert (fires.type, over.type) == (EventType.TRIGGERED, EventType.RESOLVED)
    assert fires.source_id == "0d97dcaf238fc112/2026-11-20T23:34:25.807379+00:00"
    assert over.occurred_at == datetime(2026, 11, 20, 23, 49, 35, 815114, tzinfo=UTC)


def test_an_alert_is_told_in_our_words() -> None:
    (event,) = events(group(alert(team="shop", env="production", pod="checkout-1")))
    assert event.alert is not None
    told = event.alert
    assert (told.source, told.title) == ("alertmanager", "RedisDown: Redis does not answer")
    assert told.body == "Redis does not answer\nNo PONG"
    assert (told.service, told.team, told.environment) == ("checkout", "shop", "production")
    assert (told.severity, told.dedup_key) == (Severity.CRITICAL, "0d97dcaf238fc112")
    assert told.labels["pod"] == "checkout-1"
    assert told.url.startswith("http://prometheus.example.com:9090/")
    assert told.fired_at == datetime(2026, 11, 20, 23, 34, 25, 807379, tzinfo=UTC)


def test_a_runbooks_address_is_a_link_and_no_words() -> None:
    noted = {"runbook_url": "https://runbooks.example.com/redis", "dashboard": "javascript:alert(1)"}
    (event,) = events(group(alert(annotations=noted)))
    assert event.alert is not None
    assert event.alert.links == ("https://runbooks.example.com/redis",)
    assert "runbooks.example.com" not in event.alert.body


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("critical", Severity.CRITICAL), ("page", Severity.CRITICAL), ("error", Severity.ERROR),
        ("Warning", Severity.WARNING), ("info", Severity.INFO), ("none", Severity.INFO), ("purple", None),
    ],
)  # fmt: skip
def test_the_words_of_the_field_are_severities(word: str, severity: Severity | None) -> None:
    (event,) = events(group(alert(severity=word)))
    assert event.alert is not None
    assert event.alert.severity is severity


def test_the_label_that_names_the_service_is_configured() -> None:
    (event,) = events(group(alert(app="cart")), service_label="app")
    assert event.alert is not None
    assert event.alert.service == "cart"


def test_an_alert_that_is_repeated_is_the_same_delivery_and_a_new_firing_is_another() -> None:
    (first,) = events(group(alert()))
    (repeated,) = events(group(alert(), receiver="another", notification_reason="repeat"))
    (anew,) = events(group(alert(started="2026-11-21T00:00:00Z")))
    (over,) = events(group(alert(status="resolved")))
    assert repeated.delivery_id == first.delivery_id
    assert len({first.delivery_id, anew.delivery_id, over.delivery_id}) == 3
    assert (over.source_id, anew.source_id != first.source_id) == (first.source_id, True)


def test_what_was_left_out_of_a_group_is_told() -> None:
    (event,) = events(group(alert(), truncated=3))
    assert event.alert is not None
    assert "Alertmanager left 3 more alerts of this group out (max_alerts)" in event.alert.body


def test_a_group_may_be_one_incident_which_fires_while_any_of_it_does() -> None:
    both = group(alert(pod="a"), alert(pod="b", fingerprint="f2", severity="warning"))
    (event,) = events(both, one_incident_per="group")
    assert event.type is EventType.TRIGGERED
    assert event.alert is not None
    assert event.alert.title == "RedisDown: Redis does not answer (2 alerts)"
    assert (event.alert.severity, event.alert.service) == (Severity.CRITICAL, "checkout")
    half = group(alert(pod="a", status="resolved"), alert(pod="b", fingerprint="f2"))
    (still,) = events(half, one_incident_per="group")
    assert (still.type, still.source_id) == (EventType.TRIGGERED, event.source_id)
    assert still.delivery_id != event.delivery_id
    ended = group(alert(status="resolved"), alert(status="resolved", fingerprint="f2"))
    (over,) = events(ended, one_incident_per="group")
    assert (over.type, over.source_id) == (EventType.RESOLVED, event.source_id)


def test_a_group_of_more_alerts_than_are_worked_on_one_by_one_is_one_and_is_not_refused() -> None:
    storm = group(*(alert(fingerprint=f"{number:016x}", pod=str(number)) for number in range(501)))
    (event,) = events(storm)
    assert event.alert is not None
    assert event.alert.title.endswith("(501 alerts)")
    assert len(events(storm | {"alerts": storm["alerts"][:500]})) == 500


def test_what_stands_around_the_alerts_is_not_kept_as_often_as_there_are_alerts() -> None:
    body = group(*(alert(fingerprint=f"{number:016x}", pod=str(number)) for number in range(50)))
    body["commonAnnotations"] = {"summary": "x" * 100_000}
    found = read(json.dumps(body).encode(), Alertmanager())
    assert isinstance(found, Read)
    assert sum(len(each) for each in found.kept) < 200_000
    assert all(json.loads(each)["groupKey"] == body["groupKey"] for each in found.kept)


def test_only_its_own_alert_is_kept_with_an_event_and_not_the_whole_group() -> None:
    found = read(json.dumps(group(alert(pod="a"), alert(pod="b", fingerprint="f2"))).encode(), Alertmanager())
    assert isinstance(found, Read)
    kept = [json.loads(each) for each in found.kept]
    assert [len(each["alerts"]) for each in kept] == [1, 1]
    assert [each["alerts"][0]["labels"]["pod"] for each in kept] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "1", "orgId": 1}, "this is Grafana's webhook (version 1)"),
        ({"version": "3"}, "version '3' is not 4"),
        ({"alerts": []}, 'there are no "alerts"'),
        ({"alerts": ["x"]}, "alerts[0] is not an object"),
        ({"status": "sleeping"}, "status 'sleeping' is neither firing nor resolved"),
        ({"alerts": [alert(status="pending")]}, "alerts[0] has the status 'pending'"),
        ({"alerts": [alert(started="soon")]}, "alerts[0] has no startsAt that is a time"),
    ],
)
def test_what_is_none_of_its_own_is_refused_with_words(change: dict[str, Any], words: str) -> None:
    assert words in why(group(alert()) | change)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*group(alert()), *alert()), JSON)))
def test_whatever_comes_is_read_or_refused_with_words(change: dict[str, Any]) -> None:
    inside = {**group(alert()), "alerts": [{**alert(), **change}]}
    for body in ({**group(alert()), **change}, inside, change):
        found = read(json.dumps(body).encode(), Alertmanager())
        assert isinstance(found, Read) or found.reason


def proved(header: str | None, **section: Any) -> NotGenuine | None:
    headers = {} if header is None else {"authorization": header}
    return AlertmanagerSource(Alertmanager(**section)).genuine(b"{}", headers)


@pytest.fixture
def secret(tmp_path: Path) -> SecretReference:
    (tmp_path / "secret").write_text("alertmanager-canary\n")
    return SecretReference(file=str(tmp_path / "secret"))


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_a_bearer_token_or_basic_auth_proves_where_it_is_from(secret: SecretReference) -> None:
    assert proved("Bearer alertmanager-canary", bearer_token=secret) is None
    assert proved(basic("am", "alertmanager-canary"), username="am", password=secret) is None
    both: dict[str, Any] = {"bearer_token": secret, "username": "am", "password": secret}
    assert proved("bearer alertmanager-canary", **both) is None


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Bearer another", "Basic x", "Digest alertmanager-canary",
        basic("am", "another"), basic("root", "alertmanager-canary"), "Bearer é", "Bearer " + "x" * 9000,
    ],
)  # fmt: skip
def test_anything_else_does_not_and_tells_no_secret(header: str | None, secret: SecretReference) -> None:
    doubt = proved(header, bearer_token=secret, username="am", password=secret)
    assert doubt is not None
    assert "canary" not in doubt.reason


def test_without_any_secret_everything_is_refused_unless_the_configuration_says_otherwise() -> None:
    doubt = proved(None)
    assert doubt is not None
    assert "sources.alertmanager names no secret" in doubt.reason
    assert proved(None, allow_unsigned_webhooks=True) is None
    assert proved("Bearer guessed", allow_unsigned_webhooks=True) is not None


def test_a_secret_that_was_replaced_in_its_file_is_taken_without_a_restart(
    secret: SecretReference, tmp_path: Path
) -> None:
    source = AlertmanagerSource(Alertmanager(bearer_token=secret))
    assert source.genuine(b"", {"authorization": "Bearer alertmanager-canary"}) is None
    (tmp_path / "secret").write_text("the-new-one")
    assert source.genuine(b"", {"authorization": "Bearer the-new-one"}) is None
    assert source.genuine(b"", {"authorization": "Bearer alertmanager-canary"}) is not None


def test_half_of_a_name_and_password_is_refused_in_the_configuration(secret: SecretReference) -> None:
    with pytest.raises(ValueError, match="give both username and password"):
        Alertmanager(password=secret)


@pytest.mark.skipif(not SAMPLES, reason="the shared contracts are not beside this checkout")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_what_real_ones_sent_is_read(path: Path) -> None:
    raw = path.read_bytes()
    body = json.loads(raw)
    found = read(raw, Alertmanager())
    if isinstance(found, Malformed):  # an older sample: no version is 4 but 4
        assert body.get("version") != "4", found.reason
        return
    assert [each.type is EventType.TRIGGERED for each in found.events] == [
        each["status"] == "firing" for each in body["alerts"]
    ]
    one = read(raw, Alertmanager(one_incident_per="group"))
    assert isinstance(one, Read)
    assert (one.events[0].type is EventType.TRIGGERED) == (body["status"] == "firing")
