"""One ticket for each key, whatever is sent again, fails or dies; what is down loses nothing."""

from __future__ import annotations

import pytest

from agent.adapters.fake_tracker import FakeTracker
from agent.adapters.store_retention import StoredRetention
from agent.delivery.tickets import TicketSender
from agent.domain.errors import Reason, ServiceError
from agent.domain.outbox import Channel, CloseTicket, CommentTicket, OpenTicket
from agent.domain.queue import Rank
from agent.domain.tickets import TicketRef, TicketState, mark_of
from agent.escalations.entering import Queueing, Received
from agent.escalations.routing import Criteria, Rule
from agent.escalations.tickets import Ticketing
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk
from agent.safety.redaction import Redactor
from tests.unit.delivery.conftest import AUTH, BUSY, DOWN, GONE, REFUSED, Post

OPEN = OpenTicket("postmortem-1", "AIGOV", "Task", "Raise the limit")
COMMENT = CommentTicket(OPEN.key, "half of its time is over")
CLOSE = CloseTicket(OPEN.key, "fixed_by_hand", "settled")
LOST = ServiceError("jira", Reason.TIMEOUT, "no answer", retryable=True)
LAG_S = 90.0


class Desk:
    """An outbox with one sender of tickets."""

    def __init__(self, post: Post) -> None:
        self.post, self.tracker = post, FakeTracker()
        self.restart()

    def restart(self) -> None:
        world = self.post.world
        self.sender = TicketSender(world.context, world.store, self.tracker, world.store, search_lag_s=LAG_S)

    def deliver(self, looks: int = 1) -> None:
        for _ in range(looks):
            self.post.world.clock.sleep(self.sender.deliver() or 0.2)

    def row(self, key: str = OPEN.key) -> TicketState:
        ticket = self.post.world.store.ticket(key)
        assert ticket is not None
        return ticket.state


@pytest.fixture
def desk(post: Post) -> Desk:
    return Desk(post)


def test_it_is_opened_once_and_told_with_its_address(post: Post, desk: Desk) -> None:
    incident_id = post.incident()
    post.put(incident_id, OPEN)
    post.put(incident_id, OPEN)
    desk.deliver(3)
    assert len(desk.tracker.tickets) == 1
    told = post.world.store.timeline(incident_id)[-1]
    assert told.text == "🎫 The ticket AIGOV-1 is open: Raise the limit"
    assert told.data["url"] == "https://tracker.example.com/browse/AIGOV-1"
    assert not post.world.store.next_letters(Channel.TICKET, 10)


def test_two_incidents_that_speak_of_one_key_have_one_ticket(post: Post, desk: Desk) -> None:
    for number in (1, 2):
        post.put(post.incident(number), OPEN)
    desk.deliver(3)
    assert len(desk.tracker.tickets) == 1


def test_an_answer_that_is_lost_makes_no_second_ticket(post: Post, desk: Desk) -> None:
    desk.tracker.fail_with(LOST)
    desk.tracker.hides_new = True
    post.put(post.incident(), OPEN)
    desk.deliver(5)
    assert (len(desk.tracker.tickets), desk.row()) == (1, TicketState.BEGUN)
    desk.tracker.catch_up()
    post.world.clock.sleep(LAG_S)
    desk.deliver()
    assert (len(desk.tracker.tickets), desk.row()) == (1, TicketState.OPEN)


def test_it_is_not_looked_for_before_search_can_know_it(post: Post, desk: Desk) -> None:
    desk.tracker.fail_with(LOST)
    desk.tracker.hides_new = True
    post.put(post.incident(), OPEN)
    began = post.world.clock.monotonic()
    desk.deliver(2)
    desk.tracker.hides_new = False  # whoever looks too early opens a second one
    while desk.row() is TicketState.BEGUN and post.world.clock.monotonic() - began < 3 * LAG_S:
        if post.world.clock.monotonic() - began > LAG_S - 1:
            desk.tracker.catch_up()
        desk.deliver()
    assert len(desk.tracker.tickets) == 1


def test_whoever_dies_before_asking_or_before_writing_it_down_opens_one(post: Post, desk: Desk) -> None:
    store, incident_id = post.world.store, post.incident()
    post.put(incident_id, OPEN)
    ticket = store.ticket_begun(OPEN.key, incident_id)
    desk.deliver()
    assert not desk.tracker.tickets
    desk.tracker.open(OPEN, mark=ticket.mark)
    desk.restart()
    post.world.clock.sleep(LAG_S)
    desk.deliver(2)
    assert len(desk.tracker.tickets) == 1
    assert "found again" in post.world.told(incident_id)[-1]


def test_after_a_restore_what_was_opened_since_the_backup_is_found(post: Post, desk: Desk) -> None:
    post.put(post.incident(), OPEN)
    desk.tracker.open(OPEN, mark=mark_of(OPEN.key))
    StoredRetention(post.world.store).doubt_letters()
    desk.deliver()
    assert (len(desk.tracker.tickets), desk.row()) == (1, TicketState.OPEN)


def test_what_is_asked_for_once_more_after_a_restore_is_found_as_well(post: Post, desk: Desk) -> None:
    desk.tracker.open(OPEN, mark=mark_of(OPEN.key))
    StoredRetention(post.world.store).doubt_letters()
    incident_id = post.incident()
    post.put(incident_id, OPEN)
    desk.deliver(2)
    assert len(desk.tracker.tickets) == 1
    assert "found again" in post.world.told(incident_id)[-1]


def test_what_was_never_there_is_opened_after_the_look(post: Post, desk: Desk) -> None:
    incident_id = post.incident()
    post.put(incident_id, OPEN)
    post.world.store.ticket_begun(OPEN.key, incident_id)
    post.world.clock.sleep(LAG_S)
    desk.deliver()
    assert (len(desk.tracker.tickets), desk.row()) == (1, TicketState.OPEN)


