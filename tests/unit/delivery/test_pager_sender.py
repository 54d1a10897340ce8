from __future__ import annotations

import pytest

from agent.domain.alert import Severity
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import Channel, DeskNote, PageHuman
from agent.ports import Page
from tests.unit.delivery.conftest import AUTH, BUSY, DOWN, REFUSED, Post


def page(number: int = 1) -> PageHuman:
    return PageHuman(
        f"oncall-agent-{number}", f"A human is needed {number}", Severity.CRITICAL, "incident-agent", "api",
        {"original_alert": "Redis"}, (("http://localhost/1", "timeline"),),
    )  # fmt: skip


def summaries(post: Post) -> list[str]:
    return [each.summary for each in post.world.pager.woken]


def test_a_page_arrives_whole_and_is_told_in_the_thread(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, page())
    assert post.pager.deliver() == 0
    assert post.world.pager.woken == [
        Page(
            "oncall-agent-1", "A human is needed 1", Severity.CRITICAL, "incident-agent", "api",
            {"original_alert": "Redis"}, (("http://localhost/1", "timeline"),),
        )
    ]  # fmt: skip
    assert post.world.told(incident_id)[-1] == "📟 A human was paged"


def test_a_page_is_tried_until_it_is_taken_and_the_trouble_is_told_once(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, page())
    post.world.pager.fail_with(*[DOWN] * 9)
    waits = []
    for _ in range(10):
        waits.append(post.pager.deliver())
        post.world.clock.sleep(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30, 0]
    told = post.world.told(incident_id)
    assert sum("could not be delivered yet" in text for text in told) == 1
    assert told.count("📟 A human was paged") == 1
    assert summaries(post) == ["A human is needed 1"]


@pytest.mark.parametrize("reason", list(Reason))
def test_no_failure_whatsoever_gives_a_page_up(post: Post, reason: Reason) -> None:
    post.put(post.incident(), page())
    post.world.pager.fail_with(*[ServiceError("pager", reason, "no", retryable=False)] * 3)
    for _ in range(4):
        post.pager.deliver()
        post.world.clock.sleep(60)
    assert summaries(post) == ["A human is needed 1"]


def test_however_long_the_pager_asks_us_to_wait_a_page_waits_half_a_minute_at_most(post: Post) -> None:
    post.put(post.incident(), page())
    post.world.pager.fail_with(BUSY)
    assert post.pager.deliver() == 30
    assert post.pager.deliver() == 0
    assert summaries(post) == []


def test_a_page_that_is_refused_for_what_it_says_holds_up_no_other(post: Post) -> None:
    post.put(post.incident(1), page(1))
    post.put(post.incident(2), page(2))
    post.world.pager.fail_with(REFUSED)
    assert post.pager.deliver() == 0
    assert summaries(post) == ["A human is needed 2"]


def test_a_page_that_is_never_taken_does_not_starve_the_others(post: Post) -> None:
    first = post.incident(1)
    post.put(first, page(1))
    post.put(post.incident(2), page(2))
    post.world.pager.fail_with(DOWN)
    post.world.clock.sleep(post.pager.deliver())
    post.pager.deliver()
    assert summaries(post)[0] == "A human is needed 2"


def test_a_wrong_routing_key_is_tried_twice_a_minute(post: Post) -> None:
    post.put(post.incident(), page())
    post.world.pager.fail_with(AUTH)
    assert post.pager.deliver() == 30


def test_the_same_key_twice_wakes_nobody_twice(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, page())
    post.put(incident_id, page())
    post.pager.deliver()
    assert len(post.world.pager.woken) == 1
    assert post.world.store.next_letters(Channel.PAGER, 10) == []


def test_a_message_of_another_channel_is_a_broken_outbox(post: Post) -> None:
    post.put(post.incident(), DeskNote("P1", "for the desk"))
    with post.world.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE outbox SET channel = 'pager'")
    with pytest.raises(TypeError, match="DeskNote is no message for the pager"):
        post.pager.deliver()
