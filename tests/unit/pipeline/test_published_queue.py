"""The queue as it is published elsewhere: its example of a settled one, its criteria and its four endings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.config import parse
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Escalated, QueueStatus, Rank
from agent.escalations.entering import Received
from agent.escalations.routing import Subject
from agent.escalations.settings import queueing_of
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.safety.redaction import Redactor

REVIEWER = Actor(Person("reviewer@example.com", Role.RESPONDER), Via.CONSOLE)
NOTE = "PII detected in output. Redacted patient name and MRN before release."

#: Everything is for nobody in particular, except what meets the one criterion.
REST = {"name": "Catch-all", "match": {"any": True}, "route_to": "team:default-reviewers"}
NIGHT = {"hours": {"starts": "09:00", "ends": "17:00", "outside": True}}


@pytest.fixture
def desk(store: Store) -> QueueDesk:
    return QueueDesk(store, Redactor([]), store.queueing)


def a_held_response(desk: QueueDesk, clock: FakeClock) -> Escalated:
    sent = Received("esc_20250420_00142", "phi-detection", "PHI in an answer", Rank.CRITICAL)
    item, _ = queueing.received(desk, sent, now=clock.now())
    return item


def test_what_settled_it_is_recorded_as_in_the_published_example(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    item = a_held_response(desk, clock)
    clock.sleep(127)
    queueing.resolve(desk, item.id, REVIEWER, Settling(Action.REDACT_AND_ALLOW, NOTE), now=clock.now())
    recorded = store.timeline(item.story)[-1].data
    assert item.id.endswith("esc_20250420_00142")
    assert recorded["escalation"] == item.id
    assert recorded["action"] == "redact_and_allow"
    assert recorded["reviewer"] == "reviewer@example.com"
    assert recorded["note"] == NOTE
    assert recorded["resolution_time_seconds"] == 127


@pytest.mark.parametrize("action", [Action.ALLOW, Action.BLOCK, Action.REDACT_AND_ALLOW])
def test_a_held_response_ends_by_each_of_the_published_actions(
    desk: QueueDesk, clock: FakeClock, action: Action
) -> None:
    item = a_held_response(desk, clock)
    after = queueing.resolve(desk, item.id, REVIEWER, Settling(action, NOTE), now=clock.now())
    assert isinstance(after, Escalated)
    assert after.status is QueueStatus.RESOLVED
    assert after.resolution is not None
    assert after.resolution.action is action


@pytest.mark.parametrize(
    ("match", "subject"),
    [
        ({"policy_rule": "phi-detection"}, Subject("x", Rank.LOW, policy_rule="phi-detection")),
        ({"severity": "critical"}, Subject("x", Rank.CRITICAL)),
        ({"team": "payments"}, Subject("x", Rank.LOW, team="payments")),
        ({"consumer_group": "external"}, Subject("x", Rank.LOW, consumer_group="external")),
        ({"trigger": "step_failed"}, Subject("step_failed", Rank.LOW)),
        ({"runbook": "redis-*"}, Subject("x", Rank.LOW, runbook="redis-timeout")),
        ({"service": "shop"}, Subject("x", Rank.LOW, service="shop")),
        (NIGHT, Subject("x", Rank.LOW)),
    ],
    ids=["policy rule", "severity", "team", "consumer group", "trigger", "runbook", "service", "time of day"],
)
def test_each_criterion_of_a_rule_routes_by_itself(match: dict[str, Any], subject: Subject) -> None:
    rules = [{"name": "this one", "match": match, "route_to": "team:specialists"}, REST]
    config = parse({"escalation": {"routing": rules}}, path="config.yaml")
    night, day = (datetime(2026, 1, 5, hour, tzinfo=UTC) for hour in (4, 12))
    own = queueing_of(config).route_of(subject, "", night)
    assert own.rule.route_to == "team:specialists"
    other = Subject("other", Rank.MEDIUM)
    assert queueing_of(config).route_of(other, "", day).rule.route_to == "team:default-reviewers"
