"""A human's answer that Keeptrusts will never take is told to a human: a response is held until then."""

from __future__ import annotations

import pytest

from agent.delivery.keeptrusts import KeeptrustsSender
from agent.domain.errors import ServiceError
from agent.domain.outbox import AnswerKeeptrusts, Channel
from tests.unit.delivery.conftest import DOWN, GONE, REFUSED, Post

ANSWER = AnswerKeeptrusts("esc_1", "allow", "a false positive (reviewer)")


class Deaf:
    """Keeptrusts, which takes nothing."""

    def __init__(self, error: ServiceError) -> None:
        self.error: ServiceError | None = error
        self.asked = 0

    def resolve(self, escalation_id: str, resolution: str, notes: str) -> bool:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return (escalation_id, resolution, notes) == (ANSWER.escalation_id, ANSWER.resolution, ANSWER.notes)


@pytest.mark.parametrize("error", [REFUSED, GONE])
def test_an_answer_that_is_refused_for_good_pages_once_and_says_what_to_do(
    post: Post, error: ServiceError
) -> None:
    keeptrusts = Deaf(error)
    sender = KeeptrustsSender(post.world.context, post.world.store, keeptrusts)
    post.put(post.incident(), ANSWER)
    post.deliver_all(sender, looks=3)
    post.deliver_all(post.pager, looks=3)
    (page,) = post.world.pager.woken
    assert "esc_1" in page.summary
    assert "allow" in page.summary
    assert "settle it in Keeptrusts" in str(page.details["what_to_do"])
    assert keeptrusts.asked == 1


def test_an_answer_that_only_waits_pages_nobody_and_arrives(post: Post) -> None:
    keeptrusts = Deaf(DOWN)
    sender = KeeptrustsSender(post.world.context, post.world.store, keeptrusts)
    post.put(post.incident(), ANSWER)
    post.deliver_all(sender, looks=3)
    keeptrusts.error = None
    post.deliver_all(sender, looks=3)
    post.deliver_all(post.pager, looks=3)
    assert post.world.pager.woken == []
    assert not post.world.store.next_letters(Channel.KEEPTRUSTS, 10)
