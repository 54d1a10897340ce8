"""Statistics: days without anything are days too, and a long time is told by weeks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from agent.reports.statistics import Ends, RunbookRecord, Statistics, without_gaps

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_day_on_which_nothing_ended_is_shown() -> None:
    found = without_gaps([Ends(date(2026, 1, 29), 2, 1)], NOW - timedelta(days=3), NOW)
    assert [each.day.day for each in found] == [28, 29, 30, 31]
    assert [each.total for each in found] == [0, 3, 0, 0]


def test_a_period_of_more_than_a_quarter_is_told_by_weeks() -> None:
    days = [Ends(date(2025, 6, 1) + timedelta(days=each), 1, 2, 3) for each in range(200)]
    found = without_gaps(days, datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 12, 18, tzinfo=UTC))
    assert len(found) == 29
    assert found[0] == Ends(date(2025, 6, 1), 7, 14, 21)
    assert sum(each.total for each in found) == 200 * 6


def test_nothing_that_ended_has_no_share() -> None:
    assert Statistics(NOW, NOW).resolved_share is None
    counted = Statistics(NOW, NOW, days=(Ends(NOW.date(), 3, 1),))
    assert counted.resolved_share == 0.75
    assert RunbookRecord("a", 0, 0, 0, None).share == 0.0
