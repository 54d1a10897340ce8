"""Freeze windows: when each is open, whatever clocks do, and what is wrong in a calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.config import parse
from agent.domain.errors import ConfigError
from agent.domain.freeze import (
    MINUTES_OF_A_DAY,
    MINUTES_OF_A_WEEK,
    FreezeMode,
    FreezeWindow,
    Weekly,
    strictest,
)

BERLIN = "Europe/Berlin"
#: Changes of an hour, of half an hour, at midnight, in the other half of the year, twice in a spring, none.
ZONES = (
    BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Havana", "Africa/Casablanca",
    "America/Santiago", "Asia/Kolkata", "UTC",
)  # fmt: skip


def window(**entry: Any) -> FreezeWindow:
    (found,) = parse({"freeze": [{"name": "w", "mode": "notify", **entry}]}, path="c").freezes()
    return found


def problems(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(yaml.safe_load(text), path="config.yaml")
    return str(caught.value)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN))


def opened(found: FreezeWindow, text: str) -> bool:
    return found.open_until(berlin(text)) is not None


def test_a_window_between_two_dates_is_open_from_the_first_moment_to_before_the_last() -> None:
    found = window(starts="2026-12-20 18:00", ends="2027-01-04 06:00", timezone=BERLIN)
    assert [opened(found, f"2026-12-20 {at}") for at in ("17:59:59", "18:00")] == [False, True]
    assert [opened(found, f"2027-01-04 {at}") for at in ("05:59:59", "06:00")] == [True, False]
    assert str(found.open_until(berlin("2026-12-24 20:00"))) == "2027-01-04 06:00:00+01:00"


def test_a_weekend_lasts_from_friday_to_monday_over_midnights() -> None:
    found = window(starts="fri 16:00", ends="monday 08:00", timezone=BERLIN)
    assert not opened(found, "2026-01-09 15:59")
    assert opened(found, "2026-01-09 16:00")
    assert opened(found, "2026-01-11 03:00")
    assert opened(found, "2026-01-12 07:59")
    assert not opened(found, "2026-01-12 08:00")


def test_nights_reach_into_the_next_day() -> None:
    found = window(days=["mon"], starts="22:00", ends="06:00", timezone=BERLIN)
    assert not opened(found, "2026-01-05 05:00")
    assert opened(found, "2026-01-05 23:00")
    assert opened(found, "2026-01-06 05:59")
    assert not opened(found, "2026-01-06 22:30")


def test_days_that_follow_each_other_are_told_as_one_window() -> None:
    found = window(days=["sat", "sun"], starts="00:00", ends="24:00", timezone=BERLIN)
    assert str(found.open_until(berlin("2026-01-10 12:00"))) == "2026-01-12 00:00:00+01:00"


def test_a_window_without_any_end_is_told_until_a_week_ahead() -> None:
    found = window(days=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], starts="00:00", ends="24:00")
    until = found.open_until(berlin("2026-01-10 12:00"))
    assert until is not None
    assert until - berlin("2026-01-10 12:00") > timedelta(days=7)


def test_an_hour_that_happens_twice_is_frozen_both_times() -> None:
    found = window(days=["sun"], starts="02:00", ends="02:30", timezone=BERLIN)
    night = datetime(2026, 10, 25, tzinfo=UTC)  # 03:00 CEST becomes 02:00 CET at 01:00 UTC
    seen = [found.open_until(night + timedelta(minutes=m)) is not None for m in (-1, 0, 59, 60, 89, 90)]
    assert seen == [False, True, True, True, True, False]


def test_an_hour_that_does_not_happen_is_frozen_around_its_place() -> None:
    found = window(days=["sun"], starts="02:00", ends="03:30", timezone=BERLIN)
    night = datetime(2026, 3, 29, tzinfo=UTC)  # 02:00 CET becomes 03:00 CEST at 01:00 UTC
    seen = [found.open_until(night + timedelta(minutes=m)) is not None for m in (-1, 0, 60, 89, 90)]
    assert seen == [False, True, True, True, False]


def test_a_time_with_an_offset_of_its_own_needs_no_zone() -> None:
    found = window(starts="2026-12-20T18:00:00+01:00", ends="2026-12-20T19:00:00+01:00", timezone="UTC")
    assert found.open_until(datetime(2026, 12, 20, 17, 30, tzinfo=UTC)) is not None
    assert found.open_until(datetime(2026, 12, 20, 18, 30, tzinfo=UTC)) is None


local_times = st.datetimes(datetime.fromisoformat("2023-01-01"), datetime.fromisoformat("2032-01-01"))
moments = local_times.map(lambda at: at.replace(tzinfo=UTC))
weekly = st.builds(
    lambda days, starts, lasts, zone: FreezeWindow(
        "w", FreezeMode.NOTIFY, Weekly(days, starts, lasts, ZoneInfo(zone)), ZoneInfo(zone)
    ),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, MINUTES_OF_A_DAY),
    st.integers(1, MINUTES_OF_A_DAY),
    st.sampled_from(ZONES),
)


def by_the_wall_clock(found: FreezeWindow, now: datetime) -> bool:
    """What somebody who looks at a clock of the zone would say."""
    assert isinstance(found.when, Weekly)
    wall = now.astimezone(found.zone)
    of_week = wall.weekday() * MINUTES_OF_A_DAY + wall.hour * 60 + wall.minute
    starts = (day * MINUTES_OF_A_DAY + found.when.starts_min for day in found.when.days)
    return any((of_week - start) % MINUTES_OF_A_WEEK < found.when.lasts_min for start in starts)


def clock_changes_near(zone: ZoneInfo, now: datetime) -> bool:
    near = (now + timedelta(hours=hours) for hours in range(-36, 37, 3))
    return len({at.astimezone(zone).utcoffset() for at in near}) > 1


@given(weekly, moments)
def test_whoever_looks_at_a_clock_and_sees_a_frozen_time_is_right(found: FreezeWindow, now: datetime) -> None:
    if by_the_wall_clock(found, now):
        assert found.open_until(now) is not None


@given(weekly, moments)
def test_away_from_changes_of_the_clock_nothing_else_is_frozen(found: FreezeWindow, now: datetime) -> None:
    assume(not clock_changes_near(found.zone, now))
    assert (found.open_until(now) is not None) == by_the_wall_clock(found, now)


def clock_changes(zone: str) -> list[datetime]:
    """The hours in which a clock of the zone is changed, in one year."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    offsets = [
        (begin + timedelta(hours=hour)).astimezone(ZoneInfo(zone)).utcoffset() for hour in range(8_760)
    ]
    return [begin + timedelta(hours=hour) for hour in range(1, 8_760) if offsets[hour] != offsets[hour - 1]]


