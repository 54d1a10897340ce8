"""What is answered while something is wrong: with us, with the question, or with the configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters.store import Store
from agent.domain.outbox import ChatLine
from tests.integration.web.conftest import Site, triggered

Break = Callable[[Site], None]


def _tables_gone(site: Site) -> None:
    with site.store.database.writing() as connection:
        for table in ("deliveries", "incidents", "outbox"):
            connection.exec_driver_sql(f"DROP TABLE {table}")


def _file_gone(site: Site) -> None:
    site.store.close()
    _path(site).unlink()


def _not_a_database(site: Site) -> None:
    site.store.close()
    _path(site).write_bytes(b"this is no database, " * 1000)


def _read_only(site: Site) -> None:
    site.store.close()
    site.store = Store(f"sqlite:///file:{_path(site)}?mode=ro&uri=true", site.world.clock)


def _path(site: Site) -> Path:
    return Path(site.store.database.url.removeprefix("sqlite:///"))


BROKEN = {
    "tables gone": _tables_gone,
    "file gone": _file_gone,
    "not a database": _not_a_database,
}


@pytest.fixture(params=[*BROKEN, "read only"])
def unwritable(request: pytest.FixtureRequest, site: Site) -> Site:
    {**BROKEN, "read only": _read_only}[request.param](site)
    return site


@pytest.fixture(params=list(BROKEN))
def unreadable(request: pytest.FixtureRequest, site: Site) -> Site:
    BROKEN[request.param](site)
    return site


def test_a_webhook_that_cannot_be_stored_is_503_so_that_it_is_sent_again(unwritable: Site) -> None:
    answer = unwritable.webhook(triggered())
    assert answer.status_code == 503
    assert "send it again" in answer.get_json()["error"]
    assert unwritable.notified == 0
    unwritable.store.close()


@pytest.mark.parametrize(
    "path",
    ["/api/v1/incidents", "/api/v1/incidents/inc-0", "/api/v1/escalations", "/ready"],
)
def test_what_needs_the_store_is_503_while_it_cannot_be_used(unreadable: Site, path: str) -> None:
    answer = unreadable.get(path)
    assert answer.status_code == 503
    assert answer.is_json
    unreadable.store.close()


def test_the_supervisor_is_told_that_the_process_lives_although_its_store_does_not(unreadable: Site) -> None:
    answer = unreadable.get("/health")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "healthy")
    unreadable.store.close()


def test_while_it_starts_or_stops_a_webhook_is_503_and_not_stored(site: Site) -> None:
    site.ready.clear()
    answer = site.webhook(triggered())
    assert answer.status_code == 503
    assert answer.get_json() == {
        "received": False,
        "outcome": "not ready",
        "error": "the agent is starting or stopping; send it again",
    }
    assert site.store.incidents() == []
    ready = site.get("/ready")
    assert (ready.status_code, ready.get_json()["reason"]) == (503, "starting or stopping")


def test_ready_says_how_many_runbooks_are_in_force(site: Site) -> None:
    site.resolved()
    assert site.get("/ready").get_json() == {"status": "ready", "runbooks": 1}


def test_without_a_pagerduty_section_its_webhook_is_404(site: Site) -> None:
    site.settings.clear()
    answer = site.webhook(triggered())
    assert answer.status_code == 404
    assert answer.get_json()["error"] == "config.yaml has no pagerduty section"


def test_without_signing_secrets_every_webhook_is_refused(site: Site) -> None:
    site.settings["pagerduty"] = {}
    assert site.webhook(triggered()).status_code == 401
    assert site.webhook(triggered(), secret="").status_code == 401


def test_a_stored_webhook_notifies_the_dispatcher_and_a_refused_one_does_not(site: Site) -> None:
    assert site.webhook(triggered()).status_code == 202
    assert site.notified == 1
    assert site.webhook(triggered(), secret="another").status_code == 401
    assert site.notified == 1


def test_a_webhook_without_any_id_is_told_apart_by_its_body(site: Site) -> None:
    simple = {"incident": {"id": "PSIMPLE", "title": "Redis connection timeout"}}
    assert site.webhook(simple).get_json()["outcome"] == "accepted"
    assert site.webhook(simple).get_json()["outcome"] == "duplicate"


def test_a_body_that_is_no_webhook_is_400_with_the_reason(site: Site) -> None:
    answer = site.webhook({"messages": []})
    assert answer.status_code == 400
    assert "this is a V1 or V2 webhook" in answer.get_json()["error"]


def test_unsigned_webhooks_are_taken_only_where_configured(site: Site) -> None:
    site.settings["pagerduty"]["allow_unsigned_webhooks"] = True
    body = {"incident": {"id": "PSIMPLE", "title": "Redis connection timeout"}}
    assert site.client.post("/webhook/pagerduty", json=body).status_code == 202
    assert site.webhook(body, secret="another").status_code == 401


def test_our_own_escalation_is_answered_202_and_opens_nothing(site: Site) -> None:
    event = triggered()
    event["event"]["client"] = {"name": "oncall-agent"}
    answer = site.webhook(event)
    assert (answer.status_code, answer.get_json()) == (202, {"received": True, "outcome": "own escalation"})
    assert site.store.incidents() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_a_webhook_is_only_ever_posted(site: Site, method: str) -> None:
    answer = site.client.open("/webhook/pagerduty", method=method)
    assert answer.status_code == 405
    assert answer.is_json
    assert method == "HEAD" or "error" in answer.get_json()


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1/", "/api/v2/incidents", "/webhook/", "/../etc"])
def test_what_is_not_there_is_404_as_json(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 404
    assert answer.get_json()["error"]


def test_what_nobody_foresaw_is_500_as_json_and_tells_nothing_of_the_inside(site: Site) -> None:
    (site.directory / "webhook").unlink()
    answer = site.webhook(triggered())
    assert answer.status_code == 500
    assert answer.get_json() == {"error": "the agent could not answer; it is in its log"}


def test_health_counts_its_uptime(site: Site) -> None:
    shown = site.get("/health").get_json()
    assert set(shown) == {"status", "uptime_seconds"}
    assert shown["uptime_seconds"] >= 0


def metrics(site: Site) -> dict[str, float]:
    text = site.get("/metrics").get_data(as_text=True)
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_metrics_tell_how_long_the_oldest_letter_has_waited(site: Site) -> None:
    incident_id = site.world.receive()
    site.world.handle(incident_id)
    site.world.deliver()
    assert not any(name.startswith("oncall_outbox") for name in metrics(site))
    site.world.clock.sleep(100)
    site.store.record(incident_id, (), messages=[ChatLine("one")])
    site.world.clock.sleep(42)
    site.store.record(incident_id, (), messages=[ChatLine("two")])
    seen = metrics(site)
    assert seen['oncall_outbox_waiting{channel="chat"}'] == 2
    assert seen['oncall_outbox_oldest_seconds{channel="chat"}'] == 42


def test_metrics_count_incidents_and_webhooks(site: Site) -> None:
    site.resolved()
    site.webhook(triggered())
    site.webhook(triggered())
    site.webhook(triggered(), secret="another")
    seen = metrics(site)
    assert seen['oncall_incidents{status="resolved"}'] == 1
    assert seen['oncall_incidents{status="received"}'] == 1
    assert seen['oncall_incidents{status="escalated"}'] == 0
    assert seen['oncall_webhooks_total{outcome="new_incident",source="pagerduty"}'] == 1
    assert seen['oncall_webhooks_total{outcome="duplicate",source="pagerduty"}'] == 1
    assert seen['oncall_webhooks_total{outcome="not_genuine",source="pagerduty"}'] == 1
