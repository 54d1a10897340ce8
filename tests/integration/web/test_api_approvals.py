"""Approvals by API: a shared token is nobody in particular, other values make another plan."""

from __future__ import annotations

from collections.abc import Callable

from agent.domain.incident import EventKind, Status
from tests.integration.web.conftest import API_TOKEN, Site
from tests.integration.web.test_api_changes import TOKEN, post
from tests.unit.pipeline.conftest import runbook, step

LIMITS = "- max_cache_operations: 1\n- requires_human_approval: true"
PARAMETERS = "## Parameters\n- key: one of carts, sessions; default sessions\n"


def waiting(site: Site, *moves: Callable[[str, str], object]) -> str:
    """An incident in whose wait these things happen, each with the hash that is asked about then."""
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    incident_id = site.world.receive()
    left = list(moves)

    def wait(_: str) -> bool:
        if not left:
            return False
        timeline = site.store.timeline(incident_id)
        asked = [each for each in timeline if each.kind is EventKind.APPROVAL_REQUESTED]
        left.pop(0)(incident_id, str(asked[-1].data["plan_hash"]))
        return True

    site.world.on_wait = wait
    site.world.handle(incident_id)
    return incident_id


def test_edited_parameters_are_asked_about_anew(site: Site) -> None:
    site.world.runbook(runbook(limits=LIMITS, steps=step(1, "redis-cli DEL {{ key }}"), more=PARAMETERS))
    site.world.answers("redis-cli DEL carts", "1")
    answers = []

    def edit(incident_id: str, plan_hash: str) -> None:
        body = {"by": "carol", "plan_hash": plan_hash, "parameters": {"key": "users"}}
        answers.append(post(site, f"/incidents/{incident_id}/parameters", body))
        body["parameters"] = {"key": "carts"}
        answers.append(post(site, f"/incidents/{incident_id}/parameters", body))

    def approve(incident_id: str, plan_hash: str) -> None:
        body = {"by": "bob", "plan_hash": plan_hash}
        answers.append(post(site, f"/incidents/{incident_id}/approve", body))

    incident_id = waiting(site, edit, approve)
    assert [each.status_code for each in answers] == [409, 200, 200]
    assert "is not one of carts, sessions" in answers[0].get_json()["error"]
    assert answers[1].get_json()["parameters"] == {"key": "carts"}
    assert answers[2].get_json()["waits_for"] == 0
    assert site.store.incident(incident_id).status is Status.RESOLVED
    assert site.world.sandbox.commands() == ["redis-cli DEL carts"]


def test_step_by_step_is_asked_for_with_the_yes(site: Site) -> None:
    site.world.runbook(runbook(limits=LIMITS, steps=step(1, "redis-cli FLUSHDB")))
    site.world.answers("redis-cli FLUSHDB", "OK")

    def approve(incident_id: str, plan_hash: str) -> None:
        body = {"by": "bob", "plan_hash": plan_hash, "step_by_step": not asked}
        asked.append(post(site, f"/incidents/{incident_id}/approve", body).status_code)

    asked: list[int] = []
    incident_id = waiting(site, approve, approve)
    assert asked == [200, 200]
    assert site.store.incident(incident_id).status is Status.RESOLVED


def test_the_shared_token_is_not_two_people(site: Site) -> None:
    people = [{"name": "alice", "role": "approver"}, {"name": "bob", "role": "approver"}]
    config = site.world.config
    site.world.config = type(config).model_validate(config.model_dump() | {"people": people})
    site.world.runbook(runbook(limits="- approvals: 2", steps=step(1, "redis-cli PING")))
    answers = []

    def approve(incident_id: str, plan_hash: str) -> None:
        for name in ("alice", "bob"):
            body = {"by": name, "plan_hash": plan_hash}
            answers.append(post(site, f"/incidents/{incident_id}/approve", body))

    incident_id = waiting(site, approve)
    assert [each.status_code for each in answers] == [409, 409]
    assert "personal token" in answers[0].get_json()["error"]
    assert site.store.incident(incident_id).status is Status.ESCALATED


def test_an_edit_needs_a_token(site: Site) -> None:
    body = {"by": "carol", "plan_hash": "ab" * 32, "parameters": {"key": "carts"}}
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    answer = post(site, "/incidents/inc-1/parameters", body, Authorization="Bearer wrong")
    assert answer.status_code == 401
    assert post(site, "/incidents/inc-1/parameters", body, **TOKEN).status_code == 404


def test_another_runbook_is_chosen_for_exactly_the_plan_that_is_asked_about(site: Site) -> None:
    for title, name in (("Redis Connection Timeout", "first"), ("Redis Memory", "second")):
        asked = runbook(title=title, limits=LIMITS, steps=step(1, f"redis-cli DEL {name}"))
        site.world.runbook(asked, name)
    site.world.answers("redis-cli DEL second", "1")
    answers = []

    def choose(incident_id: str, plan_hash: str) -> None:
        path = f"/incidents/{incident_id}/choose"
        for runbook_id, asked in (("second", "0" * 64), ("third", plan_hash), ("second", plan_hash)):
            body = {"by": "carol", "runbook": runbook_id, "plan_hash": asked}
            answers.append(post(site, path, body))
        answers.append(post(site, path, {"by": "carol", "runbook": "second"}))

    def approve(incident_id: str, plan_hash: str) -> None:
        body = {"by": "bob", "plan_hash": plan_hash}
        answers.append(post(site, f"/incidents/{incident_id}/approve", body))

    incident_id = waiting(site, choose, approve)
    assert [each.status_code for each in answers] == [409, 409, 200, 200, 200]
    assert "third is not offered; choose one of second" in answers[1].get_json()["error"]
    assert [each.get_json()["again"] for each in answers[2:4]] == [False, True]
    incident = site.store.incident(incident_id)
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "second")
    assert site.world.sandbox.commands() == ["redis-cli DEL second"]
