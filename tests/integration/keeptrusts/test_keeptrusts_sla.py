"""Until when somebody has to answer and to settle: the published table, told once, reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.config import Config, parse
from agent.domain.alert import Severity
from agent.domain.outbox import Channel, PageHuman
from agent.domain.queue import Origin, Rank, rank_of
from agent.escalations.settings import queueing_of
from agent.escalations.sla import NextBusinessDay, Sla
from agent.pipeline import queueing
from agent.pipeline.sla_clock import SlaClock
from agent.reports.sla import as_json
from tests.integration.keeptrusts.conftest import REVIEWER, Between


def published(**settings: object) -> Sla:
    config: Config = parse({"keeptrusts": {}, **settings}, path="config.yaml")
    return queueing_of(config).sla_of(Origin.KEEPTRUSTS)


@pytest.mark.parametrize(
    ("severity", "response", "resolution"),
    [
        (Severity.CRITICAL, timedelta(minutes=5), timedelta(hours=1)),
        (Severity.ERROR, timedelta(minutes=15), timedelta(hours=4)),
        (Severity.WARNING, timedelta(hours=1), timedelta(hours=24)),
    ],
)
def test_the_times_are_the_published_ones(
    severity: Severity, response: timedelta, resolution: timedelta
) -> None:
    sla, now = published(), datetime(2026, 1, 5, 12, tzinfo=UTC)
    rank = rank_of(severity, None)
    assert sla.respond_by(rank, now) == now + response
    assert sla.deadline(rank, now) == now + resolution


@pytest.mark.parametrize(
    ("made", "until"),
    [
        ("2026-01-05T08:00", "2026-01-06T17:00"),  # a Monday before work: not today, tomorrow
        ("2026-01-08T23:59", "2026-01-09T17:00"),
        ("2026-01-09T10:00", "2026-01-12T17:00"),  # a Friday
        ("2026-01-10T10:00", "2026-01-12T17:00"),  # a Saturday
    ],
)
def test_information_is_answered_by_the_end_of_the_next_business_day(made: str, until: str) -> None:
    at, by = (datetime.fromisoformat(f"{text}+00:00") for text in (made, until))
    sla = published()
    assert sla.respond_by(Rank.LOW, at) == by
    assert sla.deadline(Rank.LOW, at) == at + timedelta(days=7)


def test_the_business_day_is_the_configured_one() -> None:
    hours = {"days": ["sun"], "opens": "08:00", "closes": "10:00", "timezone": "America/New_York"}
    sla = published(escalation={"business_hours": hours})
    assert isinstance(sla.responses[Rank.LOW], NextBusinessDay)
    assert sla.respond_by(Rank.LOW, datetime(2026, 1, 5, 12, tzinfo=UTC)) == datetime(
        2026, 1, 11, 15, tzinfo=UTC
    )


def clock_of(between: Between) -> SlaClock:
    return SlaClock(between.queue_desk, between.world.clock)


def pages(between: Between) -> list[str]:
    letters = between.store.next_letters(Channel.PAGER, 50)
    return [each.message.summary for each in letters if isinstance(each.message, PageHuman)]


def test_nobody_answers_in_time_is_told_once(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate(action="block")
    between.told()
    between.deliver()
    clock, sla = between.world.clock, clock_of(between)
    clock.sleep(4 * 60)
    sla.tick()
    assert pages(between) == []
    clock.sleep(61)
    sla.tick()
    sla.tick()
    assert pages(between) == [
        f"Nobody has begun to look at esc-kt-{made.escalation_id}: policy phi-detection says block "
        "[AI Policy Escalation: phi-detection — block]"
    ]
    between.settle(made.escalation_id)
    between.deliver()
    assert {each.status for each in between.pagerduty.incidents()} == {"resolved"}


def test_claimed_in_time_it_is_answered_and_only_its_own_deadlines_are_left(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate(action="block")
    between.told()
    between.deliver()
    now = between.world.clock.now()
    queueing.claim(between.queue_desk, f"esc-kt-{made.escalation_id}", REVIEWER, now=now)
    between.world.clock.sleep(29 * 60)
    clock_of(between).tick()
    assert pages(between) == []
    between.world.clock.sleep(2 * 60)
    clock_of(between).tick()
    assert [page.partition(" of ")[0] for page in pages(between)] == ["Half"]


def test_whoever_passes_it_on_has_answered(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate(action="block")
    between.told()
    between.deliver()
    now = between.world.clock.now()
    item_id = f"esc-kt-{made.escalation_id}"
    queueing.escalate_further(between.queue_desk, item_id, REVIEWER, to="team:on-call", now=now)
    between.deliver()
    between.world.clock.sleep(6 * 60)
    clock_of(between).tick()
    assert pages(between) == []
    item = between.item(made.escalation_id)
    assert (item.deadline, item.warned_at) == (now + timedelta(hours=1), None)


def test_acknowledged_at_pagerduty_it_is_answered(between: Between) -> None:
    between.subscribe()
    made = between.keeptrusts.escalate(action="block")
    between.told()
    between.deliver()
    assert between.pagerduty.wait_until_delivered(30)
    (found,) = between.store.incidents(limit=10)
    between.work(found.id)
    between.world.clock.sleep(60)
    between.pagerduty.acknowledge_as_human(found.alert.source_id)
    assert between.pagerduty.wait_until_delivered(30)
    between.events()
    item = between.item(made.escalation_id)
    assert item.answered_at is not None
    assert not item.assignee
    between.world.clock.sleep(5 * 60)
    clock_of(between).tick()
    assert pages(between) == []


def test_the_report_counts_answers_and_settlements_by_severity_and_origin(between: Between) -> None:
    between.subscribe()
    quick, slow = (between.keeptrusts.escalate(action="block") for _ in range(2))
    between.keeptrusts.escalate(action="log")
    between.told()
    between.world.clock.sleep(60)
    between.settle(quick.escalation_id)
    between.world.clock.sleep(2 * 3600)
    between.settle(slow.escalation_id)
    now = between.world.clock.now()
    report = between.store.queue_report(now - timedelta(days=1), now, origin=Origin.KEEPTRUSTS)
    shown = as_json(report)["by_severity"]
    assert shown["critical"] == {
        "made": 2, "settled": 2, "within_sla": 1, "breaches": 1, "compliance": 0.5,
        "responses_within_sla": 1, "responses_late": 1, "response_compliance": 0.5,
        "mean_to_acknowledge_s": 3660.0, "mean_to_resolve_s": 3660.0,
    }  # fmt: skip
    assert shown["low"]["responses_late"] == 0
    other = between.store.queue_report(now - timedelta(days=1), now, origin=Origin.AGENT)
    assert other.total.made == 0
