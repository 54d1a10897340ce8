"""Single sign-on against a real provider on loopback: whom it may let in, and every way it may lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from agent.domain.incident import EventKind
from agent.domain.people import Deed
from agent.simulators.oidc import Lies, OidcSimulator
from agent.simulators.server import Fault
from agent.web import identity
from agent.web.identity import csrf_of
from tests.integration.web.conftest import Site

ALICE = {"name": "alice", "role": "approver", "email": "alice@example.com"}


@pytest.fixture(scope="module")
def running() -> Iterator[OidcSimulator]:
    with OidcSimulator() as provider:
        yield provider


@pytest.fixture
def provider(running: OidcSimulator) -> OidcSimulator:
    running.person = {"email": "alice@example.com", "email_verified": True}
    running.lies = Lies()
    running.behave()
    return running


@pytest.fixture
def site(site: Site, provider: OidcSimulator) -> Site:
    site.settings["people"] = [ALICE, {"name": "bob", "role": "viewer"}]
    site.settings["console"] = {"oidc": section(site, provider)}
    return site


def section(site: Site, provider: OidcSimulator, **more: object) -> dict[str, object]:
    secret = site.secret("client", provider.client_secret)
    return {"issuer": provider.url, "client_id": provider.client_id, "client_secret": secret, **more}


def browser(site: Site) -> FlaskClient:
    return site.client.application.test_client()


def begin(client: FlaskClient, place: str = "/console/queue") -> TestResponse:
    return client.get("/console/sign-in/oidc", query_string={"next": place})


def at_the_provider(begun: TestResponse) -> str:
    """Where the provider sends the browser back to, as a path here."""
    assert begun.status_code == 302, begun.text
    back = httpx.get(begun.location, follow_redirects=False)
    assert back.status_code == 302, back.text
    parts = urlsplit(back.headers["Location"])
    assert f"{parts.scheme}://{parts.netloc}" == "http://localhost:8080"
    return f"{parts.path}?{parts.query}"


def sign_in(client: FlaskClient, place: str = "/console/queue") -> TestResponse:
    return client.get(at_the_provider(begin(client, place)))


def is_in(client: FlaskClient) -> bool:
    return client.get("/console/sign-in").status_code == 303


def refused(site: Site) -> TestResponse:
    """The answer to a sign-in that must not work, and leaves nothing behind."""
    client = browser(site)
    answer = sign_in(client)
    assert not is_in(client)
    assert client.get_cookie("oncall_session") is None
    assert not any(each["kind"] == EventKind.ACCESS.value for each in site.store.audit_entries())
    return answer


def test_whom_the_provider_vouches_for_is_in_and_goes_where_they_wanted(site: Site) -> None:
    client = browser(site)
    answer = sign_in(client)
    assert (answer.status_code, answer.location) == (303, "/console/queue")
    assert is_in(client)
    (session,) = site.store.sessions_of("alice")
    assert (session.proof, session.email) == ("oidc", "alice@example.com")
    texts = [str(each["text"]) for each in site.store.audit_entries()]
    assert texts == ["🔓 alice signed in by single sign-on from 127.0.0.1"]


def test_the_page_offers_it_under_its_name_and_goes_on_from_there(
    site: Site, provider: OidcSimulator
) -> None:
    site.settings["console"] = {"oidc": section(site, provider, label="Example ID")}
    text = browser(site).get("/console/sign-in?next=/console/queue").text
    assert 'href="/console/sign-in/oidc?next=/console/queue"' in text
    assert "Sign in with Example ID" in text


def test_what_is_asked_is_code_flow_with_pkce_state_and_nonce(site: Site) -> None:
    asked = parse_qs(urlsplit(begin(browser(site)).location).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert set(asked["scope"][0].split()) == {"openid", "email", "profile"}
    assert len(asked["state"][0]) >= 20
    assert len(asked["nonce"][0]) >= 20
    assert asked["redirect_uri"] == ["http://localhost:8080/console/sign-in/oidc/callback"]


def test_signing_out_ends_it(site: Site) -> None:
    client = browser(site)
    sign_in(client)
    secret = client.get_cookie("oncall_session")
    assert secret is not None
    assert client.post("/console/sign-out", data={"csrf_token": csrf_of(secret.value)}).status_code == 303
    assert not is_in(client)


@pytest.mark.parametrize(
    "lies",
    [
        pytest.param(Lies(claims={"nonce": "another"}), id="another nonce"),
        pytest.param(Lies(claims={"nonce": None}), id="no nonce"),
        pytest.param(Lies(claims={"aud": "another-client"}), id="another audience"),
        pytest.param(Lies(claims={"aud": None}), id="no audience"),
        pytest.param(Lies(claims={"aud": ["oncall-agent", "other"], "azp": "other"}), id="for another party"),
        pytest.param(Lies(claims={"exp": int(time.time()) - 3_600}), id="expired"),
        pytest.param(Lies(claims={"exp": None}), id="without an end"),
        pytest.param(Lies(claims={"iat": int(time.time()) + 3_600}), id="made in the future"),
        pytest.param(Lies(claims={"iss": "https://other.example"}), id="another issuer"),
        pytest.param(Lies(claims={"sub": None}), id="about nobody"),
        pytest.param(Lies(alg="none"), id="not signed"),
        pytest.param(Lies(alg="HS256"), id="signed with the public key"),
        pytest.param(Lies(foreign_key=True), id="signed by somebody else"),
        pytest.param(Lies(no_id_token=True), id="no ID token"),
        pytest.param(Lies(metadata={"issuer": "https://other.example"}), id="calls itself otherwise"),
        pytest.param(Lies(metadata={"token_endpoint": "http://evil.example/token"}), id="in the clear"),
    ],
)
def test_what_the_provider_says_is_believed_only_whole(
    site: Site, provider: OidcSimulator, lies: Lies
) -> None:
    provider.lies = lies
    if lies.metadata:
        answer = begin(browser(site))
        assert answer.status_code == 502
        return
    answer = refused(site)
    assert answer.status_code == 401
    assert "did not vouch for anybody" in answer.text


@pytest.mark.parametrize(
    "person",
    [
        {"email": "alice@example.com", "email_verified": False},
        {"email": "alice@example.com", "email_verified": "false"},
        {"email": "alice@example.com", "email_verified": 1},
        {"email": "alice@example.com", "email_verified": None},
        {"email": ["alice@example.com"], "email_verified": True},
        {"email": "", "email_verified": True},
        {"email_verified": True},
    ],
)
def test_an_address_that_is_not_verified_is_nobodys(
    site: Site, provider: OidcSimulator, person: Mapping[str, object]
) -> None:
    provider.person = dict(person)
    answer = refused(site)
    assert answer.status_code == 403
    assert "names no verified e-mail address" in answer.text


def test_a_stranger_is_told_that_nobody_here_has_their_address(site: Site, provider: OidcSimulator) -> None:
    provider.person = {"email": "eve@example.com", "email_verified": True}
    answer = refused(site)
    assert answer.status_code == 403
    assert "eve@example.com is nobody" in answer.text


def test_capital_letters_and_a_true_in_text_are_as_good(site: Site, provider: OidcSimulator) -> None:
    provider.person = {"email": "Alice@Example.COM", "email_verified": "true"}
    client = browser(site)
    sign_in(client)
    assert is_in(client)


def test_an_address_that_stands_in_the_user_info_alone_is_fetched(
    site: Site, provider: OidcSimulator
) -> None:
    provider.lies = Lies(claims={"email": None, "email_verified": None})
    client = browser(site)
    sign_in(client)
    assert is_in(client)


def test_a_user_info_about_somebody_else_is_not_believed(site: Site, provider: OidcSimulator) -> None:
    provider.lies = Lies(claims={"email": None, "email_verified": None}, userinfo={"sub": "2"})
    assert refused(site).status_code == 401


def test_a_way_back_counts_once_and_only_in_the_browser_that_left(site: Site) -> None:
    client, other = browser(site), browser(site)
    back = at_the_provider(begin(client))
    other.get("/console/sign-in")
    assert other.get(back).status_code == 401
    assert not is_in(other)
    assert client.get(back).status_code == 303
    client.delete_cookie("oncall_session")
    assert client.get(back).status_code == 401
    assert not is_in(client)


def test_a_way_back_after_ten_minutes_is_too_late(site: Site) -> None:
    client = browser(site)
    back = at_the_provider(begin(client))
    site.world.clock.sleep(600)
    assert client.get(back).status_code == 401


def test_a_way_back_outlives_a_restart(site: Site) -> None:
    client = browser(site)
    back = at_the_provider(begin(client))
    visitor = client.get_cookie("oncall_visitor")
    assert visitor is not None
    site.restart()
    after = browser(site)
    after.set_cookie("oncall_visitor", visitor.value)
    assert after.get(back).status_code == 303


@pytest.mark.parametrize(
    "query",
    [
        "", "state=x", "code=x", "code=x&state=x", "error=access_denied", "error=%0d%0aX-Evil:1&state=%00",
        "state=" + "a" * 5_000, "code=%F0%9F%92%A5&state=%F0%9F%92%A5", "error=<script>alert(1)</script>",
    ],
)  # fmt: skip
def test_a_way_back_that_nobody_began_lets_nobody_in(site: Site, query: str) -> None:
    answer = browser(site).get(f"/console/sign-in/oidc/callback?{query}")
    assert answer.status_code == 401
    assert "<script>alert" not in answer.text
    assert "X-Evil" not in answer.headers


def test_nobody_is_sent_anywhere_but_to_the_console(site: Site) -> None:
    assert sign_in(browser(site), "https://evil.example").location == "/console/"


def test_a_session_that_was_prepared_is_not_the_one_after(site: Site) -> None:
    client = browser(site)
    client.set_cookie("oncall_session", "prepared")
    sign_in(client)
    found = client.get_cookie("oncall_session")
    assert found is not None
    assert found.value != "prepared"


def test_a_provider_that_does_not_answer_is_said_so_and_found_again(
    site: Site, provider: OidcSimulator
) -> None:
    provider.misbehave(Fault(500, "/.well-known", times=1), Fault(-1, "/.well-known", times=1))
    for _ in range(2):
        answer = begin(browser(site))
        assert answer.status_code == 502
        assert "cannot be reached right now" in answer.text
    client = browser(site)
    provider.misbehave(Fault(503, "/token", times=1))
    assert sign_in(client).status_code == 401
    sign_in(client)
    assert is_in(client)


def test_somebody_by_their_group_has_its_role_and_loses_it_with_the_configuration(
    site: Site, provider: OidcSimulator
) -> None:
    roles = {"sre": "responder", "leads": "approver"}
    site.settings["console"] = {"oidc": section(site, provider, roles=roles)}
    provider.person = {"email": "dora@example.com", "email_verified": True, "groups": ["sre", "leads", "x"]}
    client = browser(site)
    sign_in(client)
    assert is_in(client)
    (session,) = site.store.sessions_of("dora@example.com")
    assert session.groups == ("leads", "sre")
    secret = client.get_cookie("oncall_session")
    assert secret is not None
    site.settings["console"] = {"oidc": section(site, provider)}
    site.restart()
    after = browser(site)
    after.set_cookie("oncall_session", secret.value)
    assert not is_in(after)


def test_a_group_gives_nobody_of_people_another_role_nor_somebody_elses_name(
    site: Site, provider: OidcSimulator
) -> None:
    site.settings["people"] = [ALICE, {"name": "eve@example.com", "role": "viewer"}]
    site.settings["console"] = {"oidc": section(site, provider, roles={"sre": "admin"})}
    provider.person = {"email": "eve@example.com", "email_verified": True, "groups": ["sre"]}
    assert refused(site).status_code == 403


@pytest.mark.parametrize(
    "people",
    [
        [{"name": "alice", "role": "approver"}],
        [{"name": "alice", "role": "approver", "email": "other@example.com"}],
        [{"name": "alice", "role": "approver"}, {"name": "carol", "role": "admin", "email": ALICE["email"]}],
        [{"name": "carol", "role": "admin", "email": ALICE["email"]}],
    ],
)
def test_an_address_that_is_somebody_elses_by_now_ends_the_session(
    site: Site, people: list[dict[str, str]]
) -> None:
    client = browser(site)
    sign_in(client)
    secret = client.get_cookie("oncall_session")
    assert secret is not None
    site.settings["people"] = people
    site.restart()
    after = browser(site)
    after.set_cookie("oncall_session", secret.value)
    assert not is_in(after)


@pytest.mark.parametrize("groups", [None, "other", ["other"], {"sre": 1}, 7, [["sre"]]])
def test_without_a_group_that_means_something_a_stranger_stays_one(
    site: Site, provider: OidcSimulator, groups: object
) -> None:
    site.settings["console"] = {"oidc": section(site, provider, roles={"sre": "admin"})}
    provider.person = {"email": "dora@example.com", "email_verified": True, "groups": groups}
    assert refused(site).status_code == 403


def test_a_public_client_has_no_secret(site: Site, provider: OidcSimulator) -> None:
    with OidcSimulator(client_secret="") as public:
        site.settings["console"] = {"oidc": {"issuer": public.url, "client_id": public.client_id}}
        client = browser(site)
        sign_in(client)
        assert is_in(client)


def test_nothing_secret_is_logged_or_kept(
    site: Site, provider: OidcSimulator, logged: Callable[[], str]
) -> None:
    client = browser(site)
    back = at_the_provider(begin(client))
    kept = site.database_text()
    client.get(back)
    provider.lies = Lies(claims={"aud": "x"})
    sign_in(browser(site))
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert state not in kept
    text = logged()
    assert provider.client_secret not in text
    assert state not in text


def test_a_provider_that_hangs_holds_two_threads_of_the_web_server_at_most(
    site: Site, provider: OidcSimulator
) -> None:
    provider.misbehave(Fault(0, "/.well-known", times=-1, delay_s=1.0))
    clients = [browser(site) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(begin, clients))
    busy = [each for each in answers if each.status_code == 503]
    assert len(busy) == 6
    assert all(each.headers["Retry-After"] == "1" for each in busy)


@pytest.mark.parametrize(("bobs", "is_one"), [({"email": "bob@example.com"}, True), ({}, False)])
def test_who_comes_in_by_a_group_and_may_be_somebody_of_people_gives_no_second_yes(
    site: Site, provider: OidcSimulator, bobs: dict[str, str], is_one: bool
) -> None:
    site.settings["people"] = [ALICE, {"name": "bob", "role": "approver", **bobs}]
    site.settings["console"] = {"oidc": section(site, provider, roles={"leads": "approver"})}
    provider.person = {"email": "dora@example.com", "email_verified": True, "groups": ["leads"]}
    client = browser(site)
    sign_in(client)
    secret = client.get_cookie("oncall_session")
    assert secret is not None
    with client.application.test_request_context(headers={"Cookie": f"oncall_session={secret.value}"}):
        assert identity.signed_in(site.parts, Deed.APPROVE).is_shown is is_one
