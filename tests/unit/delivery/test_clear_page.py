from __future__ import annotations

from agent.domain.outbox import Channel, ClearPage
from tests.unit.delivery.conftest import AUTH, DOWN, REFUSED, Post
from tests.unit.delivery.test_pager_sender import page

CLEAR = ClearPage("oncall-agent-1", "Responder chose one")


def test_a_cleared_page_is_closed_and_the_thread_says_why(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, page(), CLEAR)
    post.pager.deliver()
    assert len(post.world.pager.woken) == 1
    assert post.world.pager.open_pages == []
    assert post.world.told(incident_id)[-1] == "📟 The page is cleared: Responder chose one"


def test_a_page_is_never_cleared_before_it_was_sent(post: Post) -> None:
    post.put(post.incident(), page(), CLEAR)
    post.world.pager.fail_with(DOWN)
    for _ in range(5):
        post.world.clock.sleep(post.pager.deliver())
    assert len(post.world.pager.woken) == 1
    assert post.world.pager.open_pages == []


def test_a_clearing_is_tried_until_it_is_taken(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, page(), CLEAR)
    post.pager.deliver()
    post.put(incident_id, CLEAR)
    post.world.pager.fail_with(DOWN, AUTH)
    for _ in range(5):
        post.world.clock.sleep(post.pager.deliver())
    assert sum("The clearing of the page could not" in text for text in post.world.told(incident_id)) == 1
    assert post.world.store.next_letters(Channel.PAGER, 10) == []


def test_a_clearing_that_is_refused_for_what_it_says_is_left_to_a_human(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, CLEAR)
    post.world.pager.fail_with(REFUSED)
    assert post.pager.deliver() == 0
    assert post.world.store.next_letters(Channel.PAGER, 10) == []
    assert "could not be cleared" in post.world.told(incident_id)[-1]
