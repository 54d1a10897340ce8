"""Opsgenie, Grafana, SNS and anybody's JSON, posted to the agent's own face."""

import json
from datetime import UTC, datetime

import pytest

from agent.adapters import sns_webhook
from agent.adapters.sns_certificates import Unfetched
from agent.domain.incident import Incident, Status
from agent.domain.queue import QueueFilter
from agent.pipeline.takeover import handle_event
from agent.web import sources as registry
from tests.integration.web.conftest import Site
from tests.unit.pipeline.conftest import runbook, step
from tests.unit.sources.sns_signing import TOPIC, Signer, notification, raw

TOKEN = "source-token-canary"
SENT = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "text/plain; charset=UTF-8"}
GRAFANA = {
    "status": "firing",
    "labels": {"alertname": "Redis timeouts", "service": "api-gateway"},
    "annotations": {"summary": "redis does not answer"},
    "startsAt": "2026-01-05T04:10:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "abc",
}


@pytest.fixture
def listening(site: Site) -> Site:
    token = {"bearer_token": site.secret("source", TOKEN)}
    mapping = {"title": "name", "dedup_key": "key", "fired_at": "at", "service": "service", "status": "state"}
    site.settings["sources"] = {
        "alertmanager": token,
        "opsgenie": token,
        "grafana": token,
        "generic": {"acme": {**token, "mapping": {**mapping, "alerts": "items"}}},
    }
    return site


def post(site: Site, name: str, body: object, **headers: str) -> tuple[int, dict]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = site.client.post(f"/webhook/{name}", data=data, headers={**SENT, **headers})
    return answer.status_code, answer.get_json()


def opsgenie(action: str = "Create", alert_id: str = "A1") -> dict:
    alert = {
        "alertId": alert_id,
        "message": "Redis timeout",
        "alias": "redis",
        "updatedAt": 1767589043123000110,
    }
    return {"action": action, "alert": {**alert, "username": "sre@example.com"}, "source": {"type": "web"}}


def acme(state: str, at: str, **changed: object) -> dict:
    return {
        "items": [{"name": "Redis", "key": "42", "at": at, "state": state, "service": "cache", **changed}]
    }


def looked_at(site: Site) -> None:
    """What the dispatcher does with what was stored."""
    for incident_id, event in site.store.unhandled_events(100):
        handle_event(site.world.context, incident_id, event)


def incident(site: Site, incident_id: str) -> Incident:
    return site.store.incident(incident_id)


def test_each_source_opens_its_incident(listening):
    for name, body in (
        ("opsgenie", opsgenie()),
        ("grafana", {"alerts": [GRAFANA], "version": "1", "orgId": 1}),
        ("acme", acme("firing", "2026-01-05T04:10:00Z")),
    ):
        status, answer = post(listening, name, body)
        assert (status, answer["outcome"]) == (202, "accepted")
        assert incident(listening, answer["incident"]).alert.source == name
        assert post(listening, name, body)[1]["outcome"] == "duplicate"


def test_what_proves_nothing_is_refused_and_the_answer_names_no_secret(listening):
    for name in ("opsgenie", "grafana", "acme"):
        status, answer = post(listening, name, b"{}", Authorization="Bearer wrong")
        assert (status, answer["outcome"]) == (401, "not genuine")
        assert TOKEN not in json.dumps(answer)


def test_an_alert_closed_in_opsgenie_by_a_human_is_left_alone(listening):
    opened = post(listening, "opsgenie", opsgenie())[1]["incident"]
    assert post(listening, "opsgenie", opsgenie("Acknowledge"))[1]["incident"] == opened
    looked_at(listening)
    stand_down = listening.store.stand_down_of(opened)
    assert stand_down is not None
    assert stand_down.by == "sre@example.com"


def test_each_alert_of_a_grafana_group_has_its_incident(listening):
    other = {**GRAFANA, "fingerprint": "def", "labels": {"alertname": "Disk", "service": "db"}}
    status, answer = post(listening, "grafana", {"alerts": [GRAFANA, other], "version": "1"})
    assert status == 202
    assert len({each["incident"] for each in answer["alerts"]}) == 2


def test_what_is_over_without_an_id_of_its_own_ends_the_incident_that_is_open(listening):
    opened = post(listening, "acme", acme("firing", "2026-01-05T04:10:00Z"))[1]["incident"]
    assert post(listening, "acme", acme("resolved", "2026-01-05T04:15:00Z"))[1]["incident"] == opened
    looked_at(listening)
    assert listening.store.stand_down_of(opened) is not None


