from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.adapters.fake_chat import FakeChat
from agent.domain.errors import ServiceError
from agent.domain.incident import Status
from agent.domain.outbox import Channel, ChatCard, ChatLine, ChatSummary
from agent.domain.records import Changes
from tests.unit.delivery.conftest import AUTH, BUSY, DOWN, GONE, REFUSED, PickyChat, Post
from tests.unit.pipeline.conftest import SECRET


def test_lines_that_wait_together_become_one_message_in_their_order(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"), ChatCard())
    post.put(incident_id, ChatLine("two"), ChatCard())
    post.put(incident_id, ChatLine("three"), ChatCard())
    assert post.chat.deliver() == 0
    assert post.posts() == [("one", "two", "three")]
    assert post.waiting() == 0


def test_the_summary_stands_alone_and_is_shown_in_the_channel(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"), ChatLine("two"), ChatSummary("summary"), ChatLine("after"))
    post.chat.deliver()
    posts = post.fake.threads[0].posts
    assert [(each.lines, each.broadcast) for each in posts] == [
        (("one", "two"), False),
        (("summary",), True),
        (("after",), False),
    ]


def test_each_incident_is_told_in_its_own_thread(post: Post) -> None:
    first, second = post.incident(1), post.incident(2)
    post.put(first, ChatLine("a1"))
    post.put(second, ChatLine("b1"))
    post.put(first, ChatLine("a2"))
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [["a1", "a2"], ["b1"]]


def test_the_root_message_follows_the_incident_and_many_cards_are_one_update(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"), ChatCard())
    post.chat.deliver()
    post.world.store.record(incident_id, (), changes=Changes(status=Status.RUNNING, steps_done=1))
    post.put(incident_id, ChatCard(), ChatCard(), ChatCard())
    post.chat.deliver()
    (thread,) = post.fake.threads
    assert thread.card.status == "running"
    assert len(thread.earlier) == 2
    assert post.waiting() == 0


def test_nothing_waits_and_nothing_is_posted(post: Post) -> None:
    assert post.chat.deliver() == 0
    assert post.fake.threads == []


def test_posts_keep_to_a_burst_and_then_one_a_second(post: Post) -> None:
    for number in range(1, 7):
        post.put(post.incident(number), ChatLine(f"line {number}"))
    assert post.chat.deliver() == pytest.approx(1.0)
    said = [line for thread in post.fake.threads for line in thread.lines]
    assert len(post.fake.threads) + len(said) == 4
    post.deliver_all(post.chat)
    assert len(post.fake.threads) == 6
    assert post.waiting() == 0


def test_a_root_that_must_wait_for_its_turn_loses_no_line(post: Post) -> None:
    for number in range(1, 4):
        post.put(post.incident(number), ChatLine(f"line {number}"))
    waited = post.chat.deliver()
    assert waited == pytest.approx(1.0)
    assert len(post.fake.threads) == 2
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [["line 1"], ["line 2"], ["line 3"]]


def test_updates_of_the_root_have_a_pace_of_their_own(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"))
    post.chat.deliver()
    waits = []
    for _ in range(6):
        post.put(incident_id, ChatCard())
        waits.append(post.chat.deliver())
    assert waits == [0, 0, 0, 0, 0, pytest.approx(1.3)]


def test_while_the_chat_is_down_waits_double_and_afterwards_everything_is_told_once(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"), ChatCard())
    post.fake.fail(*[DOWN] * 7)
    waits = []
    for _ in range(7):
        waits.append(post.chat.deliver())
        post.world.clock.sleep(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    post.put(incident_id, ChatLine("two"), ChatCard())
    post.deliver_all(post.chat)
    assert post.lines() == ["one", "two"]
    assert post.waiting() == 0


def test_the_chats_retry_after_is_honoured(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    post.fake.fail(BUSY)
    assert post.chat.deliver() == 45
    assert post.chat.deliver() == 0
    assert post.fake.threads == []
    post.world.clock.sleep(45)
    post.chat.deliver()
    assert post.lines() == ["one"]


def test_a_later_line_waits_behind_a_postponed_one(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"))
    post.fake.fail(DOWN)
    wait_s = post.chat.deliver()
    post.put(incident_id, ChatLine("two"))
    post.chat.deliver()
    assert post.fake.threads == []
    post.world.clock.sleep(wait_s)
    post.chat.deliver()
    assert post.lines() == ["one", "two"]


def test_what_arrived_before_a_failure_is_not_told_again(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"), ChatSummary("summary"))
    post.chat.deliver()
    post.put(post.world.store.incidents()[0].id, ChatLine("two"), ChatSummary("again"), ChatCard())
    post.fake.fail(DOWN)
    post.deliver_all(post.chat)
    assert post.lines() == ["one", "summary", "two", "again"]


def test_a_wrong_token_is_tried_once_a_minute_and_loses_nothing(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    post.fake.fail(AUTH)
    assert post.chat.deliver() == 60
    post.world.clock.sleep(60)
    post.chat.deliver()
    assert post.lines() == ["one"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_exactly_the_line_that_is_refused_is_dropped(post: Post, place: int) -> None:
    chat = PickyChat()
    post.use(chat)
    texts = ["one", "two"]
    texts.insert(place, "bad")
    incident_id = post.incident()
    post.put(incident_id, *[ChatLine(text) for text in texts], ChatCard())
    post.deliver_all(post.chat)
    assert post.lines() == ["one", "two"]
    assert post.waiting() == 0


def test_a_refused_line_among_many_is_found_whatever_the_pace(post: Post) -> None:
    chat = PickyChat()
    post.use(chat)
    lines = [f"line {number}" for number in range(20)]
    post.put(post.incident(), *map(ChatLine, [*lines, "bad"]), ChatSummary("summary"))
    post.deliver_all(post.chat)
    assert post.lines() == [*lines, "summary"]
    assert len(chat.asked) == 23
    assert post.waiting() == 0


def test_after_a_refused_line_later_ones_are_told_together_again(post: Post) -> None:
    post.use(PickyChat())
    incident_id = post.incident()
    post.put(incident_id, ChatLine("bad"), ChatLine("one"))
    post.deliver_all(post.chat)
    post.put(incident_id, ChatLine("two"), ChatLine("three"))
    post.deliver_all(post.chat)
    assert post.posts() == [("one",), ("two", "three")]


def test_a_refused_line_is_told_in_the_timeline_and_not_in_the_chat(post: Post) -> None:
    post.use(PickyChat())
    incident_id = post.incident()
    post.put(incident_id, ChatLine("bad"))
    post.deliver_all(post.chat)
    (told,) = [event for event in post.world.store.timeline(incident_id) if event.kind == "delivery"]
    assert "we do not like it" in told.text
    assert post.waiting() == 0


def test_a_refused_update_of_the_root_drops_no_line(post: Post) -> None:
    chat = PickyChat()
    chat.refuses_updates = True
    post.use(chat)
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"), ChatCard(), ChatCard())
    post.deliver_all(post.chat)
    post.put(incident_id, ChatLine("two"))
    post.deliver_all(post.chat)
    assert post.lines() == ["one", "two"]
    assert post.waiting() == 0


def test_an_update_of_the_root_that_fails_is_made_up_for(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"))
    post.chat.deliver()
    post.put(incident_id, ChatCard())
    post.fake.fail(DOWN)
    assert post.chat.deliver() == 1
    assert post.waiting() == 1
    post.deliver_all(post.chat, looks=10)
    assert post.waiting() == 0
    assert len(post.fake.threads[0].earlier) == 1


def test_a_refused_root_message_loses_no_line_and_holds_up_no_other_incident(post: Post) -> None:
    post.put(post.incident(1), ChatLine("a"))
    post.put(post.incident(2), ChatLine("b"))
    post.fake.fail(REFUSED)
    assert post.chat.deliver() == 0
    assert [thread.lines for thread in post.fake.threads] == [["b"]]
    post.world.clock.sleep(60)
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [["b"], ["a"]]


def test_a_deleted_root_message_is_replaced_and_the_story_goes_on(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"))
    post.chat.deliver()
    post.fake.threads.clear()
    post.put(incident_id, ChatLine("two"), ChatCard())
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [["two"]]
    assert post.waiting() == 0


def test_a_channel_that_is_gone_is_asked_for_once_a_minute(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    post.fake.fail(GONE)
    assert post.chat.deliver() == 60
    assert post.waiting() == 1


class Stubborn(FakeChat):
    """In trouble over one incident's lines, and fine with all others."""

    def post_lines(
        self, ref: str, lines: Sequence[str], *, keys: Sequence[str] = (), broadcast: bool = False
    ) -> int:
        if "never" in lines:
            raise ServiceError("chat", DOWN.reason, "internal_error", retryable=True)
        return super().post_lines(ref, lines, keys=keys, broadcast=broadcast)


def test_an_incident_that_always_fails_does_not_starve_the_others(post: Post) -> None:
    post.use(Stubborn())
    post.put(post.incident(1), ChatLine("never"))
    post.put(post.incident(2), ChatLine("b"))
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [[], ["b"]]
    assert post.waiting() == 1


def test_a_chat_without_threads_is_told_everything_in_its_channel(post: Post) -> None:
    post.use(FakeChat(has_threads=False))
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"), ChatCard(), ChatSummary("summary"), ChatCard())
    post.chat.deliver()
    post.put(incident_id, ChatLine("two"), ChatCard())
    post.chat.deliver()
    assert [each.lines for each in post.fake.channel] == [("one",), ("summary",), ("two",)]
    assert len(post.fake.threads) == 1
    assert post.waiting() == 0


def test_without_threads_a_channel_that_is_gone_loses_nothing(post: Post) -> None:
    post.use(FakeChat(has_threads=False))
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"))
    post.chat.deliver()
    post.put(incident_id, ChatLine("two"))
    post.fake.fail(GONE)
    assert post.chat.deliver() == 60
    post.world.clock.sleep(60)
    post.chat.deliver()
    assert [each.lines for each in post.fake.channel] == [("one",), ("two",)]


def test_a_restart_goes_on_in_the_same_thread(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"))
    post.chat.deliver()
    post.use(post.fake)
    post.put(incident_id, ChatLine("two"))
    post.chat.deliver()
    assert [thread.lines for thread in post.fake.threads] == [["one", "two"]]


def test_a_try_is_counted_before_anything_is_sent(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    post.fake.fail(DOWN)
    post.world.clock.sleep(post.chat.deliver())
    (letter,) = post.world.store.next_letters(Channel.CHAT, 10)
    assert letter.tries == 1


def test_a_secret_in_an_alerts_title_reaches_no_sink(post: Post) -> None:
    incident = post.world.page(title=f"Redis down, token {SECRET}", service=f"api {SECRET}")
    said = [
        *post.fake.threads[0].lines,
        str(post.fake.threads[0].card),
        *post.world.desk.incident("P1").notes,
    ]
    assert all(SECRET not in text for text in said)
    assert SECRET not in str(post.world.pager.woken)
    assert all(SECRET not in text for text in post.world.told(incident.id))
