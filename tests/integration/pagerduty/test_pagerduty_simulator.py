"""The simulated PagerDuty refuses what PagerDuty refuses; else tests against it would prove little."""

import httpx
import pytest

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.pagerduty_bodies import service_id
from agent.simulators.server import Fault

ACCEPT = "application/vnd.pagerduty+json;version=2"


@pytest.fixture
def api(pagerduty):
    headers = {
        "Authorization": f"Token token={pagerduty.api_token}",
        "Accept": ACCEPT,
        "From": pagerduty.from_email,
    }
    with httpx.Client(base_url=pagerduty.url, headers=headers, trust_env=False) as client:
        yield client


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def put(api, incident_id, **change):
    return api.put(f"/incidents/{incident_id}", json={"incident": {"type": "incident", **change}})


def trigger(pagerduty, **changed):
    event = {
        "routing_key": pagerduty.routing_key,
        "event_action": "trigger",
        "dedup_key": "k",
        "client": "oncall-agent",
        "payload": {"summary": "s", "source": "x", "severity": "critical"},
    }
    return {**event, **changed}


def enqueue(pagerduty, event):
    return httpx.post(f"{pagerduty.url}/v2/enqueue", json=event, trust_env=False)


@pytest.mark.parametrize(
    "authorization", ["", "Token token=", "Token token=wrong", "Bearer simulated-api-token"]
)
def test_a_wrong_key_is_401(pagerduty, api, authorization):
    incident = pagerduty.create_incident("Redis is down")
    answer = api.get(f"/incidents/{incident.id}", headers={"Authorization": authorization})
    assert code(answer) == (401, 2006)


def test_an_unknown_incident_is_404(api):
    for path in ("/incidents/QX", "/incidents/QX/alerts", "/incidents/QX/notes", "/services/PX"):
        assert code(api.get(path)) == (404, 2100)
    assert code(put(api, "QX", status="resolved")) == (404, 2100)


def test_a_request_without_version_is_refused(pagerduty, api):
    assert api.get("/users?query=x", headers={"Accept": "application/json"}).status_code == 400


@pytest.mark.parametrize(("sender", "expected"), [("", 2003), ("stranger@example.com", 1008)])
def test_a_write_needs_the_address_of_a_user(pagerduty, api, sender, expected):
    incident = pagerduty.create_incident("Redis is down")
    body = {"incident": {"type": "incident", "status": "acknowledged"}}
    answer = api.put(f"/incidents/{incident.id}", json=body, headers={"From": sender})
    assert code(answer) == (400, expected)
    assert incident.status == "triggered"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 2001),
        ([], 2001),
        ({"incident": {}}, 2001),
        ({"incident": {"type": "incident", "status": "done"}}, 1003),
        ({"incident": {"type": "incident", "urgency": "severe"}}, 2001),
    ],
)
def test_a_change_of_another_shape_is_refused(pagerduty, api, body, expected):
    incident = pagerduty.create_incident("Redis is down")
    assert code(api.put(f"/incidents/{incident.id}", json=body)) == (400, expected)


def test_a_write_must_be_json(pagerduty, api):
    incident = pagerduty.create_incident("Redis is down")
    assert api.put(f"/incidents/{incident.id}", content=b"{}").status_code == 400


def test_resolving_twice_is_refused_and_acknowledging_then_reopens(pagerduty, api):
    incident = pagerduty.create_incident("Redis is down")
    assert put(api, incident.id, status="resolved", resolution="done").status_code == 200
    assert code(put(api, incident.id, status="resolved")) == (400, 1001)
    assert put(api, incident.id, status="acknowledged").json()["incident"]["status"] == "acknowledged"
    assert put(api, incident.id, status="triggered").json()["incident"]["acknowledgements"] == []


def test_an_incident_can_be_made_and_retitled(api):
    wanted = {"type": "incident", "title": "By hand", "service": {"id": "PSVC", "type": "service_reference"}}
    made = api.post("/incidents", json={"incident": wanted})
    assert made.status_code == 201
    incident_id = made.json()["incident"]["id"]
    changed = put(api, incident_id, title="Renamed", urgency="low").json()["incident"]
    assert (changed["title"], changed["urgency"]) == ("Renamed", "low")
    assert code(api.post("/incidents", json={"incident": {"type": "incident"}})) == (400, 2001)


