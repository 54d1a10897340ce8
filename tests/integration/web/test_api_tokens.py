"""Personal tokens: whose they are, no more than their role, and nothing once revoked, over, or nobody's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from agent.domain.people import Role
from agent.web import keys
from tests.integration.web.conftest import API_TOKEN, Site

PEOPLE = [
    {"name": "alice", "role": "approver"},
    {"name": "bob", "role": "responder"},
    {"name": "vera", "role": "viewer"},
]
STOP = {"scope": "all", "reason": "bad deploy"}


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["people"] = [dict(each) for each in PEOPLE]
    return site


def token(site: Site, name: str = "alice", role: Role = Role.ADMIN, *, days: int | None = 90) -> str:
    person = site.config.person(name)
    assert person is not None
    until = None if days is None else site.world.clock.now() + timedelta(days=days)
    _, secret = keys.create_token(site.store, person, role, name="t", expires_at=until, by="root")
    return secret


def with_token(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def post(site: Site, path: str, body: object, secret: str) -> TestResponse:
    return site.client.post(f"/api/v1{path}", json=body, headers=with_token(secret))


def test_what_is_done_with_a_token_is_done_by_its_owner(site: Site) -> None:
    answer = post(site, "/stops", STOP, token(site))
    assert answer.status_code == 201
    assert answer.get_json()["by"] == "alice (by API)"
    assert site.store.stops()[0].by == "alice (by API)"


def test_a_token_needs_no_other_token_to_be_configured_and_reads_beyond_loopback_too(site: Site) -> None:
    site.settings["server"] = {"host": "0.0.0.0"}
    secret = token(site, "vera")
    assert site.get("/api/v1/incidents").status_code == 403
    assert site.get("/api/v1/incidents", **with_token(secret)).status_code == 200


def test_nobody_speaks_for_somebody_else(site: Site) -> None:
    secret = token(site)
    answer = post(site, "/stops", {**STOP, "by": "bob"}, secret)
    assert (answer.status_code, "alice's" in answer.get_json()["error"]) == (400, True)
    assert post(site, "/stops", {**STOP, "by": "Alice"}, secret).get_json()["by"] == "alice (by API)"


def test_a_token_may_do_what_its_role_and_its_owners_role_both_may(site: Site) -> None:
    stop_id = post(site, "/stops", STOP, token(site, "bob")).get_json()["id"]
    resume = f"/stops/{stop_id}/resume"
    cases = (("vera", Role.ADMIN), ("bob", Role.ADMIN), ("alice", Role.RESPONDER), ("alice", Role.VIEWER))
    for name, role in cases:
        answer = post(site, resume, {}, token(site, name, role))
        assert answer.status_code == 403
        assert f"{name} is a " in answer.get_json()["error"]
    assert post(site, "/stops", STOP, token(site, "vera")).status_code == 403
    assert site.store.stops()[0].is_in_force
    assert post(site, resume, {}, token(site, "alice")).status_code == 200


def test_whoever_may_not_approve_may_still_say_no(site: Site) -> None:
    incident, secret = site.escalated(), token(site, "bob")
    said = {"plan_hash": "0" * 64}
    answers = [post(site, f"/incidents/{incident.id}/{word}", said, secret) for word in ("approve", "reject")]
    assert [answer.status_code for answer in answers] == [
        403,
        409,
    ]  # it is too late, but it was theirs to say


def test_a_smaller_role_in_the_configuration_counts_for_tokens_that_are_out(site: Site) -> None:
    secret = token(site)
    site.settings["people"] = [{"name": "alice", "role": "viewer"}]
    site.restart()
    assert post(site, "/stops", STOP, secret).status_code == 403
    assert site.get("/api/v1/incidents", **with_token(secret)).status_code == 200


@pytest.mark.parametrize("how", ["revoked", "expired", "removed", "unknown", "forgotten", "cut", "its hash"])
def test_a_token_that_does_not_count_opens_nothing(site: Site, how: str) -> None:
    secret = token(site)
    (made,) = site.store.tokens("alice")
    if how == "revoked":
        keys.revoke_token(site.store, made.id, by="root")
    elif how == "expired":
        site.world.clock.sleep(90 * 86_400)
    elif how == "removed":
        site.settings["people"] = PEOPLE[1:]
    elif how == "forgotten":
        keys.forget(site.store, "alice", by="root")
    elif how == "its hash":
        secret = "oat_" + keys.digest(secret)
    else:
        secret = "oat_nothing" if how == "unknown" else secret[:-1]
    for answer in (
        site.get("/api/v1/incidents", **with_token(secret)),
        post(site, "/stops", STOP, secret),
    ):
        assert answer.status_code == 401
        assert secret not in answer.text
    assert site.store.all_stops() == []


def test_a_wrong_token_is_wrong_even_where_reading_is_open(site: Site) -> None:
    assert site.get("/api/v1/incidents").status_code == 200
    assert site.get("/api/v1/incidents", **with_token("oat_nothing")).status_code == 401


def test_a_token_says_when_it_was_last_used(site: Site) -> None:
    secret = token(site)
    assert site.store.tokens("alice")[0].used_at is None
    site.get("/api/v1/incidents", **with_token(secret))
    first = site.world.clock.now()
    site.world.clock.sleep(59)
    site.get("/api/v1/incidents", **with_token(secret))
    assert site.store.tokens("alice")[0].used_at == first
    site.world.clock.sleep(1)
    site.get("/api/v1/incidents", **with_token(secret))
    assert site.store.tokens("alice")[0].used_at == site.world.clock.now() == site.store.last_seen()["alice"]


def test_the_agents_own_token_works_as_before_and_needs_a_name(site: Site) -> None:
    site.settings["server"] = {"api_token": site.secret("token", API_TOKEN)}
    assert post(site, "/stops", {**STOP, "by": "carol"}, API_TOKEN).get_json()["by"] == "carol (by API)"
    answer = post(site, "/stops", STOP, API_TOKEN)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "by: say who you are")


def test_a_session_of_the_console_opens_no_api(site: Site) -> None:
    site.settings["server"] = {"host": "0.0.0.0"}
    site.settings["console"] = {"enabled": True}
    person = site.config.person("alice")
    assert person is not None
    secret = keys.open_session(
        site.store, keys.Newcomer(person, keys.Proof.PASSWORD, "127.0.0.1", "a browser")
    )
    site.client.set_cookie("oncall_session", secret)
    assert site.get("/api/v1/incidents").status_code == 403
    assert site.client.post("/api/v1/stops", json=STOP).status_code == 403