CHANGES = [(zone, at) for zone in ZONES for at in clock_changes(zone)]


@given(weekly, st.sampled_from(CHANGES), st.integers(-240, 240))
def test_near_a_change_of_the_clock_the_window_is_only_ever_longer(
    found: FreezeWindow, change: tuple[str, datetime], minutes: int
) -> None:
    assert isinstance(found.when, Weekly)
    zone = ZoneInfo(change[0])
    there = replace(found, when=replace(found.when, zone=zone), zone=zone)
    now = change[1] + timedelta(minutes=minutes)
    if by_the_wall_clock(there, now):
        assert there.open_until(now) is not None


@given(weekly, moments)
def test_a_window_stays_open_until_its_end_and_is_closed_then(found: FreezeWindow, now: datetime) -> None:
    until = found.open_until(now)
    if until is not None and until - now < timedelta(days=7):
        assert until > now
        assert found.open_until(until - timedelta(microseconds=1)) == until
        assert found.open_until(until) is None


@given(st.lists(st.tuples(weekly, st.sampled_from(FreezeMode)), max_size=5), moments)
def test_of_windows_that_overlap_the_stricter_wins(
    found: list[tuple[FreezeWindow, FreezeMode]], now: datetime
) -> None:
    windows = [
        FreezeWindow(str(number), mode, each.when, each.zone) for number, (each, mode) in enumerate(found)
    ]
    modes = {each.mode for each in windows if each.open_until(now) is not None}
    freeze = strictest(windows, now)
    assert (freeze.mode if freeze else None) == (
        FreezeMode.NOTIFY if FreezeMode.NOTIFY in modes else FreezeMode.APPROVE if modes else None
    )


