"""The queue's figures over a period, as the database adds them up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Rank
from agent.escalations.entering import Received
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.pipeline.sla_clock import SlaClock
from agent.reports.sla import SlaReport, as_json
from agent.safety.redaction import Redactor

FIRST, SECOND = (Actor(Person(name, Role.RESPONDER), Via.API) for name in ("first", "second"))


@pytest.fixture
def desk(store: Store) -> QueueDesk:
    return QueueDesk(store, Redactor([]), store.queueing)


def asked(
    desk: QueueDesk, clock: FakeClock, number: int, rank: Rank = Rank.CRITICAL, consumer: str = ""
) -> str:
    what = Received(str(number), "phi", f"Prompt {number}", rank, policy_rule="phi-rule", consumer=consumer)
    item, _ = queueing.received(desk, what, now=clock.now())
    return item.id


def settle(desk: QueueDesk, clock: FakeClock, item_id: str, by: Actor, action: Action = Action.ALLOW) -> None:
    queueing.resolve(desk, item_id, by, Settling(action, "looked at it"), now=clock.now())


def report(store: Store, clock: FakeClock, *, days: int = 30) -> SlaReport:
    return store.queue_report(clock.now() - timedelta(days=days), clock.now() + timedelta(seconds=1))


def test_an_empty_period_has_no_rate(store: Store, clock: FakeClock) -> None:
    found = report(store, clock)
    assert (found.total.made, found.total.compliance, found.trend) == (0, None, "steady")


def test_kept_broken_and_open_ones_are_told_apart(desk: QueueDesk, clock: FakeClock, store: Store) -> None:
    kept, broken, _ = (asked(desk, clock, number) for number in (1, 2, 3))
    late = asked(desk, clock, 4, Rank.LOW)
    clock.sleep(300)
    queueing.claim(desk, kept, FIRST, now=clock.now())
    clock.sleep(300)
    settle(desk, clock, kept, FIRST)
    clock.sleep(600)
    SlaClock(desk, clock).tick()
    settle(desk, clock, broken, SECOND, Action.BLOCK)
    found = report(store, clock)
    critical = found.by_rank[Rank.CRITICAL]
    assert (critical.made, critical.settled, critical.kept, critical.broken) == (3, 2, 1, 2)
    assert critical.compliance == pytest.approx(1 / 3)
    assert critical.mean_to_resolve_s == pytest.approx((600 + 1200) / 2)
    assert critical.mean_to_acknowledge_s == pytest.approx((300 + 1200) / 2)
    assert found.by_rank[Rank.LOW].compliance is None
    assert late


def test_it_says_what_calls_humans_who_answers_and_when(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    for number in range(6):
        item = asked(desk, clock, number, consumer="acme" if number < 4 else f"other {number}")
        settle(desk, clock, item, FIRST if number else SECOND, Action.ALLOW if number else Action.BLOCK)
    shown = as_json(report(store, clock))
    assert shown["top_triggers"] == [
        {"trigger": "phi-rule", "count": 6, "actions": {"allow": 5, "block": 1}, "eager": True}
    ]
    assert shown["by_action"] == {"allow": 5, "block": 1}
    assert [each["name"] for each in shown["reviewers"]] == ["first", "second"]
    assert shown["repeat_consumers"] == [{"consumer": "acme", "count": 4}]
    assert shown["by_hour"]["04"] == 6


def test_the_trend_is_told_by_weeks(desk: QueueDesk, clock: FakeClock, store: Store) -> None:
    for number in range(4):
        item = asked(desk, clock, number)
        clock.sleep(60 if number >= 2 else 3600)
        settle(desk, clock, item, FIRST)
        clock.sleep(7 * 86_400 - (60 if number >= 2 else 3600))
    found = report(store, clock, days=90)
    assert [tally.compliance for tally in found.by_week.values()] == [0.0, 0.0, 1.0, 1.0]
    assert found.trend == "improving"
