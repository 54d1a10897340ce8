"""The queue by API: claimed by one, settled with a note, received once, and described as it answers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import jsonschema
import pytest
from werkzeug.test import TestResponse

from agent.adapters.audit_chain import Intact, verify_chain
from agent.web.openapi import OPENAPI
from tests.integration.web.conftest import API_TOKEN, Site

TOKEN = {"Authorization": f"Bearer {API_TOKEN}"}
FROM_KEEPTRUSTS = {
    "by": "keeptrusts",
    "id": "esc_20250420_00142",
    "trigger": "phi-detection",
    "title": "Patient record in a prompt",
    "severity": "critical",
    "policy_rule": "phi-detection",
    "consumer": "acme",
    "consumer_group": "external",
    "facts": {
        "original_request": "Summarise the record of …",
        "policy_match": {"rule": "phi-detection", "score": 0.97},
        "ai_response": "held",
        "raw": {"event": 1},
    },
}
PERSONAL = {"resp": "responder", "lead": "approver", "watcher": "viewer"}


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    return site


def post(site: Site, path: str, body: object = None, **headers: str) -> TestResponse:
    sent = {"Content-Type": "application/json", **TOKEN, **headers}
    return site.client.post(f"/api/v1/escalations{path}", data=json.dumps(body or {}).encode(), headers=sent)


def get(site: Site, path: str = "") -> Any:
    answer = site.get(f"/api/v1/escalations{path}", **TOKEN)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def described(path: str, method: str, answer: TestResponse) -> None:
    """What is answered is what the description says."""
    told = OPENAPI["paths"][f"/api/v1/escalations{path}"][method]["responses"][str(answer.status_code)]
    jsonschema.validate(answer.get_json(), told["content"]["application/json"]["schema"])


def received(site: Site, **more: object) -> str:
    answer = post(site, "", FROM_KEEPTRUSTS | more)
    assert answer.status_code == 201, answer.text
    described("", "post", answer)
    return str(answer.get_json()["id"])


def test_an_incident_that_ended_with_a_human_called_is_shown_with_its_evidence(site: Site) -> None:
    incident = site.escalated()
    (row,) = get(site)["escalations"]
    assert (row["incident_id"], row["status"], row["waits_for"]) == (incident.id, "open", "a human")
    assert (row["light"], row["target"]) == ("green", "team:on-call")
    one = site.get(f"/api/v1/escalations/{row['id']}", **TOKEN)
    described("/{id}", "get", one)
    evidence = one.get_json()["evidence"]
    assert evidence["alert"]["title"] == row["title"]
    assert {"match", "steps", "timeline", "history"} <= set(evidence)
    assert get(site, f"/{incident.id}")["id"] == row["id"]


def test_what_another_system_sends_is_there_once_with_all_that_came_with_it(site: Site) -> None:
    item_id = received(site)
    again = post(site, "", FROM_KEEPTRUSTS)
    assert (again.status_code, again.get_json()["id"]) == (200, item_id)
    shown = get(site, f"/{item_id}")
    assert shown["origin"] == "keeptrusts"
    assert shown["facts"]["policy_match"]["score"] == 0.97
    assert shown["facts"]["raw"] == {"event": 1}
    assert get(site)["open"] == 1


def test_claimed_reviewed_resolved(site: Site) -> None:
    item_id = received(site)
    claimed = post(site, f"/{item_id}/claim", {"by": "first@example.com"})
    described("/{id}/claim", "post", claimed)
    assert claimed.get_json()["assignee"] == "first@example.com"
    refused = post(site, f"/{item_id}/claim", {"by": "second@example.com"})
    assert refused.status_code == 409
    assert "first@example.com has claimed it" in refused.get_json()["error"]
    site.world.clock.sleep(127)
    body = {"by": "first@example.com", "action": "redact_and_allow", "note": "Redacted name and MRN"}
    done = post(site, f"/{item_id}/resolve", body).get_json()
    assert done["status"] == "resolved"
    assert done["resolution"] == {
        "escalation_id": item_id,
        "action": "redact_and_allow",
        "reviewer": "first@example.com",
        "at": done["resolution"]["at"],
        "note": "Redacted name and MRN",
        "runbook": None,
        "resolution_time_seconds": 127,
    }
    assert get(site)["escalations"] == []
    assert [each["id"] for each in get(site, "?status=resolved")["escalations"]] == [item_id]
    assert isinstance(verify_chain(list(site.store.audit_entries())), Intact)


def test_given_back_given_to_another_and_further_up(site: Site) -> None:
    item_id = received(site)
    by = {"by": "lead"}
    post(site, f"/{item_id}/claim", by)
    assert post(site, f"/{item_id}/release", by).get_json()["status"] == "open"
    moved = post(site, f"/{item_id}/reassign", by | {"to": "team:dba"})
    assert moved.get_json()["target"] == "team:dba"
    further = post(site, f"/{item_id}/further", by | {"to": "team:compliance", "note": "above me"})
    assert (further.get_json()["target"], further.get_json()["level"]) == ("team:compliance", 1)
    assert post(site, f"/{item_id}/reassign", by | {"to": "nobody known"}).status_code == 409


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/{}/resolve", {"by": "x", "action": "allow", "note": " "}),
        ("/{}/resolve", {"by": "x", "action": "false_alarm", "note": "n"}),
        ("/{}/release", {"by": "x"}),
    ],
)
def test_what_cannot_be_done_is_said_in_words_and_changes_nothing(
    site: Site, path: str, body: dict[str, str]
) -> None:
    item_id = received(site)
    before = get(site, f"/{item_id}")
    answer = post(site, path.format(item_id), body)
    assert answer.status_code == 409
    assert answer.get_json()["error"]
    assert get(site, f"/{item_id}") == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/{}/resolve", {"by": "x", "action": "delete", "note": "n"}),
        ("/{}/resolve", {"by": "x", "action": "allow"}),
        ("/{}/claim", {"by": "x", "more": 1}),
        ("/{}/claim", {}),
        ("", {**FROM_KEEPTRUSTS, "id": "../x"}),
        ("", {**FROM_KEEPTRUSTS, "severity": "grave"}),
        ("", {**FROM_KEEPTRUSTS, "id": "2", "facts": []}),
    ],
)
def test_a_body_that_says_something_else_is_400(site: Site, path: str, body: dict[str, object]) -> None:
    item_id = received(site)
    assert post(site, path.format(item_id), body).status_code == 400
    assert get(site)["open"] == 1


@pytest.mark.parametrize(
    "query", ["?status=gone", "?severity=error", "?origin=x", "?limit=0", "?limit=501", "/report?days=0"]
)
def test_a_query_that_asks_for_what_does_not_exist_is_400(site: Site, query: str) -> None:
    assert site.get(f"/api/v1/escalations{query}", **TOKEN).status_code == 400


def test_nobody_without_a_token_changes_anything(site: Site) -> None:
    item_id = received(site)
    for path in (
        "",
        *(f"/{item_id}/{deed}" for deed in ("claim", "release", "reassign", "further", "resolve")),
    ):
        for header in ("", "Bearer wrong"):
            assert post(site, path, FROM_KEEPTRUSTS, Authorization=header).status_code == 401
        assert post(site, path, {}, **{"Content-Type": "text/plain"}).status_code == 415
    assert get(site, f"/{item_id}")["status"] == "open"


def test_there_is_no_other_escalation(site: Site) -> None:
    for path in ("/esc-0", "/..%2f", "/esc-0/claim"):
        answer = (
            post(site, path, {"by": "x"})
            if path.endswith("claim")
            else site.get(f"/api/v1/escalations{path}", **TOKEN)
        )
        assert answer.status_code == 404


def test_twenty_claims_at_once_are_one(site: Site) -> None:
    item_id = received(site)
    client, barrier = site.client, Barrier(20)

    def claim(number: int) -> int:
        barrier.wait()
        body = json.dumps({"by": f"human {number}"}).encode()
        headers = {"Content-Type": "application/json", **TOKEN}
        path = f"/api/v1/escalations/{item_id}/claim"
        return client.application.test_client().post(path, data=body, headers=headers).status_code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(claim, range(20)))
    assert sorted(answers) == [200] + [409] * 19


def test_pages_follow_each_other_and_the_report_adds_them_up(site: Site) -> None:
    ids = [received(site, id=str(number)) for number in range(5)]
    first = get(site, "?limit=3")
    rest = get(site, f"?limit=3&after={first['next']}")
    assert [each["id"] for each in first["escalations"] + rest["escalations"]] == ids
    assert rest["next"] == ""
    site.world.clock.sleep(1)
    answer = site.get("/api/v1/escalations/report?days=7", **TOKEN)
    described("/report", "get", answer)
    assert answer.get_json()["by_severity"]["critical"]["made"] == 5