@given(local_times, local_times, st.sampled_from(ZONES), moments)
def test_a_window_between_dates_is_refused_or_open_between_them(
    starts: datetime, ends: datetime, zone: str, now: datetime
) -> None:
    entry = {"starts": starts.isoformat(" "), "ends": ends.isoformat(" "), "timezone": zone}
    if ends <= starts:
        with pytest.raises(ConfigError, match="is not after starts"):
            window(**entry)
        return
    wall = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    is_open = window(**entry).open_until(now) is not None
    if starts <= wall < ends:
        assert is_open
    elif not (starts - timedelta(hours=2) <= wall <= ends + timedelta(hours=2)):
        assert not is_open


def test_a_run_goes_on_in_a_freeze_that_is_no_stricter_than_what_it_may_pass() -> None:
    approve, notify = FreezeMode.APPROVE, FreezeMode.NOTIFY
    assert [approve.is_within(each) for each in ("", "approve", "notify")] == [False, True, True]
    assert [notify.is_within(each) for each in ("", "approve", "notify")] == [False, False, True]


@pytest.mark.parametrize("at", ["16:00", "'16:00'", "fri 16:00", "Friday 9:05", "2026-12-20 18:00:00"])
def test_times_are_read_as_yaml_gives_them(at: str) -> None:
    days = "days: [mon]," if at[0] in "'1" else ""
    later = {"f": "mon 08:00", "F": "mon 08:00", "2": "2026-12-21 18:00"}.get(at[0], "17:00")
    text = f"freeze: [{{name: w, mode: approve, {days} starts: {at}, ends: {later}}}]"
    assert parse(yaml.safe_load(text), path="c").freezes()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("starts: 2026-12-20, ends: 2026-12-21 18:00", "freeze[0].starts: 2026-12-20 has no time of day"),
        ("starts: '2026-12-20', ends: 2026-12-21 18:00", "freeze[0].starts: '2026-12-20' has no time of day"),
        ("starts: 2026-12-22 18:00, ends: 2026-12-21 18:00", "freeze[0]: ends (2026-12-21 18:00:00) is not"),
        ("starts: fri 16:00, ends: 08:00", "freeze[0]: starts (fri 16:00) and ends (08:00) are written in"),
        ("starts: fri 16:00, ends: fri 16:00", "freeze[0]: starts and ends are the same moment of the week"),
        ("starts: '16:00', ends: '18:00'", "freeze[0]: a time alone needs days; add days: [mon, tue]"),
        ("starts: '16:00', ends: '16:00', days: [mon]", "freeze[0]: starts and ends are the same time"),
        ("starts: '24:00', ends: '00:00', days: [mon]", "freeze[0]: starts and ends are the same time"),
        ("starts: fri 16:00, ends: mon 08:00, days: [fri]", "freeze[0]: days goes with times alone"),
        ("starts: '16:00', ends: '24:30', days: [mon]", "freeze[0].ends: '24:30' is no time; the last one"),
        ("starts: '16:00', ends: 17, days: [mon]", "freeze[0].ends: 17 is no time; write 2026-12-20 18:00"),
        ("starts: '16:00', ends: 18:00, days: [mo]", "freeze[0].days[0]: 'mo' is no day of the week"),
        ("starts: fri 16:00, ends: mon 08:00, timezone: Europe/Berln", "did you mean Europe/Berlin?"),
        ("starts: fri 16:00, ends: mon 08:00, timezone: ../../etc", "timezone: '../../etc' is no time zone"),
        ("starts: fri 16:00, ends: mon 08:00, timezone: Europe", "timezone: 'Europe' is no time zone"),
        ("startz: fri 16:00, ends: mon 08:00", "freeze[0].startz: is not a known key; did you mean starts?"),
        ("starts: true, ends: mon 08:00", "freeze[0].starts: true is no time"),
        ("starts: soon, ends: mon 08:00", "freeze[0].starts: 'soon' is no time; write 2026-12-20 18:00"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_calendar_is_told_with_its_place_and_a_fix(entry: str, told: str) -> None:
    assert told in problems(f"freeze: [{{name: w, mode: notify, {entry}}}]")


def test_a_mode_that_is_none_is_told_with_those_that_are() -> None:
    text = "freeze: [{name: w, mode: forbid, starts: fri 16:00, ends: mon 08:00}]"
    assert "freeze[0].mode: input should be 'approve' or 'notify'" in problems(text)
