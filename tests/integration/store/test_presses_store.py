"""What was pressed in Slack is written down once, and where questions stand is not forgotten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.presses import Press, Shown


def press(clock: FakeClock, key: str = "k1") -> Press:
    return Press(key, "U0ALICE", "approve", clock.now(), "inc-1")


def test_a_press_begins_once_and_its_answer_is_kept(store: Store, clock: FakeClock) -> None:
    assert store.begin_press(press(clock)) is None
    assert store.begin_press(press(clock)) == ""
    store.end_press("k1", by="alice (by Slack)", answer="You approved the plan")
    assert store.begin_press(press(clock)) == "You approved the plan"
    assert store.begin_press(press(clock, "k2")) is None


def test_of_many_at_once_one_begins(store: Store, clock: FakeClock) -> None:
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: store.begin_press(press(clock)), range(8)))
    assert begun.count(None) == 1


def test_after_a_month_a_press_is_forgotten(store: Store, clock: FakeClock) -> None:
    store.begin_press(press(clock))
    clock.sleep(31 * 24 * 3_600)
    store.begin_press(press(clock, "k2"))
    assert store.begin_press(press(clock)) is None


def test_a_card_is_looked_at_until_it_is_over(store: Store) -> None:
    store.keep_card("inc-1", "approval-asked", "C1:1.0")
    store.keep_card("inc-1", "ambiguous", "C1:2.0")
    store.card_shows("inc-1", "ambiguous", "digest", is_over=False)
    first, second = store.open_cards("inc-1")
    assert (first, second) == (
        Shown("ambiguous", "C1:2.0", "digest"),
        replace(second, key="approval-asked", ref="C1:1.0", shown=""),
    )
    store.card_shows("inc-1", "ambiguous", "digest", is_over=True)
    assert [each.key for each in store.open_cards("inc-1")] == ["approval-asked"]
    assert store.open_cards("inc-2") == []
