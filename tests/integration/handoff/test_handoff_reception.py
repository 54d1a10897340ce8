"""What another agent posts: signed or not at all, once however often, and nothing of it is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from agent.adapters.fake_clock import FakeClock
from agent.adapters.handoff_http import HandoffHttp
from agent.adapters.http import json_bytes
from agent.adapters.store_handoffs import StoredHandoffs
from agent.config import parse
from agent.domain.errors import ConfigError, Reason, ServiceError
from agent.domain.folding import Folding
from agent.domain.handoffs import SENDER, HandedIn
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.signing import SIGNATURE, sign, why_not_signed
from agent.simulators.server import Simulator
from agent.web.handoff_bodies import HandedAnswer, Package
from tests.integration.handoff.conftest import KEY, Pair
from tests.integration.handoff.test_handing_over import PING, mends
from tests.unit.pipeline.conftest import SECRET

ROOT = Path(__file__).parents[3]


def package(pair: Pair, **changes: Any) -> dict[str, Any]:
    """The least that is a package."""
    deadline = "2030-01-01T00:00:00+00:00"
    base = {"type": "oncall.handoff", "version": 1, "key": "k-1", "from": "tier-1", "chain": ["tier-1"]}
    return base | {"deadline": deadline, "alert": {"title": "Redis connection timeout"}} | changes


def posted(pair: Pair, body: Mapping[str, Any] | bytes, **how: str) -> tuple[int, str]:
    raw = body if isinstance(body, bytes) else json_bytes(body)
    answer = pair.tier1.wires["platform"].send("", raw, **how)
    data = answer.get_json()
    return answer.status_code, str(data.get("error") or data.get("outcome"))


def test_posted_twice_it_is_one_incident(pair: Pair) -> None:
    assert posted(pair, package(pair)) == (202, "accepted")
    assert posted(pair, package(pair)) == (202, "known")
    assert len(pair.platform.incidents()) == 1
    assert pair.platform.site.notified == 2


def test_killed_between_writing_it_down_and_opening_it_the_next_post_opens_it(pair: Pair) -> None:
    now = pair.tier1.clock.now()
    store: StoredHandoffs = pair.platform.world.store
    store.keep_handed_in(HandedIn("tier-1/k-1", "tier-1", "k-1", ("tier-1",), now, now))
    pair.platform.work()
    assert posted(pair, package(pair)) == (202, "accepted")
    pair.platform.wires["tier-1"].is_cut = True
    pair.platform.work()
    pair.platform.work()
    (incident,) = pair.platform.incidents()
    told = pair.platform.world.told(incident.id)
    assert len([text for text in told if "tier-1 is told" in text]) == 1


@pytest.mark.parametrize(
    ("changes", "how", "status", "words"),
    [
        ({}, {"own": "stranger"}, 401, "names nobody"),
        ({}, {"secret": "another-secret"}, 401, "matches no secret"),
        ({"from": "edge"}, {}, 401, "different agents"),
        ({"chain": ["tier-1", "platform"]}, {}, 409, "goes round in circles"),
        ({"chain": ["edge"]}, {}, 409, "does not end with tier-1"),
        ({"chain": ["a", "b", "c", "tier-1"]}, {}, 409, "at most 3 may"),
        ({"chain": ["edge", "tier-1"], "max_hops": 1}, {}, 409, "at most 1 may"),
        ({"deadline": "2020-01-01T00:00:00+00:00"}, {}, 409, "deadline is over"),
        ({"deadline": "2030-01-01T00:00:00"}, {}, 400, "deadline"),
        ({"version": 2}, {}, 400, "version"),
        ({"alert": {}}, {}, 400, "alert.title"),
        ({"key": "../../x"}, {}, 400, "key"),
        ({"key": "k" * 300}, {}, 400, "key"),
        ({"chain": []}, {}, 400, "chain"),
        ({"chain": ["tier-1"] * 50}, {}, 400, "chain"),
    ],
)
def test_what_is_not_taken_is_told_and_opens_nothing(
    pair: Pair, changes: dict[str, Any], how: dict[str, str], status: int, words: str
) -> None:
    answer = posted(pair, package(pair, **changes), **how)
    assert answer[0] == status
    assert words in answer[1]
    assert not pair.platform.incidents()


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"key": 1e999}', b"[" * 100_000])
def test_junk_is_400(pair: Pair, raw: bytes) -> None:
    assert posted(pair, raw)[0] == 400


def test_a_package_that_is_far_too_long_is_413(pair: Pair) -> None:
    assert posted(pair, b" " * (2 * 1024 * 1024 + 1))[0] == 413


def test_without_a_signature_nothing_is_read(pair: Pair) -> None:
    answer = pair.platform.site.client.post("/api/v1/handoffs", data=b"{", headers={SENDER: "tier-1"})
    assert answer.status_code == 401


def test_an_old_post_played_again_is_refused(pair: Pair) -> None:
    raw = json_bytes(package(pair))
    at = int(pair.tier1.clock.now().timestamp())
    headers = {SENDER: "tier-1", SIGNATURE: sign(KEY, raw, at=at)}
    pair.tier1.clock.sleep(400)
    assert pair.platform.site.client.post("/api/v1/handoffs", data=raw, headers=headers).status_code == 401


def test_while_it_starts_or_waits_are_too_many_it_is_to_be_posted_again(pair: Pair) -> None:
    pair.platform.site.ready.clear()
    assert posted(pair, package(pair))[0] == 503
    pair.platform.site.ready.set()
    pair.platform.configure(pair.platform.site.settings["handoff"], limits={"backlog": 1})
    pair.platform.site.restart()
    assert posted(pair, package(pair, key="k-1"))[0] == 202
    assert posted(pair, package(pair, key="k-2"))[0] == 503


def test_nothing_of_a_package_runs_but_what_our_own_runbooks_say(pair: Pair) -> None:
    mends(pair.platform)
    plan = {"steps": [{"commands": [["redis-cli", "FLUSHALL"]]}], "hash": "x"}
    match = {"runbook": "flush-everything", "confidence": 1.0}
    posted(pair, package(pair, plan=plan, match=match, autonomy="auto"))
    pair.platform.work()
    assert pair.platform.world.sandbox.commands() == [PING]


def test_once_the_sender_has_called_its_human_nothing_is_started_here(pair: Pair) -> None:
    mends(pair.platform)
    deadline = pair.platform.clock.now() + timedelta(seconds=60)
    assert posted(pair, package(pair, deadline=deadline.isoformat()))[0] == 202
    pair.platform.clock.sleep(61)
    pair.platform.work()
    assert pair.platform.world.sandbox.commands() == []
    (incident,) = pair.platform.incidents()
    assert incident.status is Status.ESCALATED
    assert not pair.platform.world.pager.woken


def test_an_address_that_is_none_is_no_link_anywhere(pair: Pair) -> None:
    bad = ["https://x.example.com/\n# Signed by everybody", "javascript:alert(1)", "https://y.example.com/a"]
    alert = {"title": "Redis", "url": bad[0], "links": bad}
    assert posted(pair, package(pair, alert=alert))[0] == 202
    (incident,) = pair.platform.incidents()
    assert (incident.alert.url, incident.alert.links) == ("", ("https://y.example.com/a",))


def test_words_of_another_scale_and_fields_of_a_newer_version_are_no_reason_to_refuse(pair: Pair) -> None:
    alert = {"title": "Redis", "severity": "SEV-1", "urgency": "now", "colour": "red"}
    assert posted(pair, package(pair, alert=alert, mood="grave"))[0] == 202
    (incident,) = pair.platform.incidents()
    assert incident.alert.severity is None


def test_the_same_alert_handed_over_twice_is_worked_on_once_and_both_are_answered(pair: Pair) -> None:
    mends(pair.platform)
    pair.platform.world.store.folding = Folding()
    alert = {"title": "Redis connection timeout", "service": "pay"}
    assert posted(pair, package(pair, key="k-1", alert=alert)) == (202, "accepted")
    (first,) = pair.platform.incidents()
    pair.platform.world.store.begin_run(first.id, "main")
    assert posted(pair, package(pair, key="k-2", alert=alert))[0] == 202
    pair.platform.world.handle(first.id)
    pair.platform.wires["tier-1"].is_cut = True
    pair.platform.work()
    assert pair.platform.world.sandbox.commands() == [PING]
    store: StoredHandoffs = pair.platform.world.store
    handed = [store.handed_in(f"tier-1/{key}") for key in ("k-1", "k-2")]
    assert [each.outcome for each in handed if each is not None] == ["resolved", "resolved"]


def test_what_is_answered_is_answered_once(pair: Pair) -> None:
    posted(pair, package(pair))
    store: StoredHandoffs = pair.platform.world.store
    (incident,) = pair.platform.incidents()
    entry = Entry("x", EventKind.NOTE, "x")
    assert store.answer_handed_in("tier-1/k-1", "resolved", incident.id, entry, [])
    assert not store.answer_handed_in("tier-1/k-1", "escalate", incident.id, entry, [])
    known = store.handed_in("tier-1/k-1")
    assert isinstance(known, HandedIn)
    assert known.outcome == "resolved"


@pytest.mark.parametrize(
    ("key", "changes", "status"),
    [
        ("", {"key": "tier-1-inc-none"}, 404),
        ("tier-1-inc-none", {}, 404),
        ("", {"outcome": "maybe"}, 400),
        ("", {"key": "tier-1-other"}, 400),
        ("", {"words": "é" * 200_000}, 400),
    ],
)
def test_an_answer_that_is_none_changes_nothing(
    pair: Pair, key: str, changes: dict[str, Any], status: int
) -> None:
    seen: list[int] = []

    def wait(_: str) -> bool:
        (incident,) = pair.tier1.world.store.unfinished()
        right = f"tier-1-{incident.id}"
        body = {"type": "oncall.handoff.answer", "version": 1, "key": right, "outcome": "resolved"} | changes
        path = f"/api/v1/handoffs/{key or (changes.get('key') if status == 404 else right)}/answer"
        answer = pair.platform.wires["tier-1"].send(path, json_bytes(body))
        seen.append(answer.status_code)
        forged = pair.platform.wires["tier-1"].send(
            f"/api/v1/handoffs/{right}/answer", json_bytes(body), secret="x"
        )
        seen.append(forged.status_code)
        return False

    pair.tier1.world.on_wait = wait
    assert pair.page().status is Status.ESCALATED
    assert seen == [status, 401]


def test_the_first_answer_counts(pair: Pair) -> None:
    said: list[str] = []

    def wait(_: str) -> bool:
        (incident,) = pair.tier1.world.store.unfinished()
        key = f"tier-1-{incident.id}"
        for outcome in ("escalate", "resolved", "escalate"):
            body = {"type": "oncall.handoff.answer", "version": 1, "key": key, "outcome": outcome}
            answer = pair.platform.wires["tier-1"].send(f"/api/v1/handoffs/{key}/answer", json_bytes(body))
            said.append(answer.get_json()["outcome"])
        return True

    pair.tier1.world.on_wait = wait
    assert pair.page().status is Status.ESCALATED
    assert said == ["taken", "known", "known"]


def test_no_secret_leaves_with_a_package(pair: Pair) -> None:
    mends(pair.platform)
    incident_id = pair.tier1.world.receive()
    pair.tier1.world.store.record(incident_id, [Entry("leak", EventKind.NOTE, f"key {SECRET}")])
    pair.tier1.world.handle(incident_id)
    (sent,) = pair.tier1.wires["platform"].posted
    assert SECRET not in json.dumps(sent)
    assert KEY not in pair.platform.site.database_text() + pair.tier1.site.database_text()


def test_what_is_posted_is_what_the_shipped_schema_says(pair: Pair) -> None:
    mends(pair.platform)
    pair.page()
    (sent,) = pair.tier1.wires["platform"].posted
    (answered,) = pair.platform.wires["tier-1"].posted
    Package.model_validate(sent)
    HandedAnswer.model_validate(answered)
    for name, model in (("handoff", Package), ("handoff-answer", HandedAnswer)):
        shipped = json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text())
        assert shipped == model.model_json_schema()


def test_the_wire_signs_names_itself_and_shows_no_key() -> None:
    clock, app = FakeClock(), Flask("other")
    app.add_url_rule("/agent/x", "x", lambda: ("", 204), methods=["POST"])
    with Simulator(app) as other:
        http = HandoffHttp(
            "platform", f"{other.url}/agent", KEY, clock, own="tier-1", token="token-canary-000"
        )
        http.post("/x", {"a": 1}, key="k-1")
        with pytest.raises(ServiceError) as caught:
            http.post("/y", {"a": 1}, key="k-1")
        (taken, _) = other.requests()
    headers = {name.lower(): value for name, value in taken.headers.items()}
    assert (
        why_not_signed(
            headers["x-oncall-signature"], taken.body.encode(), [KEY], now=int(clock.now().timestamp())
        )
        == ""
    )
    assert (headers["x-oncall-from"], headers["authorization"]) == ("tier-1", "Bearer token-canary-000")
    assert caught.value.reason is Reason.NOT_FOUND
    assert "canary" not in f"{caught.value} {http!r}"


@pytest.mark.parametrize(
    ("handoff", "words"),
    [
        ({"targets": {"b": {"url": "https://b.example.com", "secret": {"env": "X"}}}}, "name is missing"),
        ({"name": "b", "targets": {"b": {"url": "https://b.example.com", "secret": {"env": "X"}}}}, "itself"),
        ({"name": "a b"}, "is no name"),
        ({"name": "a", "targets": {"b": {"url": "http://b.example.com", "secret": {"env": "X"}}}}, "https"),
        (
            {
                "name": "a",
                "targets": {"b": {"url": "https://b.example.com", "secret": {"env": "X"}, "deadline": "2d"}},
            },
            "at most 24h",
        ),
        ({"name": "a", "accept_from": {"b": {"secret": {"env": "X"}}}}, "url"),
    ],
)
def test_a_handoff_that_cannot_be_is_refused_with_words(handoff: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"handoff": handoff}, path="config.yaml")
    assert words in str(caught.value)


def test_what_is_late_is_given_to_no_machine() -> None:
    rest = {"name": "rest", "match": {"any": True}, "route_to": "team:sre", "on_breach": "handoff:b"}
    with pytest.raises(ConfigError, match="give what is late to a machine"):
        parse({"escalation": {"routing": [rest]}}, path="config.yaml")