def test_a_note_needs_content_and_an_incident_takes_2000(pagerduty, api):
    incident = pagerduty.create_incident("Redis is down")
    path = f"/incidents/{incident.id}/notes"
    assert code(api.post(path, json={"note": {"content": " "}})) == (400, 2001)
    assert code(api.post(path, json={"content": "unwrapped"})) == (400, 2001)
    for number in range(2000):
        pagerduty.note_as_human(incident.id, f"note {number}")
    assert code(api.post(path, json={"note": {"content": "one more"}})) == (400, 2019)


def test_alerts_come_in_pages_and_by_status(pagerduty, api):
    incident = pagerduty.create_incident("Redis is down")
    for number in range(30):
        pagerduty.add_alert(incident.id, f"alert {number}")
    path = f"/incidents/{incident.id}/alerts"
    first = api.get(path).json()
    assert (len(first["alerts"]), first["more"]) == (25, True)
    rest = api.get(path, params={"offset": 25, "limit": 500}).json()
    assert (len(rest["alerts"]), rest["more"], rest["limit"]) == (6, False, 100)
    assert api.get(path, params={"statuses[]": "resolved"}).json()["alerts"] == []
    for params in ({"limit": "x"}, {"limit": 0}, {"offset": -1}, {"offset": 9_990, "limit": 25}):
        assert api.get(path, params=params).status_code == 400


def test_the_doctors_questions_are_answered(pagerduty, api):
    incident = pagerduty.create_incident("Redis is down", service="api-gateway")
    subscription = pagerduty.subscribe("http://127.0.0.1:9/webhook")
    assert api.get(f"/services/{service_id('api-gateway')}").json()["service"]["name"] == incident.service
    known = api.get("/webhook_subscriptions").json()["webhook_subscriptions"][0]
    assert known["delivery_method"]["url"] == "http://127.0.0.1:9/webhook"
    assert api.post(f"/webhook_subscriptions/{subscription.id}/enable").status_code == 200
    assert code(api.post("/webhook_subscriptions/other/enable")) == (404, 2100)
    assert code(api.get("/users/me")) == (400, 2002)


@pytest.mark.parametrize(
    "changed",
    [
        {"routing_key": None},
        {"routing_key": "short"},
        {"routing_key": "x" * 32},
        {"event_action": "page"},
        {"dedup_key": "k" * 256},
        {"dedup_key": 7},
        {"event_action": "resolve", "dedup_key": None},
        {"payload": None},
        {"payload": {"summary": " ", "source": "x", "severity": "info"}},
        {"payload": {"summary": "s", "source": "", "severity": "info"}},
        {"payload": {"summary": "s", "source": "x", "severity": "fatal"}},
        {"payload": {"summary": "s", "source": "x", "severity": "info", "custom_details": [1]}},
        {"payload": {"summary": "s", "source": "x", "severity": "info", "component": 1}},
        {"links": {"href": "https://x"}},
        {"links": [{"text": "no href"}]},
        {"images": [{"src": "http://not-tls.example.com"}]},
    ],
)
def test_an_event_that_pagerduty_refuses_is_400_with_reasons(pagerduty, changed):
    answer = enqueue(pagerduty, trigger(pagerduty, **changed))
    assert answer.status_code == 400
    assert answer.json()["errors"]
    assert pagerduty.pages() == []


@pytest.mark.parametrize("raw", [b"", b"nope", b"[]", b"[" * 100_000])
def test_an_event_that_is_no_object_is_400(pagerduty, raw):
    assert httpx.post(f"{pagerduty.url}/v2/enqueue", content=raw, trust_env=False).status_code == 400


def test_an_event_over_512_kb_is_refused(pagerduty):
    event = trigger(pagerduty)
    event["payload"]["custom_details"] = {"output": "x" * 512 * 1024}
    assert enqueue(pagerduty, event).status_code == 413


def test_a_long_summary_is_truncated_not_refused(pagerduty):
    event = trigger(pagerduty, payload={"summary": "s" * 2000, "source": "x", "severity": "info"})
    assert enqueue(pagerduty, event).status_code == 202
    assert len(pagerduty.pages()[0].summary) == 1024


def test_an_event_without_key_gets_one(pagerduty):
    first = enqueue(pagerduty, trigger(pagerduty, dedup_key=None)).json()
    enqueue(pagerduty, trigger(pagerduty, dedup_key=None))
    assert first["status"] == "success"
    assert len(first["dedup_key"]) == 32
    assert len(pagerduty.pages()) == 2


