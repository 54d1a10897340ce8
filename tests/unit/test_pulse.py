from __future__ import annotations

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.pulse import Pulse


@pytest.fixture
def pulse(clock: FakeClock) -> Pulse:
    pulse = Pulse(clock)
    pulse.expect("dispatcher", is_vital=True)
    pulse.expect("reload", is_vital=False)
    return pulse


def test_a_schedule_has_its_time_for_the_first_round(pulse: Pulse, clock: FakeClock) -> None:
    clock.sleep(120)
    assert pulse.problems() == ()
    assert pulse.last() == {}


def test_a_vital_schedule_that_falls_silent_is_a_problem_in_words(pulse: Pulse, clock: FakeClock) -> None:
    clock.sleep(121)
    assert pulse.late() == (
        "the schedule dispatcher has not done its work for 121 s, and says nothing of why",
    )
    pulse.failed("dispatcher", "the database is locked")
    assert pulse.problems() == (
        "the schedule dispatcher has not done its work for 121 s: the database is locked",
    )


def test_one_round_makes_up_for_it(pulse: Pulse, clock: FakeClock) -> None:
    clock.sleep(500)
    pulse.failed("dispatcher", "the database is locked")
    pulse.ticked("dispatcher")
    assert pulse.problems() == ()
    assert pulse.last() == {"dispatcher": clock.now()}
    clock.sleep(121)
    assert "says nothing of why" in pulse.late()[0]


def test_a_schedule_that_is_not_vital_may_be_silent(pulse: Pulse, clock: FakeClock) -> None:
    for _ in range(10):
        clock.sleep(100)
        pulse.ticked("dispatcher")
    assert pulse.problems() == ()


def test_a_clock_that_is_set_anew_makes_nothing_late(pulse: Pulse, clock: FakeClock) -> None:
    clock.step_back(-86_400)
    assert pulse.problems() == ()


def test_a_hindrance_is_a_problem_until_it_is_over_and_makes_nothing_late(pulse: Pulse) -> None:
    pulse.hindered("pages", "3 pages are not delivered")
    pulse.hindered("pages", "4 pages are not delivered")
    assert pulse.problems() == ("4 pages are not delivered",)
    assert pulse.late() == ()
    pulse.hindered("pages", "")
    pulse.hindered("pages", "")
    assert pulse.problems() == ()


def test_a_failure_of_what_nobody_expects_is_no_schedule(pulse: Pulse, clock: FakeClock) -> None:
    pulse.failed("nobody", "x")
    clock.sleep(1_000)
    pulse.ticked("dispatcher")
    assert pulse.problems() == ()
