"""Changes by API: the rules of the command line, only with the token, and one decision whoever races."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import jsonschema
import pytest
from werkzeug.test import TestResponse

from agent.domain.incident import Status
from tests.integration.web.conftest import API_TOKEN, Site
from tests.unit.pipeline.conftest import runbook, step

CHANGES = (
    "/incidents/inc-0/approve", "/incidents/inc-0/reject", "/incidents/inc-0/choose",
    "/incidents/inc-0/stand-down", "/stops", "/stops/stop-0/resume",
)  # fmt: skip
TOKEN = {"Authorization": f"Bearer {API_TOKEN}"}
STOP = {"scope": "all", "reason": "bad deploy", "by": "alice"}


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    return site


def post(site: Site, path: str, body: object = None, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    sent = {"Content-Type": "application/json", **TOKEN, **headers}
    return site.client.post(f"/api/v1{path}", data=data, headers=sent)


def unchanged(site: Site) -> bool:
    return not site.store.all_stops() and not site.store.untold_decisions() and not site.notified


def waiting(site: Site, meanwhile: Callable[[str, str], object]) -> str:
    """An incident that waits for an approval while something is asked of the API; its id."""
    site.world.configure(runbooks={"default_autonomy": "approve"})
    site.world.runbook(runbook(steps=step(1, "redis-cli PING")))
    site.world.answers("redis-cli PING", "PONG")
    incident_id = site.world.receive()
    done: list[object] = []

    def wait(_: str) -> bool:
        if done:
            return False
        (row,) = site.get("/api/v1/escalations", **TOKEN).get_json()["escalations"]
        done.append(meanwhile(incident_id, row["decides"]))
        return True

    site.world.on_wait = wait
    site.world.handle(incident_id)
    return incident_id


def test_an_approved_plan_runs_and_says_by_whom(site: Site) -> None:
    answers: list[TestResponse] = []

    def approve(incident_id: str, plan_hash: str) -> None:
        body = {"by": "carol", "plan_hash": plan_hash}
        answers.extend(post(site, f"/incidents/{incident_id}/approve", body) for _ in range(2))

    incident_id = waiting(site, approve)
    first, again = (answer.get_json() for answer in answers)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert (first["decision"], first["by"], first["again"]) == ("approved", "carol (by API)", False)
    assert again == first | {"again": True}
    assert site.store.incident(incident_id).status is Status.RESOLVED
    assert "👍 Approved by carol (by API)" in site.world.told(incident_id)
    assert site.notified == 2


def test_a_rejected_plan_does_not_run(site: Site) -> None:
    incident_id = waiting(
        site,
        lambda each, plan_hash: post(
            site, f"/incidents/{each}/reject", {"by": "carol", "plan_hash": plan_hash[:12]}
        ),
    )
    assert site.store.incident(incident_id).status is Status.ESCALATED
    assert site.world.sandbox.commands() == []


def test_an_approval_without_its_plan_is_no_approval(site: Site) -> None:
    answers: list[TestResponse] = []

    def approve(incident_id: str, plan_hash: str) -> None:
        for body in ({"by": "c"}, {"by": "c", "plan_hash": ""}, {"by": "c", "plan_hash": plan_hash[:11]}):
            answers.append(post(site, f"/incidents/{incident_id}/approve", body))
        answers.append(post(site, f"/incidents/{incident_id}/approve", {"by": "c", "plan_hash": "0" * 64}))

    incident_id = waiting(site, approve)
    assert [answer.status_code for answer in answers] == [400, 400, 400, 409]
    assert site.store.incident(incident_id).status is Status.ESCALATED


def test_an_approval_of_what_is_stopped_is_409_with_the_way_out(site: Site) -> None:
    answers: list[TestResponse] = []

    def approve(incident_id: str, plan_hash: str) -> None:
        stop_id = post(site, "/stops", STOP).get_json()["id"]
        body = {"by": "carol", "plan_hash": plan_hash}
        answers.append(post(site, f"/incidents/{incident_id}/approve", body))
        post(site, f"/stops/{stop_id}/resume", {"by": "carol"})
        answers.append(post(site, f"/incidents/{incident_id}/approve", body))

    incident_id = waiting(site, approve)
    assert [answer.status_code for answer in answers] == [409, 200]
    assert "is stopped by alice (by API): bad deploy; `oncall-agent resume" in answers[0].get_json()["error"]
    assert site.store.incident(incident_id).status is Status.RESOLVED


def test_approvals_and_rejections_that_race_are_one_decision(site: Site) -> None:
    racers = 8
    answers: list[TestResponse] = []

    def race(incident_id: str, plan_hash: str) -> None:
        barrier = Barrier(racers)

        def decide(number: int) -> TestResponse:
            word = "approve" if number % 2 else "reject"
            barrier.wait()
            body = {"by": f"human {number}", "plan_hash": plan_hash}
            return post(site, f"/incidents/{incident_id}/{word}", body)

        with ThreadPoolExecutor(racers) as pool:
            answers.extend(pool.map(decide, range(racers)))

    incident_id = waiting(site, race)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (racers - 1)
    (won,) = (answer.get_json() for answer in answers if answer.status_code == 200)
    ended = site.store.incident(incident_id).status
    assert ended is (Status.RESOLVED if won["decision"] == "approved" else Status.ESCALATED)


def test_the_offered_runbook_that_was_chosen_runs(site: Site) -> None:
    for name in ("one", "two"):
        site.world.runbook(runbook(steps=step(1, "redis-cli PING")), name)
    site.world.answers("redis-cli PING", "PONG")
    answers: list[TestResponse] = []

    def choose(_: str) -> bool:
        if answers:
            return False
        (row,) = site.get("/api/v1/escalations", **TOKEN).get_json()["escalations"]
        for name in ("three", "two", "two", "one"):
            path = f"/incidents/{row['incident_id']}/choose"
            answers.append(post(site, path, {"by": "carol", "runbook": name}))
        return True

    site.world.on_wait = choose
    incident = site.world.page()
    assert [answer.status_code for answer in answers] == [409, 200, 200, 409]
    assert [answer.get_json().get("again") for answer in answers] == [None, False, True, None]
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "two")


def test_an_incident_is_handed_over(site: Site) -> None:
    incident_id = waiting(site, lambda each, _: post(site, f"/incidents/{each}/stand-down", {"by": "carol"}))
    assert site.store.incident(incident_id).status is Status.STOOD_DOWN
    late = post(site, f"/incidents/{incident_id}/stand-down", {"by": "dave"})
    assert (late.status_code, late.get_json()["error"]) == (
        409,
        "carol (by API) has it already: told the agent to stand down",
    )


def test_a_stop_is_in_force_when_it_is_answered_and_told_everywhere(site: Site) -> None:
    answer = post(site, "/stops", STOP | {"end_running": True})
    put = answer.get_json()
    assert (answer.status_code, put["again"], put["by"]) == (201, False, "alice (by API)")
    assert site.world.page().status is Status.ESCALATED
    again = post(site, "/stops", STOP)
    assert (again.status_code, again.get_json()) == (200, put | {"again": True})
    (shown,) = site.get("/api/v1/stops", **TOKEN).get_json()["stops"]
    assert shown == {name: value for name, value in put.items() if name != "again"}
    assert 'oncall_stopped{scope="all"} 1.0' in site.get("/metrics").text
    assert site.get("/ready").status_code == 200


def test_what_is_stopped_is_part_of_the_health_as_last_seen_by_the_daemon(site: Site) -> None:
    assert "stopped" not in site.get("/health").get_json()
    post(site, "/stops", STOP)
    site.clerk.tick()
    assert site.get("/health").get_json()["stopped"] == ["everything"]


def test_a_stop_is_resumed_once_and_stays_known(site: Site) -> None:
    stop_id = post(site, "/stops", STOP | {"scope": "service", "name": "billing"}).get_json()["id"]
    first, again = (post(site, f"/stops/{stop_id}/resume", {"by": name}) for name in ("bob", "carol"))
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.get_json()["again"], again.get_json()["again"]) == (False, True)
    assert again.get_json()["lifted_by"] == "bob (by API)"
    assert site.get("/api/v1/stops", **TOKEN).get_json() == {"stops": []}
    (known,) = site.get("/api/v1/stops?all=true", **TOKEN).get_json()["stops"]
    assert known["lifted_at"]
    assert site.get("/api/v1/stops?all=1", **TOKEN).status_code == 400


def test_stops_that_race_are_one(site: Site) -> None:
    racers = 8
    barrier = Barrier(racers)
    assert site.client.application  # made once, not by whoever comes first

    def put(_: int) -> int:
        barrier.wait()
        return post(site, "/stops", STOP).status_code

    with ThreadPoolExecutor(racers) as pool:
        assert sorted(pool.map(put, range(racers))) == [200] * (racers - 1) + [201]
    assert len(site.store.stops()) == 1


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "header",
    [
        "", "Bearer", "Bearer ", f"Bearer {API_TOKEN}x", f"Bearer {API_TOKEN[:-1]}", API_TOKEN, "Basic YTpi",
        "Bearer ü",
    ],
)  # fmt: skip
def test_without_the_token_nothing_is_changed_on_this_machine_too(site: Site, path: str, header: str) -> None:
    headers = {"Content-Type": "application/json", **({"Authorization": header} if header else {})}
    answer = site.client.post(f"/api/v1{path}", data=json.dumps(STOP), headers=headers)
    assert answer.status_code == 401
    assert "canary" not in answer.text
    assert unchanged(site)


@pytest.mark.parametrize("path", CHANGES)
def test_a_token_in_a_cookie_or_in_the_address_is_none(site: Site, path: str) -> None:
    site.client.set_cookie("Authorization", f"Bearer {API_TOKEN}")
    site.client.set_cookie("token", API_TOKEN)
    answer = site.client.post(
        f"/api/v1{path}?token={API_TOKEN}&access_token={API_TOKEN}",
        data=json.dumps(STOP),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 401
    assert unchanged(site)


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_while_no_token_is_configured_nothing_can_be_changed(site: Site, path: str, host: str) -> None:
    site.settings["server"] = {"host": host}
    answer = post(site, path, STOP)
    assert answer.status_code == 403
    assert answer.get_json()["error"] == (
        "set server.api_token in config.yaml to change anything by API, "
        "or bring a personal token (`oncall-agent tokens create`)"
    )
    assert unchanged(site)


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp", ""],
)
def test_what_a_page_of_another_site_can_send_is_not_taken(site: Site, path: str, kind: str) -> None:
    answer = post(site, path, STOP, **{"Content-Type": kind})
    assert answer.status_code == 415
    assert unchanged(site)


@pytest.mark.parametrize("path", CHANGES)
def test_a_body_of_a_megabyte_is_413(site: Site, path: str) -> None:
    answer = post(site, path, b'{"by": "' + b"a" * (1 << 20) + b'"}')
    assert answer.status_code == 413
    assert unchanged(site)


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"alice"', b"1", b"\xff\xfe{}", b"[" * 60_000, b'{"by": NaN}',
        b'{"by": "a", "by": "b"}', b'{"by": 1}', b'{"by": null}', b'{"by": ["a"]}', b'{"by": ""}',
        b'{"by": " "}',
        b'{"by": "a", "who": "b"}', b'{"by": "\\ud800"}', b'{"by": "' + b"a" * 101 + b'"}', b"{}",
        b'{"by": "a", "scope": "most", "reason": "r"}', b'{"by": "a", "scope": "all", "reason": ""}',
        b'{"by": "a", "scope": "service", "reason": "r"}',
        b'{"by": "a", "scope": "all", "name": "x", "reason": "r"}',
        b'{"by": "a", "scope": "all", "reason": "r", "end_running": "yes"}', b"9" * 5000,
    ],
)  # fmt: skip
def test_what_says_something_else_than_it_should_is_refused_with_words(
    site: Site, path: str, body: bytes
) -> None:
    answer = post(site, path, body)
    assert answer.status_code in (400, 404)
    assert answer.get_json()["error"]
    assert unchanged(site)


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_change_is_only_ever_posted(site: Site, path: str, method: str) -> None:
    answer = site.client.open(f"/api/v1{path}", method=method, headers=TOKEN)
    assert answer.status_code == (200 if (method, path) == ("GET", "/stops") else 405)


@pytest.mark.parametrize(
    "name", ["inc-0", "%00", "..%2f..%2fetc", "x" * 5000, "%F0%9F%94%A5", "a'%20OR%20'1"]
)
def test_an_incident_or_stop_that_is_not_there_is_404(site: Site, name: str) -> None:
    plan = {"by": "carol", "plan_hash": "0" * 64}
    for path, body in (
        (f"/incidents/{name}/approve", plan),
        (f"/incidents/{name}/reject", plan),
        (f"/incidents/{name}/choose", {"by": "carol", "runbook": "one"}),
        (f"/incidents/{name}/stand-down", {"by": "carol"}),
        (f"/stops/{name}/resume", {"by": "carol"}),
    ):
        answer = post(site, path, body)
        assert answer.status_code == 404
        assert answer.get_json()["error"]
    assert unchanged(site)


def test_what_waits_for_nothing_is_409_with_words(site: Site) -> None:
    incident = site.escalated()
    said = {
        "approve": {"by": "c", "plan_hash": "0" * 64},
        "reject": {"by": "c", "plan_hash": "0" * 64},
        "choose": {"by": "c", "runbook": "one"},
        "stand-down": {"by": "c"},
    }
    for word, body in said.items():
        answer = post(site, f"/incidents/{incident.id}/{word}", body)
        assert answer.status_code == 409
        assert incident.id in answer.get_json()["error"]


def test_while_the_store_cannot_be_used_a_change_is_503_and_not_made(site: Site) -> None:
    with site.store.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE incidents")
    answer = post(site, "/incidents/inc-0/approve", {"by": "carol", "plan_hash": "0" * 64})
    assert answer.status_code == 503
    assert site.notified == 0


def test_names_and_reasons_are_told_as_one_plain_line(site: Site) -> None:
    answer = post(site, "/stops", STOP | {"by": " carol\n<!channel> ", "reason": "a\nb\x00c"})
    assert answer.status_code == 201
    (put,) = site.store.stops()
    assert put.by == "carol <!channel> (by API)"
    assert put.reason == "a b\ufffdc"


def described(site: Site, path: str, status: int) -> dict[str, Any]:
    """The schema of an answer to a POST."""
    answers = site.get("/api/v1/openapi.json", **TOKEN).get_json()["paths"][f"/api/v1{path}"]["post"][
        "responses"
    ]
    found: dict[str, Any] = answers[str(status)]["content"]["application/json"]["schema"]
    return found


def test_the_answers_to_changes_are_as_the_api_describes_itself(site: Site) -> None:
    put = post(site, "/stops", STOP)
    jsonschema.validate(put.get_json(), described(site, "/stops", 201))
    lifted = post(site, f"/stops/{put.get_json()['id']}/resume", {"by": "bob"})
    jsonschema.validate(lifted.get_json(), described(site, "/stops/{id}/resume", 200))

    def approve(incident_id: str, plan_hash: str) -> None:
        for path, body in (
            ("approve", {"by": "carol", "plan_hash": plan_hash}),
            ("stand-down", {"by": "carol"}),
        ):
            answer = post(site, f"/incidents/{incident_id}/{path}", body)
            jsonschema.validate(answer.get_json(), described(site, f"/incidents/{{id}}/{path}", 200))

    waiting(site, approve)