def test_an_event_acknowledges_and_resolves_its_incident(pagerduty):
    enqueue(pagerduty, trigger(pagerduty))
    incident = pagerduty.incidents()[0]
    assert (incident.title, incident.client, incident.urgency) == ("s", "oncall-agent", "high")
    enqueue(pagerduty, trigger(pagerduty, event_action="acknowledge"))
    assert incident.status == "acknowledged"
    enqueue(pagerduty, trigger(pagerduty, event_action="resolve"))
    assert incident.status == "resolved"
    for action in ("acknowledge", "resolve"):
        assert enqueue(pagerduty, trigger(pagerduty, event_action=action)).status_code == 202
    assert len(pagerduty.incidents()) == 1


def test_faults_come_in_order_and_go_away(pagerduty, api):
    pagerduty.misbehave(
        Fault(503, times=2), Fault(429, "/users", headers={"Retry-After": "3"}), Fault(0, "/users")
    )
    statuses = [api.get("/users?query=x").status_code for _ in range(4)]
    assert statuses == [503, 503, 429, 200]
    pagerduty.misbehave(Fault(500, times=-1))
    assert api.get("/users?query=x").status_code == 500
    pagerduty.behave()
    assert api.get("/users?query=x").status_code == 200


def test_a_fault_may_be_for_one_method_alone(pagerduty, api):
    pagerduty.misbehave(Fault(500, "/users", times=-1, method="PUT"))
    assert api.get("/users?query=x").status_code == 200
    assert api.put("/users", json={}).status_code == 500


def test_it_can_be_steered_by_curl(pagerduty):
    with httpx.Client(base_url=pagerduty.url, trust_env=False) as curl:
        asked = {
            "title": "Redis is down",
            "service": "api-gateway",
            "labels": {"pod": "redis-0"},
            "severity": "error",
        }
        made = curl.post("/_sim/incidents", json=asked)
        assert made.status_code == 201
        incident_id = made.json()["incident"]["id"]
        path = f"/_sim/incidents/{incident_id}"
        for action, status in (
            ("acknowledge", "acknowledged"),
            ("reassign", "triggered"),
            ("resolve", "resolved"),
            ("reopen", "triggered"),
            ("clear", "resolved"),
        ):
            assert (
                curl.post(f"{path}/{action}", json={"name": "Somebody"}).json()["incident"]["status"]
                == status
            )
        assert curl.get(path).json()["incident"]["notes"] == []
        assert [each["id"] for each in curl.get("/_sim/incidents").json()["incidents"]] == [incident_id]
        assert (
            curl.put("/_sim/webhook", json={"url": "http://127.0.0.1:9", "secrets": ["s"]}).status_code == 200
        )
        assert curl.post("/_sim/ping").status_code == 200
        assert curl.get("/_sim/deliveries").json()[0]["event_type"] == "pagey.ping"
        assert curl.get("/_sim/requests").json() == []


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"title": ""},
        {"title": "x", "servce": "y"},
        {"title": "x", "labels": []},
        {"title": "x", "team": 1},
    ],
)
def test_a_control_that_is_not_understood_says_so(pagerduty, asked):
    answer = httpx.post(f"{pagerduty.url}/_sim/incidents", json=asked, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_controls_of_something_that_is_not_there_are_404(pagerduty):
    incident = pagerduty.create_incident("Redis is down")
    for path in ("QX/resolve", f"{incident.id}/explode"):
        assert httpx.post(f"{pagerduty.url}/_sim/incidents/{path}", trust_env=False).status_code == 404
    assert httpx.get(f"{pagerduty.url}/_sim/incidents/QX", trust_env=False).status_code == 404
    assert httpx.put(f"{pagerduty.url}/_sim/webhook", json={}, trust_env=False).status_code == 400


def test_a_simulator_that_was_never_started_can_be_stopped():
    PagerDutySimulator().stop()


def test_faults_can_be_scripted_by_curl(pagerduty, api):
    with httpx.Client(base_url=pagerduty.url, trust_env=False) as curl:
        curl.post("/_sim/faults", json=[{"status": 502, "path": "/users", "times": -1}])
        assert api.get("/users?query=x").status_code == 502
        curl.delete("/_sim/faults")
        assert api.get("/users?query=x").status_code == 200
