"""What follows from a look: thresholds, rows of looks, predictions, blindness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.alert import Severity
from agent.domain.probe_looks import BLIND_AFTER, after_look, is_due, standing, trend_words, words_of
from agent.domain.probing import (
    Bound,
    Deed,
    DeedKind,
    Probe,
    ProbeKind,
    ProbeState,
    Reading,
    Sign,
    Threshold,
    Unseen,
    number,
    span,
)
from agent.domain.trends import line_through

BEGIN = datetime(2026, 1, 5, 4, 0, tzinfo=UTC)

BACKLOG = Probe(
    "pending",
    "pending",
    1,
    ProbeKind.PENDING,
    60.0,
    (
        Threshold(Severity.CRITICAL, Bound(Sign.ABOVE, 50)),
        Threshold(Severity.WARNING, Bound(Sign.ABOVE, 20)),
    ),
)

DISK = Probe(
    "free",
    "free",
    1,
    ProbeKind.COMMAND,
    300.0,
    (Threshold(Severity.CRITICAL, Bound(Sign.BELOW, 0), within_s=4 * 3600),),
    trend_s=3600.0,
)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def run(
    probe: Probe, values: Sequence[float | None], state: ProbeState | None = None, *, begin: int = 0
) -> ProbeState:
    """Look at each value in its turn; None is a look that finds no number."""
    state = state or ProbeState("runbook", probe.key)
    for index, value in enumerate(values, start=begin):
        now = at(index * probe.every_s)
        found = Unseen("no answer") if value is None else Reading(now, value)
        state = after_look(probe, state, found, now)
    return state


def told(state: ProbeState) -> list[tuple[DeedKind, Severity | None]]:
    return [(deed.kind, deed.severity) for deed in state.untold]


def only(state: ProbeState) -> Deed:
    (deed,) = state.untold
    return deed


@pytest.mark.parametrize(
    ("value", "severity"),
    [(20, None), (20.5, Severity.WARNING), (50, Severity.WARNING), (51, Severity.CRITICAL)],
)
def test_the_published_thresholds_hold_above_twenty_and_above_fifty(value, severity):
    state = run(BACKLOG, [value])

    assert told(state) == ([] if severity is None else [(DeedKind.RAISE, severity)])


def test_an_alert_says_the_value_and_the_threshold_that_holds():
    deed = only(run(BACKLOG, [57]))

    assert deed.why == "is 57 (critical > 50)"
    assert (deed.value, deed.threshold) == (57, "critical > 50")


def test_what_is_raised_is_not_raised_again_while_it_stays():
    assert told(run(BACKLOG, [30, 31, 32, 29])) == [(DeedKind.RAISE, Severity.WARNING)]


def test_worse_is_told_once_and_better_is_not_told_until_it_is_over():
    state = run(BACKLOG, [30, 60, 70, 30, 60, 5])

    assert told(state) == [
        (DeedKind.RAISE, Severity.WARNING),
        (DeedKind.WORSE, Severity.CRITICAL),
        (DeedKind.CLEAR, None),
    ]
    assert state.untold[-1].source_id == state.untold[0].source_id, "it is the raised alert that is over"
    assert state.untold[-1].why == "is 5 again"


def test_it_is_over_only_at_the_level_where_it_clears():
    probe = replace(BACKLOG, clears=Bound(Sign.BELOW, 15))

    assert told(run(probe, [30, 18, 15])) == [(DeedKind.RAISE, Severity.WARNING)]
    assert told(run(probe, [30, 18, 14]))[-1] == (DeedKind.CLEAR, None)


def test_so_many_looks_in_a_row_must_agree_both_ways():
    probe = replace(BACKLOG, looks=2)

    assert told(run(probe, [30, 10, 30, 10, 60])) == []
    assert told(run(probe, [30, 60])) == [(DeedKind.RAISE, Severity.WARNING)], "two agree on a warning only"
    assert told(run(probe, [30, 60, 61]))[-1] == (DeedKind.WORSE, Severity.CRITICAL)
    assert told(run(probe, [30, 30, 10, 30, 10])) == [(DeedKind.RAISE, Severity.WARNING)]
    assert told(run(probe, [30, 30, 10, 11]))[-1] == (DeedKind.CLEAR, None)


def test_looks_before_and_after_a_long_pause_are_not_in_a_row():
    probe = replace(BACKLOG, looks=2)
    before = run(probe, [30])

    assert told(run(probe, [30], before, begin=60)) == []
    assert told(run(probe, [30, 30], before, begin=60)) == [(DeedKind.RAISE, Severity.WARNING)]


def test_raised_again_after_it_was_over_is_another_alert():
    state = run(BACKLOG, [30, 10, 30])
    first, _, again = state.untold

    assert again.kind is DeedKind.RAISE
    assert again.source_id != first.source_id


def test_a_disk_that_fills_is_an_alert_before_it_is_full():
    state = run(DISK, [100 - 2 * look for look in range(13)])  # 24 an hour: empty 3 h 10 min after the last
    deed = state.untold[0]

    assert (deed.kind, deed.severity) == (DeedKind.RAISE, Severity.CRITICAL)
    assert deed.threshold == "critical when < 0 within 4h"
    assert "and will be < 0 in" in deed.why
    assert deed.trend == "-24 an hour"


def test_a_disk_that_fills_slowly_or_empties_is_no_alert():
    assert told(run(DISK, [100 - look for look in range(13)])) == []
    assert told(run(DISK, [10 + look for look in range(13)])) == []
    assert told(run(DISK, [10.0] * 13)) == []


def test_a_prediction_waits_until_half_of_its_window_was_seen():
    assert told(run(DISK, [100 - 20 * look for look in range(4)])) == []
    assert told(run(DISK, [100 - 10 * look for look in range(7)])) == [(DeedKind.RAISE, Severity.CRITICAL)]


def test_a_prediction_ends_when_the_line_has_turned():
    falling = [100 - 2 * look for look in range(13)]

    state = run(DISK, [*falling, *[90.0] * 13])

    assert told(state) == [(DeedKind.RAISE, Severity.CRITICAL), (DeedKind.CLEAR, None)]


def test_what_is_beyond_the_limit_already_needs_no_line():
    assert only(run(DISK, [-1])).why == "is -1 (critical when < 0 within 4h)"


@given(
    start=st.floats(-1e6, 1e6),
    per_s=st.floats(-100, 100).filter(lambda slope: slope == 0 or abs(slope) > 1e-6),
    every_s=st.integers(10, 600),
)
def test_a_line_is_found_again_from_points_on_it(start, per_s, every_s):
    readings = [Reading(at(look * every_s), start + per_s * look * every_s) for look in range(8)]

    line = line_through(readings, window_s=7 * every_s)

    assert line is not None
    assert line.per_s == pytest.approx(per_s, rel=1e-6, abs=1e-6)
    assert line.after(-7 * every_s) == pytest.approx(start, rel=1e-6, abs=1e-3)


def test_least_squares_against_numbers_worked_out_by_hand():
    values = [1, 3, 2, 5, 4]  # mean 3, slope 8/10 a step, so 4.6 at the last of them
    readings = [Reading(at(60 * step), value) for step, value in enumerate(values)]

    line = line_through(readings, window_s=240)

    assert line is not None
    assert line.per_s == pytest.approx(0.8 / 60)
    assert line.value == pytest.approx(4.6)
    assert line.reaches_in_s(Bound(Sign.ABOVE, 5.4)) == pytest.approx(60)
    assert line.reaches_in_s(Bound(Sign.BELOW, 0)) is None
    assert trend_words(line) == "+48 an hour"


def test_only_the_window_counts_and_only_it_is_kept():
    state = run(DISK, [1000.0] * 20 + [100 - 2 * look for look in range(13)])

    assert len(state.readings) == 13
    assert standing(DISK, state.readings).line == line_through(state.readings, window_s=3600)
    assert len(run(BACKLOG, [1.0] * 50).readings) == 20


def test_a_probe_that_cannot_see_says_so_once_and_says_when_it_sees_again():
    blind = run(BACKLOG, [None] * (BLIND_AFTER - 1))
    assert told(blind) == []

    blind = run(BACKLOG, [None] * 3, blind, begin=2)
    assert told(blind) == [(DeedKind.BLIND, Severity.WARNING)]
    assert only(blind).why == "3 looks in a row found no number: no answer"

    seeing = run(BACKLOG, [10], blind, begin=5)
    assert told(seeing)[-1] == (DeedKind.SEES, None)
    assert seeing.untold[-1].source_id == seeing.untold[0].source_id


def test_a_look_that_fails_neither_raises_nor_clears():
    assert told(run(BACKLOG, [30, None, 31])) == [(DeedKind.RAISE, Severity.WARNING)]
    state = run(replace(BACKLOG, looks=2), [30, None, 30])
    assert told(state) == [(DeedKind.RAISE, Severity.WARNING)], "it says nothing, so the row goes on"


def test_missed_looks_are_not_made_up_and_a_clock_set_back_holds_nothing_up():
    state = run(BACKLOG, [1])

    assert not is_due(BACKLOG, state, at(59))
    assert is_due(BACKLOG, state, at(60))
    assert is_due(BACKLOG, state, at(-3600))
    late = after_look(BACKLOG, state, Reading(at(9999), 1), at(9999))
    assert not is_due(BACKLOG, late, at(10000)), "one look for all that was missed"


def test_after_a_clock_was_set_back_no_reading_lies_ahead():
    state = run(DISK, [5.0] * 6)

    state = after_look(DISK, state, Reading(at(-600), 7.0), at(-600))

    assert [each.value for each in state.readings] == [7.0]


@given(values=st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=40), looks=st.integers(1, 3))
def test_whatever_is_seen_each_alert_is_raised_once_and_cleared_once(values, looks):
    probe = replace(BACKLOG, looks=looks, clears=Bound(Sign.BELOW, 15))
    state = run(probe, values)
    out: set[str] = set()
    for deed in state.untold:
        if deed.kind in (DeedKind.RAISE, DeedKind.BLIND):
            assert deed.source_id not in out
            out.add(deed.source_id)
        elif deed.kind in (DeedKind.CLEAR, DeedKind.SEES):
            out.remove(deed.source_id)
    still = {each for raised in (state.raised, state.blind) if raised for each in raised.source_ids}
    assert out == still


def test_numbers_and_spans_as_people_write_them():
    assert [number(each) for each in (57, 0.35, -3, 1e16)] == ["57", "0.35", "-3", "1e+16"]
    assert [span(each) for each in (90, 14_400, 5_400, 0.4)] == ["1m 30s", "4h", "1h 30m", "0s"]
    assert words_of(standing(BACKLOG, [Reading(BEGIN, 3)]), 3) == "is 3"
