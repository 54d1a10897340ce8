"""Until when an escalation has to be settled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.queue import Action, Escalated, Origin, Rank, Resolution
from agent.escalations.sla import DEFAULT_TARGETS, BusinessHours, Light, Sla, kept, light

#: Hypothesis takes bounds without a zone.
FROM, TO = datetime(2024, 1, 1), datetime(2028, 1, 1)  # noqa: DTZ001

FRIDAY = datetime(2026, 10, 23, 16, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
WORKDAYS = BusinessHours(frozenset(range(5)), time(9), time(17), BERLIN)

moments = st.datetimes(FROM, TO).map(lambda each: each.replace(tzinfo=UTC))
hours = st.builds(
    BusinessHours,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.times(time(0), time(11)),
    st.times(time(12), time(23, 59)),
    st.sampled_from([UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")]),
)


def item(sla: Sla, rank: Rank = Rank.CRITICAL, created_at: datetime = FRIDAY) -> Escalated:
    return Escalated(
        "esc-1",
        Origin.AGENT,
        "no_match",
        "Redis connection timeout",
        rank,
        created_at,
        sla.amber_at(rank, created_at),
        sla.deadline(rank, created_at),
        "Catch-all",
        "team:sre",
    )


@pytest.mark.parametrize(
    ("rank", "minutes"), [(Rank.CRITICAL, 15), (Rank.HIGH, 60), (Rank.MEDIUM, 240), (Rank.LOW, 1_440)]
)
def test_the_default_times_are_the_published_ones(rank: Rank, minutes: int) -> None:
    assert Sla().deadline(rank, FRIDAY) - FRIDAY == timedelta(minutes=minutes)
    assert Sla().amber_at(rank, FRIDAY) - FRIDAY == timedelta(minutes=minutes / 2)


def test_a_card_is_green_then_amber_at_half_then_breached() -> None:
    escalated = item(Sla())
    assert light(escalated, FRIDAY + timedelta(minutes=7)) is Light.GREEN
    assert light(escalated, FRIDAY + timedelta(minutes=7.5)) is Light.AMBER
    assert light(escalated, FRIDAY + timedelta(minutes=15)) is Light.BREACHED


def test_what_is_settled_keeps_the_light_it_was_settled_under() -> None:
    at = FRIDAY + timedelta(minutes=5)
    settled = replace(item(Sla()), resolution=Resolution(Action.FALSE_ALARM, "sre", at, "a test"))
    assert light(settled, FRIDAY + timedelta(days=3)) is Light.GREEN
    assert kept(settled) is True


def test_an_sla_once_breached_is_not_kept_however_it_ends() -> None:
    breached = replace(item(Sla()), breached_at=FRIDAY + timedelta(minutes=15))
    assert kept(breached) is False
    assert kept(item(Sla())) is None


def test_working_time_alone_counts_where_it_is_asked_for() -> None:
    sla = Sla(hours=WORKDAYS, in_hours=frozenset({Rank.MEDIUM}))
    friday_four = datetime(2026, 10, 23, 16, 0, tzinfo=BERLIN)
    # one hour is left on Friday; on Sunday the clock is set back; Monday at nine the other three begin
    assert sla.deadline(Rank.MEDIUM, friday_four) == datetime(2026, 10, 26, 12, 0, tzinfo=BERLIN)
    assert sla.deadline(Rank.CRITICAL, friday_four) == friday_four + timedelta(minutes=15)


@given(moments, hours, st.sampled_from(list(Rank)))
def test_working_time_never_shortens_a_deadline_and_ends_in_working_time(
    created_at: datetime, working: BusinessHours, rank: Rank
) -> None:
    sla = Sla(hours=working, in_hours=frozenset(Rank))
    deadline = sla.deadline(rank, created_at)
    assert deadline >= created_at + DEFAULT_TARGETS[rank]
    assert sla.amber_at(rank, created_at) <= deadline
    local = deadline.astimezone(working.zone)
    assert local.weekday() in working.days
    assert working.opens <= local.time() <= working.closes


@given(moments, moments, hours)
def test_what_came_later_is_never_due_earlier(one: datetime, other: datetime, working: BusinessHours) -> None:
    sla = Sla(hours=working, in_hours=frozenset(Rank))
    first, second = sorted((one, other))
    assert sla.deadline(Rank.HIGH, first) <= sla.deadline(Rank.HIGH, second)
