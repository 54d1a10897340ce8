"""Signing in by password: who is let in, how often one may guess, and what a page of another site can do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from agent.adapters import passwords
from agent.domain.incident import EventKind
from agent.web import keys
from agent.web.identity import csrf_of, digest
from tests.integration.web.conftest import Site

PASSWORD = "a lantern in the fog"
PEOPLE = [
    {"name": "alice", "role": "approver", "email": "alice@example.com"},
    {"name": "bob", "role": "viewer"},
]


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["people"] = [dict(each) for each in PEOPLE]
    return site


def token_in(page: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
    assert found is not None, page.text
    return found[1]


def browser(site: Site) -> FlaskClient:
    return site.client.application.test_client()


def give_password(site: Site, name: str = "alice", password: str = PASSWORD) -> None:
    person = site.config.person(name)
    assert person is not None
    keys.set_password(site.store, person, password, by="root (command line)")


def sign_in(
    client: FlaskClient, name: str = "alice", password: str = PASSWORD, place: str = "", **more: str
) -> TestResponse:
    form = {"csrf_token": token_in(client.get("/console/sign-in")), "name": name, "password": password}
    address = {"REMOTE_ADDR": more.pop("address", "127.0.0.1")}
    return client.post("/console/sign-in", data={**form, "next": place, **more}, environ_overrides=address)


def cookie(client: FlaskClient, name: str = "oncall_session") -> str:
    found = client.get_cookie(name)
    return found.value if found is not None else ""


def told(site: Site) -> list[str]:
    return [
        str(each["text"]) for each in site.store.audit_entries() if each["kind"] == EventKind.ACCESS.value
    ]


def is_in(client: FlaskClient) -> bool:
    """Whether the console knows somebody here: then there is nothing to sign in for."""
    return client.get("/console/sign-in").status_code == 303


def test_the_right_password_opens_the_console_and_is_told(site: Site) -> None:
    give_password(site)
    client = browser(site)
    answer = sign_in(client, place="/console/queue?severity=high")
    assert (answer.status_code, answer.location) == (303, "/console/queue?severity=high")
    assert is_in(client)
    assert "🔓 alice signed in by password from 127.0.0.1" in told(site)


def test_an_email_address_is_a_name_too(site: Site) -> None:
    give_password(site)
    assert sign_in(browser(site), "Alice@Example.com").status_code == 303


def test_the_cookie_is_for_the_browser_alone_and_the_store_has_only_its_hash(site: Site) -> None:
    give_password(site)
    client = browser(site)
    answer = sign_in(client)
    (sent,) = [each for each in answer.headers.getlist("Set-Cookie") if each.startswith("oncall_session=")]
    assert "HttpOnly" in sent
    assert "SameSite=Lax" in sent
    assert "Secure" not in sent
    secret = cookie(client)
    assert len(secret) > 40
    dump = site.database_text()
    assert secret not in dump
    assert digest(secret) in dump
    assert PASSWORD not in dump
    assert "$argon2id$" in dump


def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(site: Site) -> None:
    site.settings["server"] = {"public_url": "https://oncall.example.com"}
    give_password(site)
    client = site.client.application.test_client()
    start = client.get("/console/sign-in", base_url="https://oncall.example.com")
    form = {"csrf_token": token_in(start), "name": "alice", "password": PASSWORD}
    answer = client.post("/console/sign-in", data=form, base_url="https://oncall.example.com")
    cookies = answer.headers.getlist("Set-Cookie")
    (sent,) = [each for each in cookies if each.startswith("__Host-oncall_session=")]
    assert "Secure" in sent
    assert "Path=/" in sent
    assert "Domain" not in sent
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("name", ["alice", "bob", "nobody", "", "a" * 5_000, "\x00", "💥", "' OR 1=1 --"])
def test_a_wrong_password_a_missing_one_and_an_unknown_name_are_answered_alike(site: Site, name: str) -> None:
    give_password(site)
    client = browser(site)
    answer = sign_in(client, name, "not the password")
    assert answer.status_code == 401
    assert "The name or the password is wrong." in answer.text
    assert not is_in(client)
    shown = answer.text.replace(token_in(answer), "")
    plain = sign_in(browser(site), "somebody", "not the password")
    if name in ("alice", "bob", "nobody"):
        assert shown.replace(name, "somebody") == plain.text.replace(token_in(plain), "")


def test_a_name_that_nobody_has_costs_as_many_hashes_as_one_that_somebody_has(
    site: Site, hashes: Callable[[], int]
) -> None:
    give_password(site)
    costs = []
    for name in ("alice", "bob", "nobody"):
        before = hashes()
        sign_in(browser(site), name, "not the password")
        costs.append(hashes() - before)
    assert costs == [1, 1, 1]


def test_a_session_that_was_there_before_is_not_the_one_after(site: Site) -> None:
    give_password(site)
    client = browser(site)
    client.set_cookie("oncall_session", "prepared-by-somebody-else")
    sign_in(client)
    first = cookie(client)
    assert first != "prepared-by-somebody-else"
    client.delete_cookie("oncall_visitor")
    other = browser(site)
    other.set_cookie("oncall_session", "prepared-by-somebody-else")
    assert not is_in(other)


def test_signing_in_anew_ends_the_session_before(site: Site) -> None:
    give_password(site)
    client = browser(site)
    sign_in(client)
    before = cookie(client)
    form = {"csrf_token": "", "name": "alice", "password": PASSWORD}
    visitor = browser(site)
    form["csrf_token"] = token_in(visitor.get("/console/sign-in"))
    client.set_cookie("oncall_visitor", cookie(visitor, "oncall_visitor"))
    assert client.post("/console/sign-in", data=form).status_code == 303
    assert cookie(client) != before
    old = browser(site)
    old.set_cookie("oncall_session", before)
    assert not is_in(old)
    assert is_in(client)


@pytest.mark.parametrize(
    "place",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "/console//evil.example",
        "javascript:alert(1)",
        "/console/\r\nSet-Cookie: a=b", "/consolez", "/console/../../evil", "/api/v1/incidents", "console",
        "/console/\t/evil.example", "/console?next=//evil.example", "\x00", "/console/" + "a" * 2_000,
    ],
)  # fmt: skip
def test_nobody_is_sent_anywhere_but_to_the_console(site: Site, place: str) -> None:
    give_password(site)
    client = browser(site)
    answer = sign_in(client, place=place)
    assert answer.status_code == 303
    assert answer.location == ("/console?next=//evil.example" if "?" in place else "/console/")
    assert client.get("/console/sign-in", query_string={"next": place}).location == answer.location
    assert [each.split("=")[0] for each in answer.headers.getlist("Set-Cookie")] == [
        "oncall_session",
        "oncall_visitor",
    ]


def test_a_form_without_its_token_or_with_that_of_another_browser_signs_nobody_in(site: Site) -> None:
    give_password(site)
    client, other = browser(site), browser(site)
    client.get("/console/sign-in")
    foreign = token_in(other.get("/console/sign-in"))
    for token in ("", "0" * 64, foreign):
        form = {"csrf_token": token, "name": "alice", "password": PASSWORD}
        assert client.post("/console/sign-in", data=form).status_code == 403
    assert cookie(client) == ""
    assert told(site) == [each for each in told(site) if "password" in each]


def test_a_form_of_another_site_signs_nobody_in_and_out(site: Site) -> None:
    give_password(site)
    client = browser(site)
    form = {"csrf_token": token_in(client.get("/console/sign-in")), "name": "alice", "password": PASSWORD}
    evil = {"Origin": "https://evil.example"}
    assert client.post("/console/sign-in", data=form, headers=evil).status_code == 403
    sign_in(client)
    form = {"csrf_token": csrf_of(cookie(client))}
    assert client.post("/console/sign-out", data=form, headers=evil).status_code == 403
    assert client.post("/console/sign-out", data=form, headers={"Origin": "null"}).status_code == 403
    assert is_in(client)
    assert (
        client.post("/console/sign-out", data=form, headers={"Origin": "http://localhost"}).status_code == 303
    )


def test_signing_out_ends_the_session_for_good_and_is_told(site: Site) -> None:
    give_password(site)
    client = browser(site)
    sign_in(client)
    secret, token = cookie(client), csrf_of(cookie(client))
    assert client.post("/console/sign-out", data={"csrf_token": "0" * 64}).status_code == 403
    assert client.post("/console/sign-out", data={"csrf_token": token}).status_code == 303
    assert cookie(client) == ""
    client.set_cookie("oncall_session", secret)
    assert not is_in(client)
    assert "🔒 alice signed out" in told(site)


def test_guessing_is_refused_after_five_tries_even_the_right_one_and_over_a_restart(site: Site) -> None:
    give_password(site)
    client = browser(site)
    assert [sign_in(client, password="guess").status_code for _ in range(6)] == [401] * 5 + [429]
    site.restart()
    refused = sign_in(browser(site))
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 800
    assert "Too many failed tries. Try again in 15 minutes." in refused.text
    bursts = [each for each in told(site) if each.startswith("🚫")]
    assert bursts == ["🚫 Too many failed sign-ins as alice from 127.0.0.1; all are refused until 04:32 UTC"]
    assert sign_in(browser(site), address="192.0.2.7").status_code == 303
    site.world.clock.sleep(900)
    assert sign_in(browser(site)).status_code == 303


def test_guessing_at_a_name_that_nobody_has_is_refused_alike(site: Site) -> None:
    client = browser(site)
    assert [sign_in(client, "nobody", "guess").status_code for _ in range(6)] == [401] * 5 + [429]
    assert told(site)[-1].startswith(
        "🚫 Too many failed sign-ins under a name that nobody has from 127.0.0.1"
    )


def test_one_address_that_tries_many_names_is_refused_and_others_are_not(site: Site) -> None:
    give_password(site)
    client = browser(site)
    codes = [sign_in(client, f"name{n}", "guess", address="192.0.2.9").status_code for n in range(21)]
    assert codes == [401] * 20 + [429]
    assert sign_in(browser(site), address="192.0.2.9").status_code == 429
    assert sign_in(browser(site), address="192.0.2.10").status_code == 303


def test_whoever_signs_in_starts_to_count_anew(site: Site) -> None:
    give_password(site)
    client = browser(site)
    for _ in range(3):
        assert [sign_in(client, password="guess").status_code for _ in range(4)] == [401] * 4
        assert sign_in(browser(site)).status_code == 303


def test_where_no_room_is_left_to_look_at_passwords_nobody_waits_and_nothing_is_counted(site: Site) -> None:
    give_password(site)
    with passwords.place() as first, passwords.place() as second, passwords.place() as third:
        assert (first, second, third) == (True, True, False)
        for _ in range(7):
            answer = sign_in(browser(site), password="guess")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert sign_in(browser(site)).status_code == 303


def test_what_a_client_says_of_its_address_counts_only_behind_proxies_of_ours(site: Site) -> None:
    site.settings["console"] = {"behind_proxies": 1}
    client = browser(site)

    def guess(forwarded: str) -> int:
        form = {"csrf_token": token_in(client.get("/console/sign-in")), "name": "x", "password": "guess"}
        headers = {"X-Forwarded-For": forwarded}
        return client.post("/console/sign-in", data=form, headers=headers).status_code

    # the left part is what the client itself sent
    assert [guess(f"10.0.0.{n}, 192.0.2.1") for n in range(6)] == [401] * 5 + [429]
    assert guess("192.0.2.1, 192.0.2.2") == 401


def test_a_session_ends_when_it_is_not_used_and_at_the_latest_after_its_hours(site: Site) -> None:
    site.settings["console"] = {"session_hours": 2, "idle_minutes": 30}
    give_password(site)
    client = browser(site)
    sign_in(client)
    for _ in range(4):
        site.world.clock.sleep(29 * 60)
        assert is_in(client)
        (session,) = site.store.sessions_of("alice")
        site.store.session_seen(session, site.world.clock.now())
    site.world.clock.sleep(4 * 60)
    assert not is_in(client)
    sign_in(client)
    site.world.clock.sleep(31 * 60)
    assert not is_in(client)


def test_a_new_password_ends_every_session(site: Site) -> None:
    give_password(site)
    clients = [browser(site), browser(site)]
    for client in clients:
        sign_in(client)
    give_password(site, password="another lantern in the fog")
    assert [is_in(client) for client in clients] == [False, False]
    assert sign_in(browser(site)).status_code == 401


def test_whoever_is_taken_out_of_the_configuration_is_out_at_once(site: Site) -> None:
    give_password(site)
    client = browser(site)
    sign_in(client)
    site.settings["people"] = [PEOPLE[1]]
    site.restart()
    after = browser(site)
    after.set_cookie("oncall_session", cookie(client))
    assert not is_in(after)
    assert sign_in(browser(site)).status_code == 401


def test_beyond_loopback_the_console_is_off_until_it_is_switched_on(site: Site) -> None:
    site.settings["server"] = {"host": "0.0.0.0"}
    answer = site.get("/console/sign-in")
    assert answer.status_code == 404
    assert "console.enabled: true" in answer.text
    site.settings["console"] = {"enabled": True}
    site.restart()
    assert site.get("/console/sign-in").status_code == 200


def test_the_console_can_be_switched_off(site: Site) -> None:
    site.settings["console"] = {"enabled": False}
    assert site.get("/console/sign-in").status_code == 404


@pytest.mark.parametrize("path", ["/console/sign-in", "/health", "/api/v1/incidents", "/nothing"])
def test_every_answer_tells_the_browser_what_to_refuse(site: Site, path: str) -> None:
    answer = site.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;")
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in answer.headers
    if path.startswith(("/console", "/api")):
        assert answer.headers["Cache-Control"] == "no-store"


def test_no_page_of_the_sign_in_has_a_script_of_its_own(site: Site) -> None:
    text = site.get("/console/sign-in").text
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"\son[a-z]+=|javascript:|style=", text) == []


def test_what_is_typed_comes_back_as_text(site: Site) -> None:
    answer = sign_in(browser(site), '"><script>alert(1)</script>', "guess")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text
