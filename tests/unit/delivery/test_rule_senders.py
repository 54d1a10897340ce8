"""Whom a rule names is told by mail, in a channel, at a service of PagerDuty; what is down loses nothing."""

from __future__ import annotations

import pytest

from agent.adapters.fake_desk import FakePager
from agent.delivery.notices import MailSender, NoticeSender
from agent.delivery.pager import PagerSender
from agent.domain.alert import Severity
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChannelNotice, ClearPage, MailHuman, PageHuman
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Rank
from agent.escalations.entering import Queueing, Received
from agent.escalations.routing import Criteria, Rule
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.ports import Notification
from agent.safety.redaction import Redactor
from tests.unit.delivery.conftest import DOWN, REFUSED, Post

MAIL = MailHuman(("ops@example.com",), "Escalation", "Why: no runbook", "esc-1-created-0")
NOTICE = ChannelNotice("#payments", "Escalation")


class Taker:
    """Takes what it is told, after it has failed as often as it was told to."""

    def __init__(self, *failures: ServiceError) -> None:
        self.failures = list(failures)
        self.told: list[Notification] = []

    def notify(self, notification: Notification) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.told.append(notification)


def mail_sender(post: Post, taker: Taker) -> MailSender:
    return MailSender(post.world.context, post.world.store, taker)


def test_a_mail_is_sent_and_told_in_the_timeline(post: Post) -> None:
    taker, incident_id = Taker(), post.incident()
    post.put(incident_id, MAIL)
    assert mail_sender(post, taker).deliver() == 0
    assert taker.told == [Notification(MAIL.to, MAIL.subject, MAIL.text, MAIL.key)]
    assert post.world.told(incident_id)[-1] == "📨 ops@example.com was told"


def test_a_server_that_is_down_is_tried_until_it_takes_it(post: Post) -> None:
    taker, incident_id = Taker(DOWN, DOWN), post.incident()
    post.put(incident_id, MAIL)
    sender = mail_sender(post, taker)
    waits = []
    for _ in range(3):
        waits.append(sender.deliver())
        post.world.clock.sleep(waits[-1])
    assert waits == [1, 2, 0]
    assert len(taker.told) == 1


@pytest.mark.parametrize("error", [REFUSED, ServiceError("mail", Reason.NOT_FOUND, "gone", retryable=False)])
def test_what_is_never_taken_is_told_and_holds_up_nothing(post: Post, error: ServiceError) -> None:
    taker, first, second = Taker(error), post.incident(1), post.incident(2)
    post.put(first, MAIL)
    post.put(second, MAIL)
    sender = mail_sender(post, taker)
    sender.deliver()
    sender.deliver()
    assert len(taker.told) == 1
    assert "could not be told" in post.world.told(first)[-1]
    assert not post.world.store.next_letters(Channel.MAIL, 10)


def test_a_channel_is_told(post: Post) -> None:
    taker, incident_id = Taker(), post.incident()
    post.put(incident_id, NOTICE)
    NoticeSender(post.world.context, post.world.store, taker).deliver()
    assert [(each.to, each.text) for each in taker.told] == [(("#payments",), "Escalation")]


def test_a_page_goes_to_the_service_that_is_named_and_is_cleared_there(post: Post) -> None:
    other, incident_id = FakePager(), post.incident()
    sender = PagerSender(post.world.context, post.world.store, post.world.pager, targets={"payments": other})
    page = PageHuman("oncall-agent-esc-1", "Help", Severity.ERROR, "queue", "pay", target="payments")
    post.put(incident_id, page, PageHuman("oncall-agent-1", "Help", Severity.ERROR, "queue", "pay"))
    sender.deliver()
    assert [each.dedup_key for each in other.open_pages] == ["oncall-agent-esc-1"]
    assert [each.dedup_key for each in post.world.pager.open_pages] == ["oncall-agent-1"]
    post.put(incident_id, ClearPage("oncall-agent-esc-1", "settled", "payments"))
    sender.deliver()
    assert other.open_pages == []
    assert len(post.world.pager.open_pages) == 1


def test_a_service_that_the_configuration_has_no_more_leaves_the_agents_own(post: Post) -> None:
    incident_id = post.incident()
    post.put(incident_id, PageHuman("oncall-agent-9", "Help", Severity.ERROR, "queue", "", target="gone"))
    post.pager.deliver()
    assert [each.dedup_key for each in post.world.pager.open_pages] == ["oncall-agent-9"]


def test_what_was_received_from_elsewhere_is_told_without_a_thread(post: Post) -> None:
    world = post.world
    desk = QueueDesk(world.store, Redactor([]), Queueing(channels=frozenset(Channel)))
    item, _ = queueing.received(desk, Received("1", "phi", "A prompt", Rank.HIGH), now=world.clock.now())
    post.pager.deliver()
    assert len(world.pager.open_pages) == 1
    assert [event.text for event in world.store.timeline(item.id)][-1] == "📟 A human was paged"
    assert not world.store.next_letters(Channel.CHAT, 10)


@pytest.mark.parametrize("times", [1, 3])
def test_where_the_only_way_to_tell_anybody_is_refused_a_human_is_paged_once_and_until_it_is_settled(
    post: Post, times: int
) -> None:
    world = post.world
    rule = Rule("rest", Criteria(), "ops@example.com")
    desk = QueueDesk(world.store, Redactor([]), Queueing(rules=(rule,), channels=frozenset(Channel)))
    item, _ = queueing.received(desk, Received("1", "phi", "A prompt", Rank.HIGH), now=world.clock.now())
    assert not world.store.next_letters(Channel.PAGER, 10)
    for _ in range(1, times):
        world.store.record(item.id, [Entry(f"again-{_}", EventKind.NOTE, "again")], messages=[MAIL])
    post.deliver_all(mail_sender(post, Taker(*[REFUSED] * times)), looks=3)
    post.deliver_all(post.pager, looks=3)
    (page,) = world.pager.woken
    assert "could not be told" in page.summary
    assert any("could not be told" in event.text for event in world.store.timeline(item.id))
    by = Actor(Person("reviewer", role=Role.APPROVER), Via.API)
    queueing.resolve(desk, item.id, by, Settling(Action.BLOCK, "harmful"), now=world.clock.now())
    post.deliver_all(post.pager, looks=3)
    assert world.pager.open_pages == []