def test_two_that_carry_one_mark_are_told(post: Post, desk: Desk) -> None:
    incident_id = post.incident()
    post.put(incident_id, OPEN)
    ticket = post.world.store.ticket_begun(OPEN.key, incident_id)
    for _ in range(2):
        desk.tracker.open(OPEN, mark=ticket.mark)
    post.world.clock.sleep(LAG_S)
    desk.deliver()
    assert "AIGOV-2 is the same: close it" in post.world.told(incident_id)[-1]


@pytest.mark.parametrize("error", [DOWN, BUSY])
def test_what_surely_was_not_opened_is_asked_for_again_without_a_look(
    post: Post, desk: Desk, error: ServiceError
) -> None:
    desk.tracker.fail_with(error)
    post.put(post.incident(), OPEN)
    wait_s = desk.sender.deliver()
    assert wait_s == (error.retry_after_s or 1)
    post.world.clock.sleep(wait_s)
    desk.deliver()
    assert desk.row() is TicketState.OPEN


def test_a_doubt_holds_up_no_other_incident(post: Post, desk: Desk) -> None:
    desk.tracker.fail_with(LOST)
    post.put(post.incident(1), OPEN)
    post.put(post.incident(2), OpenTicket("other", "OPS", "Task", "Another"))
    desk.deliver(6)
    assert desk.row("other") is TicketState.OPEN


def test_what_is_refused_is_told_and_holds_up_nothing(post: Post, desk: Desk) -> None:
    desk.tracker.fail_with(REFUSED)
    first = post.incident(1)
    post.put(first, OPEN, COMMENT, CLOSE)
    post.put(post.incident(2), OpenTicket("other", "OPS", "Task", "Another"))
    desk.deliver(3)
    assert "could not be opened: vendor: we do not like it" in post.world.told(first)[-1]
    assert desk.row("other") is TicketState.OPEN
    assert not post.world.store.next_letters(Channel.TICKET, 10)


@pytest.mark.parametrize("error", [AUTH, GONE])
def test_what_an_operator_can_mend_is_told_once_and_waits(
    post: Post, desk: Desk, error: ServiceError
) -> None:
    desk.tracker.fail_with(error, error)
    incident_id = post.incident()
    post.put(incident_id, OPEN)
    desk.deliver(2)
    assert [text for text in post.world.told(incident_id) if "does not take our ticket" in text]
    desk.deliver(2)
    assert desk.row() is TicketState.OPEN


def test_comments_and_the_end_come_in_order_and_once(post: Post, desk: Desk) -> None:
    incident_id = post.incident()
    post.put(incident_id, OPEN, COMMENT, CLOSE, CLOSE)
    desk.tracker.fail_with(DOWN)
    desk.deliver(8)
    (ticket,) = desk.tracker.tickets
    assert ticket.comments == [COMMENT.text, CLOSE.text]
    assert (ticket.is_closed, ticket.resolution) == (True, "fixed_by_hand")
    assert desk.row() is TicketState.CLOSED
    assert post.world.told(incident_id)[-1] == "🎫 The ticket AIGOV-1 is closed"


def test_what_was_closed_there_already_is_left_alone(post: Post, desk: Desk) -> None:
    incident_id = post.incident()
    post.put(incident_id, OPEN)
    desk.deliver()
    desk.tracker.tickets[0].is_closed = True
    post.put(incident_id, CLOSE)
    desk.deliver()
    assert desk.tracker.tickets[0].comments == []
    assert post.world.told(incident_id)[-1] == "🎫 The ticket AIGOV-1 had been closed already"


def test_what_never_had_a_ticket_needs_no_end(post: Post, desk: Desk) -> None:
    incident_id = post.incident()
    post.put(incident_id, COMMENT, CLOSE)
    before = post.world.told(incident_id)
    desk.deliver(2)
    assert post.world.told(incident_id) == before
    assert not post.world.store.next_letters(Channel.TICKET, 10)


def test_a_ticket_is_known_by_its_id_and_before_that_by_its_mark(post: Post, desk: Desk) -> None:
    store, incident_id = post.world.store, post.incident()
    ticket = store.ticket_begun(OPEN.key, incident_id)
    assert store.ticket_there("10001", ["x", ticket.mark]) == ticket
    post.put(incident_id, OPEN)
    post.world.clock.sleep(LAG_S)
    desk.deliver()
    found = store.ticket_there("10001")
    assert found is not None
    assert found.ref == TicketRef("10001", "AIGOV-1")
    assert store.ticket_there("10002", [ticket.mark]) is None
    assert list(store.tickets_of(incident_id)) == [found]


def test_where_its_ticket_was_the_only_way_to_tell_anybody_and_is_refused_a_human_is_paged(
    post: Post, desk: Desk
) -> None:
    world = post.world
    rules = (Rule("rest", Criteria(), "jira"),)
    ways = Queueing(rules=rules, channels=frozenset(Channel), tickets=Ticketing("AIGOV"))
    queue = QueueDesk(world.store, Redactor([]), ways)
    item, _ = queueing.received(queue, Received("1", "phi", "A prompt", Rank.HIGH), now=world.clock.now())
    assert not world.store.next_letters(Channel.PAGER, 10)
    desk.tracker.fail_with(REFUSED)
    desk.deliver(3)
    post.deliver_all(post.pager, looks=3)
    (page,) = world.pager.woken
    assert "could not be opened: vendor: we do not like it" in page.summary
    assert page.dedup_key == f"oncall-agent-{item.id}"