def test_what_is_over_settles_the_escalation_that_a_human_was_called_for(listening):
    opened = post(listening, "acme", acme("firing", "2026-01-05T04:10:00Z"))[1]["incident"]
    listening.store.begin_run(opened, "main")
    assert listening.world.handle(opened).status is Status.ESCALATED  # there is no runbook for it
    assert listening.store.queue_page(QueueFilter()).open == 1
    assert post(listening, "acme", acme("resolved", "2026-01-05T04:15:00Z"))[1]["incident"] == opened
    looked_at(listening)
    assert listening.store.queue_page(QueueFilter()).open == 0
    late = post(listening, "acme", acme("resolved", "2026-01-05T04:16:00Z"))[1]
    assert late["incident"] is None


def test_a_source_that_nobody_configured_is_not_listened_to(site):
    assert post(site, "grafana", b"{}")[0] == 404
    assert post(site, "acme", b"{}")[0] == 404


@pytest.mark.parametrize("name", ["alertmanager", "opsgenie", "grafana", "acme"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 50_000,
        b'{"alerts": 7}',
        json.dumps({"alerts": [{**GRAFANA, "labels": {"\ud800": "\x00\udfff"}, "extra": "\ud800"}]}).encode(),
        json.dumps({"version": "4", "status": "firing", "alerts": [{**GRAFANA, "extra": "\ud800"}]}).encode(),
        json.dumps(opsgenie(alert_id="\ud800\x00")).encode(),
        json.dumps(acme("firing", "2026-01-05T04:10:00Z", name="\ud800\x00", extra="\udc00")).encode(),
        b'{"items": [{"name": "x", "key": 1e999, "at": 99999999999999999999999, "state": {}}]}',
    ],
    ids=range(9),
)
def test_a_hostile_body_is_never_an_error_of_ours(listening, name, body):
    assert post(listening, name, body)[0] in (202, 400)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def cloudwatch(site: Site, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Site:
    """SNS's certificate is at hand, and its time is the agent's."""
    site.settings["sources"] = {"sns": {"topics": [TOPIC]}}
    now = datetime(2026, 1, 5, 4, 20, tzinfo=UTC)
    monkeypatch.setattr(
        registry,
        "_sns",
        lambda section, is_offline: sns_webhook.SnsSource(
            section, fetch=lambda url: signer.pem, now=lambda: now
        ),
    )
    return site


def test_an_alarm_opens_an_incident_and_its_ok_is_about_the_same_one(cloudwatch, signer):
    opened = post(cloudwatch, "sns", raw(signer.sign(notification())))[1]["incident"]
    assert incident(cloudwatch, opened).alert.service == "checkout"
    ok = {"NewStateValue": "OK", "StateChangeTime": "2026-01-05T04:18:00.000+0000"}
    over = signer.sign(notification(ok, MessageId="2"), version="2")
    assert post(cloudwatch, "sns", raw(over))[1]["incident"] == opened
    looked_at(cloudwatch)
    assert cloudwatch.store.stand_down_of(opened) is not None


def test_an_alarm_that_a_runbook_mends_is_resolved_by_its_ok(cloudwatch, signer):
    world = cloudwatch.world
    world.configure(sources={"sns": {"topics": [TOPIC], "clear_within": "5m"}})
    world.runbook(runbook(triggers="- Source: sns", steps=step(1, "redis-cli FLUSHDB")))
    world.answers("redis-cli FLUSHDB", "OK")

    def woken(_: str) -> bool:
        ok = {"NewStateValue": "OK", "StateChangeTime": "2026-01-05T04:19:00.000+0000"}
        assert post(cloudwatch, "sns", raw(signer.sign(notification(ok, MessageId="2"))))[0] == 202
        looked_at(cloudwatch)
        return True

    world.on_wait = woken
    opened = post(cloudwatch, "sns", raw(signer.sign(notification())))[1]["incident"]
    cloudwatch.store.begin_run(opened, "main")
    assert world.handle(opened).status is Status.RESOLVED
    told = [each.text for each in cloudwatch.store.timeline(opened)]
    assert any("sns says that it is over" in each for each in told)


def test_an_unsigned_message_is_refused(cloudwatch, signer):
    message = {**signer.sign(notification()), "Message": "{}"}
    assert post(cloudwatch, "sns", raw(message))[0] == 401


def test_a_certificate_that_cannot_be_fetched_now_is_no_refusal(cloudwatch, signer, monkeypatch):
    now = datetime(2026, 1, 5, 4, 20, tzinfo=UTC)
    section = cloudwatch.config.sources.sns
    gone = sns_webhook.SnsSource(section, fetch=lambda url: Unfetched("it is down"), now=lambda: now)
    monkeypatch.setattr(registry, "_sns", lambda section, is_offline: gone)
    cloudwatch.restart()
    answer = cloudwatch.client.post("/webhook/sns", data=raw(signer.sign(notification())))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
