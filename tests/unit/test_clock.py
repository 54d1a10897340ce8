"""The machine's clock notices that it was set, and remembers for a day what it was set forward by."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agent.adapters.clock import SystemClock

HOUR, DAY = 3_600.0, 86_400.0


class Time:
    """What the time of day and the machine's own count say."""

    def __init__(self) -> None:
        self.of_day, self.since_boot = 1_700_000_000.0, 500.0

    def passes(self, seconds: float) -> None:
        self.of_day += seconds
        self.since_boot += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def clock(time: Time) -> SystemClock:
    return SystemClock(wall=lambda: time.of_day, steady=lambda: time.since_boot)


def test_time_that_passes_is_no_leap(time: Time, clock: SystemClock) -> None:
    for seconds in (1, HOUR, DAY):
        time.passes(seconds)
        assert clock.now().timestamp() == time.of_day
    assert clock.leapt_s() == 0


def test_a_machine_that_slept_has_not_leapt(time: Time, clock: SystemClock) -> None:
    time.passes(8 * HOUR)  # the count since boot goes on while it sleeps
    assert clock.leapt_s() == 0


def test_a_step_forward_is_remembered_for_a_day_of_real_time(time: Time, clock: SystemClock) -> None:
    time.of_day += HOUR
    assert clock.leapt_s() == HOUR
    time.passes(DAY - 1)
    assert clock.leapt_s() == HOUR
    time.passes(2)
    assert clock.leapt_s() == 0


def test_a_step_back_makes_up_for_no_step_forward(time: Time, clock: SystemClock) -> None:
    time.of_day += HOUR
    clock.now()
    time.of_day -= HOUR
    assert clock.leapt_s() == HOUR  # in doubt a limit counts over more


def test_what_ntp_corrects_little_by_little_is_no_step(time: Time, clock: SystemClock) -> None:
    for _ in range(1_000):
        time.passes(1)
        time.of_day += 0.0005
        clock.now()
    assert clock.leapt_s() == 0


@pytest.mark.parametrize("by_s", [HOUR, -HOUR])
def test_the_operator_reads_that_the_clock_was_set(time: Time, clock: SystemClock, by_s: float) -> None:
    time.of_day += by_s
    with capture_logs() as logged:
        clock.now()
        clock.now()
    assert logged == [{"event": "clock_was_set", "by_s": by_s, "log_level": "warning"}]


def test_the_real_clock_runs() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    assert clock.now() <= clock.now()
    assert clock.monotonic() >= before
    assert clock.leapt_s() == 0
