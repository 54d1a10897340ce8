"""Every address of the web face, asked by nobody, by somebody who may only look, and with junk."""

from __future__ import annotations

import random
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from agent.domain.incident import EventKind
from agent.domain.people import Role
from agent.domain.sign_ins import Proof
from agent.web import keys
from agent.web.identity import csrf_of
from tests.integration.web.conftest import Site

#: What everybody may ask; webhooks, Slack and other agents sign what they send, and have tests of their own.
OPEN = ("/health", "/ready", "/metrics", "/console/static/", "/console/sign-in")
SIGNED_OTHERWISE = ("/webhook/", "/slack/", "/api/v1/handoffs")
#: A form that only looks.
LOOKS = ("/console/audit/verify",)
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
JUNK = [
    "",
    "x",
    "0",
    "-1",
    "99999999999999999999",
    "\x00",
    "💥",
    "../..",
    "<script>",
    "' OR 1=1 --",
    "a" * 3_000,
]


@pytest.fixture
def site(site: Site) -> Site:
    site.settings["people"] = [{"name": "vera", "role": "viewer"}, {"name": "alice", "role": "admin"}]
    return site


def addresses(site: Site) -> list[tuple[str, Rule]]:
    """Each method of each rule."""
    rules = site.client.application.url_map.iter_rules()
    return [
        (method, rule)
        for rule in rules
        for method in sorted(rule.methods or ())
        if method not in ("HEAD", "OPTIONS") and not rule.rule.startswith(SIGNED_OTHERWISE)
    ]


def path_of(rule: Rule, value: str) -> str:
    """The rule with this in each of its places."""
    path = rule.rule
    for name in rule.arguments:
        value = "claim" if name == "deed" and value not in JUNK else value
        for converter in ("", "path:", "int:", "string:"):
            path = path.replace(f"<{converter}{name}>", value)
    return path


def state(site: Site) -> tuple[Any, ...]:
    """All that a change would tell."""
    told = [each for each in site.store.audit_entries() if each["kind"] != EventKind.ACCESS.value]
    return (
        len(told), len(site.store.tokens()), len(site.store.all_stops()), site.notified,
        sorted(site.store.untold_decisions()),
    )  # fmt: skip


def browser_of(site: Site, name: str) -> tuple[FlaskClient, str]:
    person = site.config.person(name)
    assert person is not None
    secret = keys.open_session(site.store, keys.Newcomer(person, Proof.PASSWORD, "192.0.2.1", "test"))
    client = site.client.application.test_client()
    client.set_cookie("oncall_session", secret)
    return client, secret


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_nobody_changes_anything_and_beyond_loopback_nobody_reads_anything(site: Site, host: str) -> None:
    site.settings["server"] = {"host": host}
    site.settings["console"] = {"enabled": True}
    incident = site.escalated()
    before = state(site)
    for method, rule in addresses(site):
        path = path_of(rule, incident.id)
        answer = site.client.open(path, method=method, json={} if method in CHANGES else None)
        if method in CHANGES:
            assert answer.status_code in (401, 403, 415, 303), f"{method} {path}: {answer.status_code}"
        elif not path.startswith(OPEN) and (path.startswith("/console") or host != "127.0.0.1"):
            assert answer.status_code in (303, 401, 403), f"{method} {path}: {answer.status_code}"
            assert incident.alert.title not in answer.text
    assert state(site) == before


def test_whoever_may_only_look_changes_nothing_whatever_they_send(site: Site) -> None:
    incident = site.escalated()
    client, secret = browser_of(site, "vera")
    person = site.config.person("vera")
    assert person is not None
    _, token = keys.create_token(site.store, person, Role.ADMIN, name="", expires_at=None, by="root")
    before = state(site)
    for method, rule in addresses(site):
        if method not in CHANGES or rule.rule.startswith(("/console/account", *LOOKS)):
            continue
        path = path_of(rule, incident.id)
        if path.startswith("/api/"):
            asked = {"Authorization": f"Bearer {token}"}
            body = {"plan_hash": "0" * 64, "scope": "all", "reason": "x", "runbook": "x", "note": "x"}
            answer = site.client.open(path, method=method, json=body, headers=asked)
            assert answer.status_code in (400, 403, 404), f"{method} {path}: {answer.status_code}"
        elif path not in ("/console/sign-in", "/console/sign-out"):
            form = {"csrf_token": csrf_of(secret), "plan_hash": "0" * 64, "reason": "x", "note": "x"}
            answer = client.open(path, method=method, data=form)
            assert answer.status_code in (400, 403, 404), f"{method} {path}: {answer.status_code}"
    assert state(site) == before


def test_no_form_of_the_console_works_without_its_token(site: Site) -> None:
    incident = site.escalated()
    client, _ = browser_of(site, "alice")
    _, foreign = browser_of(site, "vera")
    before = state(site)
    for method, rule in addresses(site):
        if method in CHANGES and rule.rule.startswith("/console"):
            for token in ("", "0" * 64, csrf_of(foreign)):
                form = {"csrf_token": token, "reason": "x", "plan_hash": "0" * 64}
                answer = client.open(path_of(rule, incident.id), method=method, data=form)
                assert answer.status_code == 403, f"{method} {rule.rule}: {answer.status_code}"
    assert state(site) == before


@pytest.mark.parametrize("seed", range(3))
def test_junk_is_never_a_500(site: Site, seed: int) -> None:
    chosen = random.Random(seed)
    client, secret = browser_of(site, "alice")
    names = (
        "name", "reason", "scope", "runbook", "note", "action", "limit", "q", "after", "status", "severity",
        "place", "next", "days", "role", "plan_hash", "service", "from", "to", "kind", "page", "sort",
    )  # fmt: skip
    for method, rule in addresses(site):
        if rule.rule in ("/console/sign-out", "/console/events"):
            continue
        for _ in range(4):
            path = path_of(rule, chosen.choice(JUNK).replace("/", "%2F").replace("\x00", "%00") or "x")
            junk = {name: chosen.choice(JUNK) for name in names}
            if method in CHANGES:
                answer = client.open(path, method=method, data={**junk, "csrf_token": csrf_of(secret)})
            else:
                answer = client.open(path, method=method, query_string=junk)
            assert answer.status_code < 500 or answer.status_code == 503, f"{method} {path} {junk}"
