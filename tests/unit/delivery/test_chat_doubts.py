"""A post whose end nobody knows: the chat is asked what stands there before anything is said again."""

from __future__ import annotations

import pytest

from agent.adapters.fake_chat import FakeChat
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import ChatCard, ChatLine, ChatSummary
from tests.unit.delivery.conftest import AUTH, BUSY, DOWN, Post

SLOW = ServiceError("chat", Reason.TIMEOUT, "did not answer within 5 s", retryable=True)


class Killed(BaseException):
    """The process is gone."""


def die(*_: object, **__: object) -> None:
    raise Killed


def killed_before(post: Post, name: str) -> None:
    """Deliver until the named method of the outbox is reached, and die there."""
    setattr(post.world.store, name, die)
    with pytest.raises(Killed):
        post.chat.deliver()
    delattr(post.world.store, name)
    post.use(post.fake)


def test_a_root_that_was_posted_and_not_remembered_is_found_again(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"), ChatCard())
    killed_before(post, "keep_thread_ref")
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [["one"]]
    assert post.waiting() == 0


def test_lines_that_were_posted_and_not_marked_are_not_said_again(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, ChatLine("one"), ChatLine("two"), ChatSummary("summary"))
    killed_before(post, "delivered")
    post.put(incident_id, ChatLine("three"))
    post.deliver_all(post.chat)
    assert post.lines() == ["one", "two", "summary", "three"]
    assert post.waiting() == 0


def test_what_was_begun_and_never_arrived_is_said(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"), ChatLine("two"))
    post.fake.post_lines = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        post.chat.deliver()
    del post.fake.post_lines
    post.use(post.fake)
    post.deliver_all(post.chat)
    assert post.lines() == ["one", "two"]


def test_a_root_that_was_begun_and_never_arrived_is_posted(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    post.fake.post_root = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        post.chat.deliver()
    del post.fake.post_root
    post.use(post.fake)
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [["one"]]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_post_whose_answer_was_lost_is_not_made_again(post: Post, lost: int) -> None:
    post.put(post.incident(), ChatLine("one"), ChatSummary("summary"), ChatCard())
    post.fake.lose_answer(lost, SLOW)
    post.deliver_all(post.chat)
    assert [thread.lines for thread in post.fake.threads] == [["one", "summary"]]
    assert post.waiting() == 0


def test_nobody_is_asked_while_nothing_is_in_doubt(post: Post) -> None:
    incident_id = post.incident()
    for number in range(3):
        post.put(incident_id, ChatLine(f"line {number}"), ChatCard())
        post.fake.fail(BUSY)
        post.deliver_all(post.chat)
    assert post.lines() == ["line 0", "line 1", "line 2"]
    assert post.fake.looks == 0


def test_a_chat_that_does_not_let_us_look_is_told_again_rather_than_nothing(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    killed_before(post, "delivered")
    post.fake.fail(AUTH)
    post.deliver_all(post.chat)
    assert post.lines() == ["one", "one"]
    assert post.waiting() == 0


def test_a_look_that_fails_is_tried_again_before_anything_is_said(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    killed_before(post, "delivered")
    post.fake.fail(DOWN, DOWN, BUSY)
    post.deliver_all(post.chat, looks=300)
    assert post.lines() == ["one"]
    assert post.waiting() == 0


def test_a_chat_that_always_asks_for_patience_when_looked_at_loses_no_line(post: Post) -> None:
    post.put(post.incident(), ChatLine("one"))
    killed_before(post, "delivered")
    post.fake.fail(*[BUSY] * 5)
    post.deliver_all(post.chat, looks=1500)
    assert post.lines()[-1] == "one"
    assert post.waiting() == 0


def test_looks_keep_a_pace_of_their_own(post: Post) -> None:
    for number in range(1, 8):
        post.put(post.incident(number), ChatLine(f"line {number}"))
        post.fake.lose_answer(1, SLOW)
        post.world.clock.sleep(60)
        post.chat.deliver()
    post.world.clock.sleep(60)
    waited = [post.chat.deliver() for _ in range(3)]
    assert any(0 < each <= 1.3 for each in waited)


def test_without_threads_nothing_can_be_looked_up_and_no_line_is_lost(post: Post) -> None:
    post.use(FakeChat(has_threads=False))
    post.put(post.incident(), ChatLine("one"))
    killed_before(post, "delivered")
    post.deliver_all(post.chat)
    assert [each.lines for each in post.fake.channel] == [("one",), ("one",)]
    assert post.fake.looks == 0
    assert post.waiting() == 0
