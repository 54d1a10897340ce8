"""The dead-man's switch by itself: when it pages, when it takes the page back, what it never does twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.fake_clock import FakeClock
from agent.adapters.fake_desk import FakePager
from agent.domain.alert import Severity
from agent.domain.errors import Reason, ServiceError
from agent.domain.watching import Look, Silent, WatchMemory, Well
from agent.pipeline.intake import OWN_KEY_PREFIX
from agent.watching import Patience, Verdict, Watcher, keep_looking

DOWN = ServiceError("pagerduty-events", Reason.UNREACHABLE, "connection refused", retryable=True)
GONE = Silent("http://127.0.0.1:8080/ready does not answer (unreachable)")
EVERY_S = 10.0


class Sight:
    """A probe that sees what the test says."""

    def __init__(self) -> None:
        self.sees: Look = Well()

    def look(self) -> Look:
        return self.sees


@dataclass
class Paper:
    """A memory that outlives the watcher, as a file does."""

    memory: WatchMemory = field(default_factory=lambda: WatchMemory(is_paged=False))

    def load(self) -> WatchMemory:
        return self.memory

    def save(self, memory: WatchMemory) -> None:
        self.memory = memory


class CountingPager(FakePager):
    """Counts what it was asked for, taken or not."""

    def __init__(self) -> None:
        super().__init__()
        self.triggers = 0
        self.clears = 0

    def page(self, page: object) -> None:
        self.triggers += 1
        super().page(page)  # type: ignore[arg-type]

    def clear(self, dedup_key: str) -> None:
        self.clears += 1
        super().clear(dedup_key)


class Post:
    """A watcher at its post; it may be relieved by another one with the same memory."""

    def __init__(self, *, probes: Sequence[Sight] | None = None, believed_after: int = 3) -> None:
        self.clock = FakeClock()
        self.pager = CountingPager()
        self.paper = Paper()
        self.sights = list(probes or [Sight()])
        self.patience = Patience(120, believed_after)
        self.relieve()

    def relieve(self) -> None:
        self.watcher = Watcher(
            "shop-1",
            probes=self.sights,
            pager=self.pager,
            clock=self.clock,
            memory=self.paper,
            patience=self.patience,
        )

    def sees(self, look: Look, *, for_s: float = 0.0, sight: int = 0) -> Verdict:
        """A look now, and one every ten seconds for so long."""
        self.sights[sight].sees = look
        verdict = self.watcher.round()
        for _ in range(int(for_s / EVERY_S)):
            self.clock.sleep(EVERY_S)
            verdict = self.watcher.round()
        return verdict

    @property
    def open_keys(self) -> list[str]:
        return [page.dedup_key for page in self.pager.open_pages]


@pytest.fixture
def post() -> Post:
    return Post()


def test_an_agent_that_is_well_pages_nobody(post: Post) -> None:
    assert post.sees(Well(), for_s=3_600) is Verdict.WELL
    assert (post.pager.triggers, post.pager.clears) == (0, 0)


def test_a_silence_within_the_patience_pages_nobody(post: Post) -> None:
    assert post.sees(GONE, for_s=120) is Verdict.SILENT
    post.sees(Well(), for_s=3_600)
    assert post.pager.triggers == 0


def test_a_longer_silence_pages_once_however_long_it_is(post: Post) -> None:
    assert post.sees(GONE, for_s=130) is Verdict.STALE
    assert post.pager.triggers == 1
    post.sees(GONE, for_s=7_200)
    assert post.pager.triggers == 1


def test_the_page_says_who_since_when_why_and_what_to_do(post: Post) -> None:
    post.sees(GONE, for_s=130)
    (page,) = post.pager.woken
    assert page.severity is Severity.CRITICAL
    assert page.dedup_key == "oncall-agent-down-shop-1"
    assert page.summary == f"oncall-agent on shop-1 is down since 2026-01-05 04:17 UTC: {GONE.why}"
    assert page.details["silent_since"] == "2026-01-05T04:17:23+00:00"
    assert page.details["last_error"] == GONE.why
    assert "start it again" in str(page.details["what_to_do"])


def test_the_agent_knows_the_page_as_its_own(post: Post) -> None:
    assert post.watcher.dedup_key.startswith(OWN_KEY_PREFIX)


def test_an_agent_that_is_back_takes_the_page_back_by_itself(post: Post) -> None:
    post.sees(GONE, for_s=130)
    post.sees(Well(), for_s=10)
    assert post.open_keys == ["oncall-agent-down-shop-1"]
    post.sees(Well(), for_s=10)
    assert post.open_keys == []
    post.sees(Well(), for_s=600)
    assert (post.pager.triggers, post.pager.clears) == (1, 1)


def test_a_new_silence_wakes_again(post: Post) -> None:
    for _ in range(2):
        post.sees(GONE, for_s=130)
        post.sees(Well(), for_s=30)
    assert len(post.pager.woken) == 2


def test_a_process_that_comes_back_only_to_die_again_is_paged_for(post: Post) -> None:
    for _ in range(10):
        post.sees(GONE, for_s=20)
        post.sees(Well(), for_s=0)
        post.clock.sleep(EVERY_S)
    assert post.pager.triggers == 1


def test_a_good_look_at_the_end_of_the_patience_is_given_its_chance(post: Post) -> None:
    post.sees(GONE, for_s=110)
    post.sees(Well(), for_s=60)
    assert post.pager.triggers == 0


def test_while_pagerduty_is_down_the_page_is_tried_until_it_is_taken(post: Post) -> None:
    post.pager.fail_with(*[DOWN] * 5)
    post.sees(GONE, for_s=600)
    assert post.pager.triggers == 6
    assert post.open_keys == ["oncall-agent-down-shop-1"]


def test_while_pagerduty_is_down_the_clearing_is_tried_until_it_is_taken(post: Post) -> None:
    post.sees(GONE, for_s=130)
    post.pager.fail_with(*[DOWN] * 5)
    post.sees(Well(), for_s=600)
    assert post.pager.clears == 6
    assert post.open_keys == []


def test_a_page_that_was_never_taken_is_not_sent_once_the_agent_is_back(post: Post) -> None:
    post.pager.fail_with(*[DOWN] * 2)
    post.sees(GONE, for_s=130)
    post.sees(Well(), for_s=60)
    assert post.pager.woken == []


def test_a_watcher_that_is_relieved_pages_nobody_twice_and_forgets_no_clearing(post: Post) -> None:
    post.sees(GONE, for_s=130)
    post.relieve()
    post.sees(GONE, for_s=600)
    assert post.pager.triggers == 1
    post.relieve()
    post.sees(Well(), for_s=20)
    assert post.open_keys == []


def test_a_watcher_that_is_relieved_does_not_begin_to_wait_anew(post: Post) -> None:
    for _ in range(13):
        post.sees(GONE)
        post.clock.sleep(EVERY_S)
        post.sees(GONE)
        post.relieve()
    assert post.pager.triggers == 1


def test_the_time_in_which_nobody_watched_counts_for_nothing(post: Post) -> None:
    """The whole machine was switched off: the agent is given its time to start."""
    post.sees(GONE)
    post.clock.sleep(3_600)
    post.relieve()
    assert post.sees(GONE, for_s=110) is Verdict.SILENT
    assert post.pager.triggers == 0


def test_a_watcher_without_a_memory_clears_once_to_be_sure(post: Post) -> None:
    post.paper.memory = WatchMemory()
    post.relieve()
    post.sees(Well(), for_s=600)
    assert (post.pager.triggers, post.pager.clears) == (0, 1)


def test_a_silence_that_the_probe_knows_to_be_longer_counts_as_long(post: Post) -> None:
    since = post.clock.now() - timedelta(seconds=121)
    assert post.sees(Silent("no beat", since)) is Verdict.STALE
    assert post.pager.woken[0].details["silent_since"] == since.isoformat()


def test_a_clock_that_is_set_anew_neither_pages_nor_hides_a_silence(post: Post) -> None:
    post.sees(GONE, for_s=50)
    post.clock.step_back(3_600)
    assert post.sees(GONE, for_s=60) is Verdict.SILENT
    assert post.sees(GONE, for_s=20) is Verdict.STALE


def test_one_silent_way_of_asking_is_enough_and_all_must_be_well_again() -> None:
    post = Post(probes=[Sight(), Sight()])
    post.sees(Silent("the file is old"), for_s=130, sight=1)
    assert "the file is old" in post.pager.woken[0].summary
    post.sees(GONE, sight=0)
    post.sees(Well(), for_s=60, sight=1)
    assert post.open_keys
    post.sees(Well(), for_s=30, sight=0)
    assert not post.open_keys


def test_for_a_single_run_the_first_good_look_counts() -> None:
    post = Post(believed_after=1)
    post.sees(GONE, for_s=130)
    post.relieve()
    assert post.sees(Well()) is Verdict.WELL
    assert post.open_keys == []


def test_it_says_what_it_saw_last_and_whether_the_pager_knows(post: Post) -> None:
    post.pager.fail_with(DOWN)
    post.sees(GONE, for_s=130)
    assert post.watcher.why == GONE.why
    assert not post.watcher.is_told
    post.sees(GONE)
    post.clock.sleep(EVERY_S)
    post.sees(GONE)
    assert post.watcher.is_told
    post.sees(Well(), for_s=30)
    assert post.watcher.why == ""
    assert post.watcher.is_told


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.booleans(), st.booleans()), max_size=40),
)
def test_whatever_happens_a_long_silence_is_paged_once_and_a_long_peace_is_clear(
    chapters: list[tuple[bool, int, bool, bool]],
) -> None:
    post = Post()
    for is_well, looks, is_relieved, pager_fails in chapters:
        if pager_fails:
            post.pager.fail_with(DOWN)
        if is_relieved:
            post.relieve()
        post.sees(Well() if is_well else GONE, for_s=looks * EVERY_S)
        assert len(post.open_keys) <= 1
    post.sees(Well(), for_s=1_800)
    assert post.open_keys == []
    woken = len(post.pager.woken)
    post.sees(GONE, for_s=600)
    assert len(post.pager.woken) == woken + 1


def test_a_moment_is_told_in_utc(post: Post) -> None:
    since = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
    post.sees(Silent("no beat", since))
    assert "since 2026-01-05 03:00 UTC" in post.pager.woken[0].summary


def test_a_watcher_that_only_breaks_ends_and_says_so() -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        raise RuntimeError("nobody foresaw this")

    assert keep_looking(look, threading.Event(), 0) is False
    assert len(looks) == 5


def test_one_good_look_between_surprises_is_enough_to_go_on() -> None:
    stopping, looks = threading.Event(), iter(range(12))

    def look() -> None:
        number = next(looks)
        if number == 11:
            stopping.set()
        if number % 4:
            raise RuntimeError("nobody foresaw this")

    assert keep_looking(look, stopping, 0) is True
