"""What other agents handed over is kept once and answered once, when its incident has ended."""

from __future__ import annotations

from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.handoffs import HANDOFF_SOURCE, HandedIn
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import AnswerHandOver, Channel
from agent.domain.records import Changes
from agent.domain.source_event import EventType, SourceEvent


def test_what_was_handed_over_is_answered_once_it_has_ended(store: Store) -> None:
    now = store.clock.now()
    handed = HandedIn("edge/k-1", "edge", "k-1", ("edge",), now, now)
    store.keep_handed_in(handed)
    store.keep_handed_in(HandedIn("edge/k-1", "edge", "k-1", ("edge", "other"), now, now))
    assert store.handed_in("edge/k-1") == handed
    alert = Alert(HANDOFF_SOURCE, handed.id, "Redis")
    event = SourceEvent(HANDOFF_SOURCE, "d-1", EventType.TRIGGERED, "handoff", handed.id, alert=alert)
    incident_id = store.accept(event, "{}").incident_id
    assert store.answerable(10) == []
    end = Entry("end", EventKind.RESOLVED, "over")
    assert store.record(incident_id, [end], changes=Changes(status=Status.RESOLVED))
    assert store.answerable(10) == [(handed, incident_id, incident_id)]
    answer = AnswerHandOver("edge", "k-1", "resolved", "over")
    entry = Entry("answer", EventKind.NOTE, "told")
    assert store.answer_handed_in(handed.id, "resolved", incident_id, entry, [answer])
    assert not store.answer_handed_in(handed.id, "resolved", incident_id, entry, [answer])
    assert store.answerable(10) == []
    assert [each.message for each in store.next_letters(Channel.HANDOFF, 10)] == [answer]
