"""`POST /webhook/keeptrusts`: who is believed, what is read, and what is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema_keeptrusts import keeptrusts_early
from agent.domain.queue import Action, QueueFilter, QueueStatus
from tests.integration.keeptrusts.conftest import TOKEN, Between
from tests.integration.web.conftest import Site
from tests.unit.pipeline.conftest import SECRET, HookedSandbox, World

CREATED: dict[str, Any] = {
    "event_id": "evt_1", "escalation_id": "esc_20250420_00142", "policy_name": "phi-detection",
    "policy_type": "compliance", "action": "escalate", "model": "gpt-4o", "gateway_id": "gw-prod-1",
    "org_id": "org_acme", "user_id": "consumer@example.com", "timestamp": "2026-04-23T14:12:00Z",
}  # fmt: skip
ITEM = "esc-kt-esc_20250420_00142"


@pytest.fixture
def site(store: Store, clock: FakeClock, tmp_path: Any) -> Site:
    (tmp_path / "runbooks").mkdir()
    site = Site(World(store, clock, tmp_path / "runbooks", HookedSandbox()), tmp_path)
    site.settings["keeptrusts"] = {"webhook_tokens": [site.secret("kt", TOKEN)]}
    return site


def post(site: Site, body: object, where: str = f"?token={TOKEN}", **headers: str) -> TestResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return site.client.post(f"/webhook/keeptrusts{where}", data=raw, headers=headers)


def outcome(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["outcome"]


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("", CREATED),
        ("", {"event_type": "escalation.created", **CREATED}),
        ("/created", CREATED),
        ("", {"event_type": "escalation.created", "data": CREATED}),
        ("", {"type": "escalation.created", "data": CREATED}),
    ],
)
def test_both_published_forms_are_taken_and_stored_before_the_answer(
    site: Site, where: str, body: dict[str, Any]
) -> None:
    answer = post(site, body, f"{where}?token={TOKEN}")
    assert (answer.status_code, answer.get_json()) == (
        202,
        {"received": True, "outcome": "accepted", "escalation": CREATED["escalation_id"]},
    )
    item = site.store.queue_item(ITEM)
    assert item is not None
    assert (item.origin, item.policy_rule, item.consumer) == (
        "keeptrusts",
        "phi-detection",
        "consumer@example.com",
    )
    assert item.facts["raw"] == body.get("data", body)
    assert site.notified == 1
    assert outcome(post(site, body, f"{where}?token={TOKEN}")) == (202, "duplicate")


def test_whoever_has_no_token_is_not_believed(site: Site) -> None:
    for where, headers in (
        ("", {}),
        ("?token=", {}),
        ("?token=wrong", {}),
        ("", {"Authorization": "Bearer wrong"}),
        ("", {"Authorization": f"Basic {TOKEN}"}),
        (f"?token={TOKEN}", {"Authorization": "Bearer wrong"}),
        (f"?token={'x' * 5000}", {}),
    ):
        assert outcome(post(site, CREATED, where, **headers)) == (401, "not genuine")
    assert site.store.queue_item(ITEM) is None


def test_a_bearer_token_that_something_in_front_adds_is_as_good(site: Site) -> None:
    assert outcome(post(site, CREATED, "", Authorization=f"Bearer {TOKEN}")) == (202, "accepted")


def test_a_token_that_was_replaced_where_it_is_kept_is_fetched_anew(site: Site) -> None:
    post(site, CREATED)
    site.secret("kt", "the-next-one")
    assert outcome(post(site, CREATED, "?token=the-next-one")) == (202, "duplicate")
    assert post(site, CREATED).status_code == 401


def test_without_a_configured_token_nobody_is_believed_unless_that_is_written(site: Site) -> None:
    site.settings["keeptrusts"] = {}
    answer = post(site, CREATED)
    assert answer.status_code == 401
    assert "keeptrusts.webhook_tokens" in answer.get_json()["error"]
    site.settings["keeptrusts"] = {"allow_unsigned_webhooks": True}
    site.restart()
    assert outcome(post(site, CREATED, "")) == (202, "accepted")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        ({"escalation_id": "esc_1"}, "register /webhook/keeptrusts/created"),
        ({**CREATED, "escalation_id": ""}, "escalation_id is missing"),
        ({**CREATED, "escalation_id": "e" * 201}, "longer than 200"),
        ({**CREATED, "escalation_id": 7}, "escalation_id is missing"),
        ({"event_type": "escalation.resolved"}, "escalation_id is missing"),
    ],
)
def test_what_is_not_understood_is_refused_with_words(site: Site, body: object, words: str) -> None:
    answer = post(site, body)
    assert answer.status_code == 400
    assert words in answer.get_json()["error"]


def test_other_events_are_answered_as_taken_so_that_they_are_not_sent_again(site: Site) -> None:
    answer = post(site, {"event_type": "escalation.claimed", **CREATED})
    assert outcome(answer) == (202, "nothing to do for escalation.claimed")
    assert site.store.queue_item(ITEM) is None


def test_what_is_nested_deeper_than_anybody_reads_costs_nobody_their_page(site: Site) -> None:
    deep: list[object] = []
    for _ in range(700):
        deep = [deep]
    told = {**CREATED, "request": {"messages": deep}, "mood": "grave"}
    assert outcome(post(site, told)) == (202, "accepted")
    item = site.store.queue_item(ITEM)
    assert item is not None
    raw = item.facts["raw"]
    assert isinstance(raw, dict)
    assert raw["mood"] == "grave"
    assert "nested too deeply" in json.dumps(raw["request"])


def test_what_is_left_out_costs_nobody_their_page(site: Site) -> None:
    assert outcome(post(site, {"escalation_id": "e 1/ä"}, f"/created?token={TOKEN}")) == (202, "accepted")
    (item,) = site.store.queue_page(QueueFilter()).items
    assert item.title == "AI Policy Escalation: unnamed policy — unnamed action"
    assert item.id.isascii()
    assert "/" not in item.id


@pytest.mark.parametrize(
    ("said", "action", "who"),
    [
        ({"resolution": "Redact and Allow", "notes": "n", "resolved_by": "r@example.com"}, "redact_and_allow",
         "r@example.com"),
        ({"resolution": "block"}, "block", "Keeptrusts"),
        ({"resolution": "Done"}, "fixed_by_hand", "Keeptrusts"),
        ({}, "fixed_by_hand", "Keeptrusts"),
    ],
)  # fmt: skip
def test_it_is_settled_with_what_keeptrusts_says(
    site: Site, said: dict[str, str], action: str, who: str
) -> None:
    post(site, CREATED)
    over = {"event_type": "escalation.resolved", "escalation_id": CREATED["escalation_id"], **said}
    assert outcome(post(site, over)) == (202, "closed")
    assert outcome(post(site, over)) == (202, "duplicate")
    item = site.store.queue_item(ITEM)
    assert item is not None
    assert item.resolution is not None
    assert (item.status, item.resolution.action, item.resolution.by) == (QueueStatus.RESOLVED, action, who)


@pytest.mark.parametrize(
    ("where", "over"),
    [
        ("", {**CREATED, "resolution": "allow"}),
        ("", {**CREATED, "status": "resolved"}),
        ("/resolved", CREATED),
        ("", {"event": "escalation.resolved", **CREATED}),
    ],
)
def test_an_end_that_does_not_say_its_type_is_known_by_what_it_says_or_where_it_comes(
    site: Site, where: str, over: dict[str, Any]
) -> None:
    post(site, CREATED)
    assert outcome(post(site, over, f"{where}?token={TOKEN}")) == (202, "closed")


def test_the_end_is_remembered_for_a_month_until_the_beginning_comes(site: Site) -> None:
    over = {"event_type": "escalation.resolved", "escalation_id": CREATED["escalation_id"]}
    assert outcome(post(site, {**over, "escalation_id": "esc_0"})) == (
        202,
        "over before it was told to be there",
    )
    site.world.clock.sleep(31 * 86_400)
    post(site, over)
    with site.store.database.reading() as connection:
        left = connection.execute(sa.select(keeptrusts_early.c.escalation_id)).scalars().all()
    assert left == [CREATED["escalation_id"]]
    assert outcome(post(site, CREATED)) == (202, "accepted, and over already")
    assert outcome(post(site, CREATED)) == (202, "duplicate")
    assert outcome(post(site, over)) == (202, "duplicate")


def test_not_configured_not_ready_or_elsewhere_it_says_so(site: Site) -> None:
    assert outcome(post(site, CREATED, f"/claimed?token={TOKEN}")) == (404, "not found")
    site.ready.clear()
    answer = post(site, CREATED)
    assert outcome(answer) == (503, "not ready")
    assert answer.headers["Retry-After"]
    site.ready.set()
    del site.settings["keeptrusts"]
    site.restart()
    assert outcome(post(site, CREATED)) == (404, "not configured")


def test_a_store_that_is_down_is_a_503_and_nothing_is_half_done(site: Site) -> None:
    with site.store.database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE outbox RENAME TO gone"))
    site.settings["pagerduty"] |= {"routing_key": site.secret("own", "k" * 32)}
    assert post(site, CREATED).status_code == 503
    with site.store.database.writing() as connection:
        connection.execute(sa.text("ALTER TABLE gone RENAME TO outbox"))
    assert outcome(post(site, CREATED)) == (202, "accepted")


def test_a_secret_in_it_is_kept_nowhere_and_paged_to_nobody(site: Site) -> None:
    site.settings["pagerduty"] |= {"routing_key": site.secret("own", "k" * 32)}
    told = {**CREATED, **dict.fromkeys(("policy_name", "model", "user_id", "org_id"), f"{SECRET} x")}
    post(site, told)
    over = {"event_type": "escalation.resolved", "notes": SECRET, "resolved_by": SECRET}
    post(site, {**over, "escalation_id": "esc_0"})
    post(site, {**over, "escalation_id": CREATED["escalation_id"]})
    assert SECRET not in site.database_text()


def test_in_the_console_and_by_api_it_is_settled_by_the_three_published_words(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate()
    between.told()
    between.site.settings["server"] = {"api_token": between.site.secret("api", "api-canary")}
    between.site.restart()
    path = f"/api/v1/escalations/esc-kt-{made.escalation_id}"
    headers = {"Authorization": "Bearer api-canary"}
    shown = between.site.client.get(path, headers=headers).get_json()
    assert shown["facts"]["context"]["console"].endswith(f"/escalations/{made.escalation_id}")
    assert shown["respond_by"] is not None
    body = {"action": Action.ALLOW.value, "note": "harmless", "by": "somebody"}
    answer = between.site.client.post(f"{path}/resolve", json=body, headers=headers)
    assert answer.status_code == 200, answer.get_json()
    between.deliver()
    assert between.keeptrusts.escalation(made.escalation_id).resolution == "allow"
