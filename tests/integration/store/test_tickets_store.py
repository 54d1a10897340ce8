"""Which tickets were asked for: written down before, told with what became of them, in one transaction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.incident import Entry, EventKind
from agent.domain.outbox import Channel, ChatLine
from agent.domain.tickets import Ticket, TicketRef, TicketState, mark_of

STORY = "esc-kt-1"
REF = TicketRef("10001", "AIGOV-1")


def entry(key: str) -> Entry:
    return Entry(key, EventKind.NOTE, f"something about {key}")


@pytest.fixture
def begun(store: Store) -> Ticket:
    return store.ticket_begun("k", STORY)


def test_what_is_begun_is_in_doubt_until_its_end_is_known(
    store: Store, begun: Ticket, clock: FakeClock
) -> None:
    assert begun == Ticket("k", STORY, mark_of("k"), TicketState.BEGUN, tried_at=clock.now())
    clock.sleep(60)
    again = store.ticket_begun("k", "another story")
    assert again == replace(begun, tried_at=clock.now())
    store.ticket_not_opened("k")
    assert store.ticket("k") == replace(begun, tried_at=None)
    assert store.ticket("unknown") is None


def test_it_is_opened_closed_and_opened_again_once_each_and_told_with_it(store: Store, begun: Ticket) -> None:
    assert store.ticket_opened("k", REF, entry("a"), [ChatLine("open")])
    assert not store.ticket_opened("k", TicketRef("2", "B-2"), entry("b"), [ChatLine("no")])
    assert store.ticket_closed("k", "somebody", entry("c"))
    assert not store.ticket_closed("k", "another", entry("d"))
    closed = store.ticket("k")
    assert closed == replace(begun, tried_at=None, state=TicketState.CLOSED, ref=REF, closed_by="somebody")
    assert store.ticket_reopened("k", entry("e"))
    assert not store.ticket_reopened("k", entry("f"))
    assert [each.key for each in store.timeline(STORY)] == ["a", "c", "e"]
    assert [letter.message for letter in store.next_letters(Channel.CHAT, 9)] == [ChatLine("open")]


def test_what_was_never_opened_is_not_closed(store: Store, begun: Ticket) -> None:
    assert not store.ticket_closed("k", "somebody", entry("c"))
    assert not store.ticket_reopened("k", entry("e"))
    assert list(store.timeline(STORY)) == []


def test_it_is_found_by_its_id_and_without_one_by_its_mark(store: Store, begun: Ticket) -> None:
    assert store.ticket_there("", ()) is None
    assert store.ticket_there("10001", ["other", begun.mark]) == begun
    store.ticket_opened("k", REF, entry("a"))
    assert store.ticket_there("10001") == store.ticket("k")
    assert store.ticket_there("10002", [begun.mark]) is None


def test_marks_are_legal_labels_and_one_for_each_key() -> None:
    marks = {mark_of(key) for key in ("escalation-1", "escalation 1", "Escalation-1", "ü" * 500)}
    assert len(marks) == 4
    assert all(mark.isascii() and " " not in mark and len(mark) < 40 for mark in marks)
