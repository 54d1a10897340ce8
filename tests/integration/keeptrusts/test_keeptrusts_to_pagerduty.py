"""An escalation of Keeptrusts becomes one incident of PagerDuty and one item of the queue, and both end."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from agent.domain.alert import Alert
from agent.domain.incident import Status
from agent.domain.outbox import Channel, MailHuman
from agent.domain.queue import Action, QueueFilter, QueueStatus
from agent.domain.source_event import EventType, SourceEvent
from agent.simulators.keeptrusts_delivery import Told
from agent.simulators.server import Fault
from tests.integration.keeptrusts.conftest import KEYS, TOKEN, Between
from tests.integration.pagerduty.test_pagerduty_openapi import EVENTS, Spec, check_request
from tests.unit.pipeline.conftest import runbook, step


def sent(between: Between, action: str = "trigger") -> list[dict[str, object]]:
    bodies = [json.loads(each.body) for each in between.pagerduty.requests("/v2/enqueue")]
    return [body for body in bodies if body["event_action"] == action]


def assert_one_closed_incident(between: Between) -> None:
    (incident,) = between.pagerduty.incidents()
    assert incident.status == "resolved"
    page = between.store.queue_page(QueueFilter(settled=True))
    assert [each.status for each in page.items] == [QueueStatus.RESOLVED]
    assert page.open == 0


def test_the_page_is_the_published_one(between: Between) -> None:
    between.subscribe()
    between.keeptrusts.escalate(
        escalation_id="esc_20250420_00142", event_id="evt_1", policy_name="phi-detection",
        policy_type="compliance", action="escalate", model="gpt-4o", gateway_id="gw-prod-1",
        org_id="org_acme", user_id="consumer@example.com", timestamp="2026-04-23T14:12:00Z",
    )  # fmt: skip
    between.told()
    between.deliver()
    url = "https://console.keeptrusts.com/escalations/esc_20250420_00142"
    assert sent(between) == [
        {
            "routing_key": KEYS["legal"],
            "event_action": "trigger",
            "dedup_key": "keeptrusts-esc_20250420_00142",
            "payload": {
                "summary": "AI Policy Escalation: phi-detection — escalate",
                "severity": "error",
                "source": "keeptrusts-gateway-gw-prod-1",
                "component": "gpt-4o",
                "group": "org_acme",
                "class": "ai-governance",
                "timestamp": "2026-04-23T14:12:00Z",
                "custom_details": {
                    "event_id": "evt_1",
                    "escalation_id": "esc_20250420_00142",
                    "policy_name": "phi-detection",
                    "model": "gpt-4o",
                    "user_id": "consumer@example.com",
                    "console_url": url,
                },
            },
            "links": [
                {"href": url, "text": "View in Keeptrusts Console"},
                {"href": "https://wiki.example.com/ai-governance", "text": "Runbook"},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("action", "severity", "rank", "urgency"),
    [
        ("block", "critical", "critical", "high"),
        ("escalate", "error", "high", "high"),
        ("redact", "warning", "medium", "low"),
        ("log", "info", "low", "low"),
        ("quarantine", "info", "low", "low"),
    ],
)
def test_what_the_policy_did_says_how_grave_it_is(
    between: Between, action: str, severity: str, rank: str, urgency: str
) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate(action=action)
    between.told()
    between.deliver()
    (page,) = between.pagerduty.pages()
    assert page.severity == severity
    assert between.item(made.escalation_id).rank == rank
    assert between.pagerduty.incidents()[0].urgency == urgency


@pytest.mark.parametrize(
    ("policy_type", "key"),
    [
        ("content-safety", "safety"),
        ("compliance", "legal"),
        ("cost-limit", "finops"),
        ("other", "governance"),
    ],
)
def test_each_policy_type_pages_its_own_service_and_is_cleared_there(
    between: Between, policy_type: str, key: str
) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate(policy_type=policy_type)
    between.told()
    between.deliver()
    between.keeptrusts.resolve_as_human(made.escalation_id)
    between.told()
    between.deliver()
    assert [each["routing_key"] for each in sent(between) + sent(between, "resolve")] == [KEYS[key]] * 2
    assert_one_closed_incident(between)


def reversed_order(told: Sequence[Told]) -> Sequence[Told]:
    return told[::-1]


def resolved_in_the_middle(told: Sequence[Told]) -> Sequence[Told]:
    created = [each for each in told if each.event_type == "escalation.created"]
    over = [each for each in told if each.event_type == "escalation.resolved"]
    return [*created[:2], *over, *created[2:]]


@pytest.mark.parametrize("order", [tuple, reversed_order, resolved_in_the_middle])
@pytest.mark.parametrize("enveloped", [True, False])
def test_told_five_times_in_any_order_it_is_one_incident_and_closed(
    between: Between, order: object, enveloped: bool
) -> None:
    for posted_as in ("created", "resolved"):
        url = f"{between.url}/{posted_as}?token={TOKEN}"
        between.keeptrusts.subscribe(url, [f"escalation.{posted_as}"])
    between.keeptrusts.teller.copies = 5
    between.keeptrusts.teller.enveloped = enveloped
    between.keeptrusts.hold_webhooks()
    made = between.keeptrusts.escalate(action="block")
    between.keeptrusts.resolve_as_human(made.escalation_id)
    between.keeptrusts.release_webhooks(order)  # type: ignore[arg-type]
    between.told()
    between.deliver()
    assert [each.outcome for each in between.keeptrusts.deliveries()] == ["delivered"] * 10
    assert len(sent(between)) == len(sent(between, "resolve")) == 1
    assert_one_closed_incident(between)


def test_what_our_web_face_did_not_take_is_sent_again_and_out_of_order_it_is_still_one(
    between: Between,
) -> None:
    between.subscribe()
    between.face.misbehave(Fault(503, times=1))
    between.keeptrusts.hold_webhooks()
    made = between.keeptrusts.escalate()
    between.keeptrusts.resolve_as_human(made.escalation_id)
    between.keeptrusts.release_webhooks()
    between.told()
    between.deliver()
    assert [each.event_type for each in between.keeptrusts.deliveries()] == [
        "escalation.resolved",
        "escalation.created",
    ]
    assert_one_closed_incident(between)


@pytest.mark.parametrize("fault", [Fault(500, times=-1), Fault(-1, times=-1), Fault(429, times=-1)])
def test_while_pagerduty_is_down_nothing_is_lost(between: Between, fault: Fault) -> None:
    between.subscribe()
    between.pagerduty.misbehave(fault)
    made = between.keeptrusts.escalate()
    between.told()
    between.deliver(rounds=2)
    between.keeptrusts.resolve_as_human(made.escalation_id)
    between.told()
    between.deliver(rounds=2)
    assert between.pagerduty.incidents() == []
    between.pagerduty.behave()
    between.world.clock.sleep(120)
    between.deliver()
    assert_one_closed_incident(between)


def test_the_incident_that_pagerduty_makes_may_be_worked_on_like_any_other(between: Between) -> None:
    between.world.runbook(
        runbook(
            title="AI governance escalation",
            triggers='- Alert contains: "AI Policy Escalation"\n- Service: "AI legal"',
            steps=step(1, "redis-cli PING", keys='Expected output: "PONG"'),
        )
    )
    between.world.answers("redis-cli PING", "PONG")
    between.subscribe()
    made = between.keeptrusts.escalate()
    between.told()
    between.deliver()
    assert between.pagerduty.wait_until_delivered(30)
    (found,) = between.store.incidents(limit=10)
    incident = between.work(found.id)
    assert incident.status is Status.RESOLVED
    assert between.item(made.escalation_id).status is QueueStatus.OPEN


def test_without_a_runbook_for_it_nobody_is_paged_a_second_time(between: Between) -> None:
    between.subscribe()
    between.keeptrusts.escalate()
    between.told()
    between.deliver()
    assert between.pagerduty.wait_until_delivered(30)
    (found,) = between.store.incidents(limit=10)
    incident = between.work(found.id)
    between.deliver()
    assert incident.status is Status.STOOD_DOWN
    assert "waits for team:on-call" in incident.result
    assert len(between.pagerduty.incidents()) == 1


def test_an_alert_of_another_source_that_borrows_the_pages_key_calls_its_human(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate()
    between.told()
    key = f"keeptrusts-{made.escalation_id}"
    alert = Alert("alertmanager", "a-1", "The payments database is down", dedup_key=key)
    event = SourceEvent("alertmanager", "d-1", EventType.TRIGGERED, "alert.triggered", "a-1", alert=alert)
    incident_id = between.store.accept(event, "{}").incident_id
    assert between.work(incident_id).status is Status.ESCALATED


def test_our_answer_goes_to_keeptrusts_once_and_its_echo_changes_nothing(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate()
    between.told()
    between.settle(made.escalation_id, Action.REDACT_AND_ALLOW, "removed the name")
    between.deliver()
    between.told()
    between.deliver()
    answered = between.keeptrusts.escalation(made.escalation_id)
    assert (answered.resolution, answered.notes) == ("redact_and_allow", "removed the name (reviewer)")
    assert len(between.keeptrusts.requests("/v1/escalations")) == 1
    assert between.item(made.escalation_id).resolution is not None
    assert_one_closed_incident(between)


def test_keeptrusts_down_while_we_answer_loses_no_answer(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate()
    between.told()
    between.keeptrusts.misbehave(Fault(429, "/v1/", headers={"Retry-After": "40"}), Fault(500, "/v1/"))
    between.settle(made.escalation_id)
    before = between.world.clock.now()
    between.deliver()
    assert between.keeptrusts.escalation(made.escalation_id).resolution == "block"
    assert (between.world.clock.now() - before).total_seconds() >= 40


@pytest.mark.parametrize("status", [409, 200])
def test_settled_there_and_here_at_once_is_settled(between: Between, status: int) -> None:
    between.keeptrusts.api.resolved_twice = status
    between.subscribe()
    between.keeptrusts.hold_webhooks()
    made = between.keeptrusts.escalate()
    between.keeptrusts.release_webhooks()
    between.told()
    between.keeptrusts.hold_webhooks()
    between.keeptrusts.resolve_as_human(made.escalation_id, "allow")
    between.settle(made.escalation_id, Action.BLOCK)
    between.keeptrusts.release_webhooks()
    between.told()
    between.deliver()
    assert between.keeptrusts.escalation(made.escalation_id).resolution == "allow"
    assert between.item(made.escalation_id).status is QueueStatus.RESOLVED
    story = [each.text for each in between.store.timeline(f"esc-kt-{made.escalation_id}")]
    assert any("settled in Keeptrusts before" in text for text in story) is (status == 409)


def test_an_escalation_that_keeptrusts_does_not_know_is_given_up_with_words(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate()
    between.told()
    del between.keeptrusts.state.escalations[made.escalation_id]
    between.settle(made.escalation_id)
    between.deliver()
    between.deliver()
    story = [each.text for each in between.store.timeline(f"esc-kt-{made.escalation_id}")]
    assert any("Keeptrusts does not take the answer" in text for text in story)
    assert len(between.keeptrusts.requests("/v1/escalations")) == 1


@pytest.mark.skipif(not EVENTS.exists(), reason="the shared contracts are not at hand")
def test_what_is_sent_is_what_pagerduty_publishes(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate(timestamp="not a time")
    between.keeptrusts.escalate(action="block")
    between.keeptrusts.resolve_as_human(made.escalation_id)
    between.told()
    between.deliver()
    spec = Spec(EVENTS)
    recorded = between.pagerduty.requests("/v2/enqueue")
    assert [each.status for each in recorded] == [202] * 3
    for each in recorded:
        check_request(spec, each, "/enqueue")


def test_the_webhook_sent_straight_to_pagerduty_makes_no_incident(between: Between) -> None:
    between.keeptrusts.subscribe(f"{between.pagerduty.url}/v2/enqueue", ["escalation.created"])
    between.keeptrusts.escalate(action="block")
    between.told()
    (told,) = between.keeptrusts.deliveries()
    assert (set(told.statuses), told.outcome) == ({400}, "dropped")
    assert between.pagerduty.incidents() == []


def test_a_routing_key_that_is_wrong_is_told_and_nothing_is_lost(between: Between) -> None:
    key = between.pagerduty.events.services.pop(KEYS["legal"])
    between.subscribe()
    made = between.keeptrusts.escalate()
    other = between.keeptrusts.escalate(policy_type="content-safety")
    between.told()
    between.deliver()
    assert [each.alert_key for each in between.pagerduty.pages()] == [f"keeptrusts-{other.escalation_id}"]
    story = [each.text for each in between.store.timeline(f"esc-kt-{made.escalation_id}")]
    assert any("Invalid routing key" in text for text in story)
    between.pagerduty.events.services[KEYS["legal"]] = key
    between.world.clock.sleep(120)
    between.deliver()
    assert len(between.pagerduty.incidents()) == 2


def test_a_routing_rule_tells_its_own_people_and_pages_nobody_twice(between: Between) -> None:
    between.site.settings["people"] = [{"name": "compliance", "role": "approver", "email": "c@example.com"}]
    between.site.settings["mail"] = {"host": "127.0.0.1"}
    between.site.settings["escalation"] = {
        "routing": [
            {
                "name": "phi",
                "match": {"policy_rule": "phi-*"},
                "route_to": "compliance",
                "notification_channel": "email",
            },
            {"name": "rest", "match": {"any": True}, "route_to": "team:on-call"},
        ]
    }
    between.subscribe()
    made = between.keeptrusts.escalate()
    between.told()
    between.deliver()
    assert between.item(made.escalation_id).target == "compliance"
    (mail,) = between.store.next_letters(Channel.MAIL, 10)
    assert isinstance(mail.message, MailHuman)
    assert mail.message.to == ("c@example.com",)
    assert len(between.pagerduty.incidents()) == 1
