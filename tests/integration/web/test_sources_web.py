"""`POST /webhook/<name>`: every source that is configured, whatever it posts and however often."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from agent.domain.source_event import EventType
from tests.integration.web.conftest import Site
from tests.integration.web.test_web_edges import metrics
from tests.unit.alertmanager.alertmanager_bodies import alert, group

TOKEN = "alertmanager-token-canary"


@pytest.fixture
def site(site: Site) -> Site:
    site.settings = {"sources": {"alertmanager": {"bearer_token": site.secret("alertmanager", TOKEN)}}}
    return site


def post(site: Site, body: object, *, token: str = TOKEN) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"}
    if isinstance(body, bytes):
        return site.client.post("/webhook/alertmanager", data=body, headers=headers)
    return site.client.post("/webhook/alertmanager", json=body, headers=headers)


def many(count: int, **labels: str) -> dict[str, Any]:
    return group(*(alert(pod=f"p{n}", fingerprint=f"f{n}", **labels) for n in range(count)))


def test_one_alert_is_one_incident_and_its_repetition_none(site: Site) -> None:
    first = post(site, group(alert()))
    assert (first.status_code, first.get_json()["outcome"]) == (202, "accepted")
    assert post(site, group(alert(), notification_reason="repeat")).get_json()["outcome"] == "duplicate"
    (incident,) = site.store.incidents()
    assert (incident.alert.source, incident.alert.service) == ("alertmanager", "checkout")
    assert site.notified == 1


def test_a_group_is_an_incident_for_each_alert_in_one_transaction_of_its_own_words(site: Site) -> None:
    answer = post(site, many(5))
    assert answer.status_code == 202
    body = answer.get_json()
    assert (body["received"], body["outcome"]) == (True, "5 alerts")
    assert [each["outcome"] for each in body["alerts"]] == ["accepted"] * 5
    assert len(site.store.incidents()) == 5
    assert site.notified == 1
    assert metrics(site)['oncall_webhooks_total{outcome="new_incident",source="alertmanager"}'] == 5


def test_a_group_may_be_one_incident_however_it_changes(site: Site) -> None:
    site.settings["sources"]["alertmanager"]["one_incident_per"] = "group"
    assert post(site, many(2)).get_json()["outcome"] == "accepted"
    assert post(site, many(3)).get_json()["outcome"] == "known incident"
    later = group(alert(pod="p9", fingerprint="f9", started="2026-11-21T00:10:00Z"))
    assert post(site, later).get_json()["outcome"] == "known incident"
    (incident,) = site.store.incidents()
    over = group(alert(pod="p9", fingerprint="f9", status="resolved", started="2026-11-21T00:10:00Z"))
    over["alerts"][0]["endsAt"] = "2026-11-21T00:20:00Z"
    assert post(site, over).get_json() == {"received": True, "outcome": "stored", "incident": incident.id}
    assert post(site, later | many(1)).get_json()["outcome"] in ("known incident", "duplicate")


def test_while_its_end_waits_to_be_looked_at_a_group_that_fires_may_be_new(site: Site) -> None:
    site.settings["sources"]["alertmanager"]["one_incident_per"] = "group"
    post(site, many(1))
    post(site, group(alert(pod="p0", fingerprint="f0", status="resolved")))
    anew = group(alert(pod="p0", fingerprint="f0", started="2026-11-21T00:10:00Z"))
    assert post(site, anew).get_json()["outcome"] in ("accepted", "same alert")


def test_the_end_of_a_firing_is_known_by_its_alert_where_its_beginning_differs(site: Site) -> None:
    """Two Prometheus servers say so of one alert, or one that was started anew."""
    opened = post(site, group(alert())).get_json()["incident"]
    over = alert(status="resolved", started="2026-11-20T23:34:00Z")
    assert post(site, group(over)).get_json() == {"received": True, "outcome": "stored", "incident": opened}
    ((incident_id, event),) = site.store.unhandled_events(10)
    assert (incident_id, event.type) == (opened, EventType.RESOLVED)


def test_the_end_of_an_earlier_firing_does_not_end_a_later_one(site: Site) -> None:
    post(site, group(alert(started="2026-11-21T10:00:00Z")))
    assert post(site, group(alert(status="resolved"))).get_json()["incident"] is None


def test_what_the_backlog_has_no_room_for_is_asked_for_again_and_the_rest_is_stored_once(site: Site) -> None:
    site.settings["limits"] = {"backlog": 2}
    answer = post(site, many(5))
    assert (answer.status_code, answer.get_json()["outcome"]) == (503, "backlog full")
    assert answer.get_json()["error"].startswith("3 of 5 are not stored: 2 incidents wait")
    assert int(answer.headers["Retry-After"]) > 0
    assert site.notified == 1
    for incident in site.store.incidents():
        site.store.begin_run(incident.id, "main")
    site.world.clock.sleep(1)
    site.settings["limits"] = {"backlog": 10}
    site.restart()
    again = post(site, many(5))
    assert again.status_code == 202
    assert (
        sorted(each["outcome"] for each in again.get_json()["alerts"]) == ["accepted"] * 3 + ["duplicate"] * 2
    )
    assert len(site.store.incidents()) == 5


def test_what_does_not_prove_where_it_is_from_is_401_and_opens_nothing(site: Site) -> None:
    assert post(site, group(alert()), token="guessed").status_code == 401
    assert site.client.post("/webhook/alertmanager", json=group(alert())).status_code == 401
    assert site.store.incidents() == []
    assert metrics(site)['oncall_webhooks_total{outcome="not_genuine",source="alertmanager"}'] == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", {"version": "4"}, group(alert(), version="1")])
def test_what_is_no_webhook_of_it_is_400_with_words(site: Site, body: object) -> None:
    answer = post(site, body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]


def test_a_source_that_is_not_configured_is_404_with_what_to_write(site: Site) -> None:
    site.settings = {}
    answer = post(site, group(alert()))
    assert answer.status_code == 404
    assert answer.get_json()["error"] == "config.yaml has no sources.alertmanager section"


def test_names_that_nobody_could_configure_are_counted_as_one(site: Site) -> None:
    for name in ("a", "b", "x" * 500, "%00"):
        answer = site.client.post(f"/webhook/{name}", json={})
        assert (answer.status_code, answer.get_json()["outcome"]) == (404, "not configured")
    assert metrics(site)['oncall_webhooks_total{outcome="not_configured",source="unknown"}'] == 4


def test_while_it_starts_or_stops_every_source_is_asked_to_send_it_again(site: Site) -> None:
    site.ready.clear()
    for path in ("/webhook/alertmanager", "/webhook/nobody"):
        answer = site.client.post(path, json={})
        assert (answer.status_code, answer.get_json()["outcome"]) == (503, "not ready")
        assert int(answer.headers["Retry-After"]) > 0
    site.ready.set()
    assert metrics(site)['oncall_webhooks_total{outcome="not_ready",source="unknown"}'] == 1


def test_of_a_group_each_alert_is_kept_without_secrets(site: Site) -> None:
    post(site, many(2, note="xoxb-canary-000000000000"))
    assert "xoxb-canary-000000000000" not in site.database_text()
