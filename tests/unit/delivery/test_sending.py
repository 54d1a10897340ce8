from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.fake_clock import FakeClock
from agent.delivery.sending import Backoff, Pace, fairly
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import Channel, ChatCard, Letter
from tests.unit.delivery.conftest import AUTH, BUSY, DOWN

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def letter(number: int, incident_id: str, tries: int = 0) -> Letter:
    return Letter(number, incident_id, Channel.CHAT, ChatCard(), NOW, tries)


def test_the_wait_doubles_with_every_failure_up_to_half_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.failed(DOWN) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_success_starts_the_waits_anew() -> None:
    backoff = Backoff()
    backoff.failed(DOWN)
    backoff.failed(DOWN)
    backoff.succeeded()
    assert backoff.failed(DOWN) == 1


def test_a_vendors_retry_after_is_never_undercut() -> None:
    backoff = Backoff()
    assert backoff.failed(BUSY) == 45
    assert [backoff.failed(DOWN) for _ in range(3)] == [2, 4, 8]


def test_a_wait_of_a_day_is_not_believed() -> None:
    day = ServiceError("Slack", Reason.RATE_LIMITED, "later", retryable=True, retry_after_s=86_400)
    assert Backoff().failed(day) == 300
    assert Backoff(longest_s=30).failed(day) == 30


def test_what_only_an_operator_can_mend_is_tried_once_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.failed(AUTH) for _ in range(3)] == [60, 60, 60]
    assert backoff.failed(DOWN) == 1


def test_a_burst_goes_at_once_and_then_one_a_second(clock: FakeClock) -> None:
    pace = Pace(clock, burst=3, every_s=1.0)
    assert [pace.wait_s() for _ in range(4)] == [0, 0, 0, 1.0]
    clock.sleep(0.25)
    assert pace.wait_s() == 0.75
    clock.sleep(0.75)
    assert [pace.wait_s(), pace.wait_s()] == [0, 1.0]


def test_a_long_silence_saves_no_more_than_one_burst(clock: FakeClock) -> None:
    pace = Pace(clock, burst=2, every_s=1.0)
    clock.sleep(3600)
    assert [pace.wait_s() for _ in range(3)] == [0, 0, 1.0]


@given(st.lists(st.floats(0, 5), max_size=40))
def test_no_pauses_let_more_through_than_burst_and_time_allow(pauses: list[float]) -> None:
    clock = FakeClock()
    pace = Pace(clock, burst=4, every_s=1.0)
    through = 0
    for pause in pauses:
        clock.sleep(pause)
        through += pace.wait_s() == 0
        assert through <= 4 + clock.monotonic() + 1e-6


def test_an_incident_that_was_tried_often_stands_behind_the_others() -> None:
    first, again, other = letter(1, "a", tries=3), letter(2, "a"), letter(3, "b")
    assert fairly([first, again, other]) == [[other], [first, again]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=20))
def test_no_letter_is_left_out_and_each_incidents_keep_their_order(drawn: list[tuple[str, int]]) -> None:
    letters = [letter(number, *each) for number, each in enumerate(drawn)]
    groups = fairly(letters)
    for group in groups:
        assert group == [each for each in letters if each.incident_id == group[0].incident_id]
    assert sum(len(group) for group in groups) == len(letters)
