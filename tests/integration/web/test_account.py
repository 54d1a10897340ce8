"""`/console/account`: one's own sessions and tokens, and nobody else's."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from agent.domain.people import Role
from agent.domain.sign_ins import Proof
from agent.web import keys
from agent.web.identity import csrf_of
from tests.integration.web.conftest import Site

ACCOUNT = "/console/account"
PEOPLE = [
    {"name": "alice", "role": "approver", "teams": ["payments"]},
    {"name": "bob", "role": "viewer"},
]


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["people"] = [dict(each) for each in PEOPLE]
    return site


class Browser:
    """One browser with somebody signed in."""

    def __init__(self, site: Site, name: str = "alice", *, agent: str = "a browser") -> None:
        person = site.config.person(name)
        assert person is not None
        self.secret = keys.open_session(site.store, keys.Newcomer(person, Proof.PASSWORD, "192.0.2.1", agent))
        self.client: FlaskClient = site.client.application.test_client()
        self.client.set_cookie("oncall_session", self.secret)

    def get(self, path: str = ACCOUNT) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, *, csrf: str | None = None, **form: str) -> TestResponse:
        token = csrf_of(self.secret) if csrf is None else csrf
        return self.client.post(f"{ACCOUNT}{path}", data={"csrf_token": token, **form})


def session_id(site: Site, name: str) -> str:
    return site.store.sessions_of(name)[0].id


def made_in(page: TestResponse) -> str:
    found = re.search(r"oat_[A-Za-z0-9_-]{40,}", page.text)
    assert found is not None, page.text
    return found[0]


def test_one_sees_ones_role_and_where_one_is_signed_in(site: Site) -> None:
    browser = Browser(site)
    site.world.clock.sleep(60)
    Browser(site, agent="another browser")
    Browser(site, "bob", agent="bobs browser")
    text = browser.get().text
    assert "approver" in text
    assert "payments" in text
    assert "This browser" in text
    assert "another browser" in text
    assert "bobs browser" not in text


def test_a_session_elsewhere_is_ended_at_once(site: Site) -> None:
    browser = Browser(site)
    site.world.clock.sleep(60)
    other = Browser(site)
    assert browser.post(f"/sessions/{session_id(site, 'alice')}/end").status_code == 303
    assert other.get().status_code == 303
    assert browser.get().status_code == 200


def test_nobody_ends_or_revokes_what_belongs_to_somebody_else(site: Site) -> None:
    alice, bob = Browser(site), Browser(site, "bob")
    person = site.config.person("bob")
    assert person is not None
    token, _ = keys.create_token(site.store, person, Role.VIEWER, name="bobs", expires_at=None, by="root")
    asked = (f"/sessions/{session_id(site, 'bob')}/end", f"/tokens/{token.id}/revoke")
    for path in (*asked, "/sessions/session-0/end", "/tokens/token-0/revoke", "/tokens/%00/revoke"):
        answer = alice.post(path)
        assert answer.status_code == 404
        assert "you have no such" in answer.text
    assert bob.get().status_code == 200
    assert "bobs" not in alice.get().text
    assert site.store.tokens("bob")[0].revoked_at is None
    assert bob.post(asked[1]).status_code == 303
    assert site.store.tokens("bob")[0].revoked_at is not None


def test_a_token_is_shown_once_and_works_with_the_chosen_role(site: Site) -> None:
    browser = Browser(site)
    made = browser.post("/tokens", name="deploy job", role="responder", days="7")
    assert made.status_code == 200
    secret = made_in(made)
    assert secret not in browser.get().text
    assert "deploy job" in browser.get().text
    asked = {"Authorization": f"Bearer {secret}"}
    stop = {"scope": "all", "reason": "bad deploy"}
    put = site.client.post("/api/v1/stops", json=stop, headers=asked)
    assert (put.status_code, put.get_json()["by"]) == (201, "alice (by API)")
    resume = f"/api/v1/stops/{put.get_json()['id']}/resume"
    assert site.client.post(resume, json={}, headers=asked).status_code == 403
    site.world.clock.sleep(7 * 86_400)
    assert site.client.post("/api/v1/stops", json=stop, headers=asked).status_code == 401


def test_a_token_has_no_more_than_its_owner_whatever_is_asked(site: Site) -> None:
    browser = Browser(site, "bob")
    assert 'value="approver"' not in browser.get().text
    browser.post("/tokens", name="x", role="admin", days="7")
    assert site.store.tokens("bob")[0].role is Role.VIEWER


@pytest.mark.parametrize("form", [{}, {"role": "king", "days": "7"}, {"role": "viewer", "days": "99999"}])
def test_a_token_without_a_role_or_an_end_is_none(site: Site, form: dict[str, str]) -> None:
    assert Browser(site).post("/tokens", **form).status_code == 400
    assert site.store.tokens() == []


def test_there_is_an_end_to_tokens(site: Site) -> None:
    browser = Browser(site)
    codes = [browser.post("/tokens", role="viewer", days="7").status_code for _ in range(21)]
    assert codes == [200] * 20 + [409]


@pytest.mark.parametrize("path", ["/tokens", "/sessions/x/end", "/tokens/x/revoke"])
def test_nothing_is_changed_without_the_sessions_own_token(site: Site, path: str) -> None:
    alice, other = Browser(site), Browser(site, "bob")
    for token in ("", "0" * 64, csrf_of(other.secret), csrf_of("")):
        answer = alice.post(path, csrf=token, role="viewer", days="7")
        assert answer.status_code == 403
    assert site.client.post(f"{ACCOUNT}{path}", data={"csrf_token": csrf_of("")}).status_code == 401
    assert site.store.tokens() == []
    header = {"X-CSRF-Token": csrf_of(alice.secret)}
    assert alice.client.post(f"{ACCOUNT}{path}", headers=header).status_code != 403


def test_what_a_browser_says_of_itself_and_a_tokens_name_come_back_as_text(site: Site) -> None:
    browser = Browser(site)
    site.world.clock.sleep(1)
    Browser(site, agent="<script>alert(1)</script>")
    browser.post("/tokens", name="<img src=x onerror=alert(1)>", role="viewer", days="7")
    text = browser.get().text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;" in text


def test_a_smaller_role_in_the_configuration_counts_for_an_open_session(site: Site) -> None:
    browser = Browser(site)
    site.settings["people"] = [{"name": "alice", "role": "viewer"}]
    site.restart()
    after = site.client.application.test_client()
    after.set_cookie("oncall_session", browser.secret)
    assert "<strong>viewer</strong>" in after.get(ACCOUNT).text


def test_a_page_that_is_used_keeps_its_session(site: Site) -> None:
    site.settings["console"] = {"session_hours": 2, "idle_minutes": 30}
    browser = Browser(site)
    for _ in range(4):
        site.world.clock.sleep(29 * 60)
        assert browser.get().status_code == 200
    site.world.clock.sleep(4 * 60)
    assert browser.get().status_code == 303


def test_a_page_without_a_session_leads_to_the_sign_in_and_back(site: Site) -> None:
    answer = site.client.get(f"{ACCOUNT}?a=b")
    assert (answer.status_code, answer.location) == (
        303, "/console/sign-in?next=%2Fconsole%2Faccount%3Fa%3Db",
    )  # fmt: skip
    script = {"HX-Request": "true"}
    events = {"Accept": "text/event-stream"}
    assert [site.get(ACCOUNT, **headers).status_code for headers in (script, events)] == [401, 401]
