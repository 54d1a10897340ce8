"""The escalation queue as rows: one place for each, in order, and changed by one human at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Alert, Severity
from agent.domain.decisions import EscalationTrigger
from agent.domain.incident import Entry, EventKind, Status
from agent.domain.outbox import Channel, MailHuman
from agent.domain.queue import (
    Action,
    Escalated,
    Origin,
    QueueFilter,
    QueueStatus,
    Rank,
    Resolution,
)
from agent.domain.records import Changes, Escalation
from agent.escalations import claims
from agent.escalations.entering import Queueing, Received
from agent.escalations.routing import Criteria, Rule

PAGES = 3


def entry(name: str) -> Entry:
    return Entry(name, EventKind.QUEUE, name)


def an_incident(store: Store, number: int = 1, *, severity: Severity = Severity.ERROR) -> str:
    alert = Alert("pagerduty", f"P{number}", f"Redis {number}", service="shop", severity=severity, team="web")
    return store.open_manual(alert)


def escalate(store: Store, incident_id: str, **more: object) -> Escalated:
    told = Escalation(EscalationTrigger.NO_MATCH, "no runbook", Severity.ERROR, "key", f"Help {incident_id}")
    told = replace(told, **more)  # type: ignore[arg-type]
    changes = Changes(status=Status.ESCALATED, escalation=told)
    assert store.record(incident_id, [Entry("end", EventKind.ESCALATED, "ESCALATING")], changes=changes)
    item = store.queue_item(incident_id)
    assert item is not None
    return item


def received(store: Store, number: int, rank: Rank = Rank.HIGH, **more: str) -> Escalated:
    what = Received(str(number), "phi-detection", f"Prompt {number}", rank, **more)  # type: ignore[arg-type]
    item = store.queueing.received(what.item(store.clock.now()))
    assert store.queue_add(item, entry("received"))
    return item


def test_an_incident_that_ends_escalated_has_its_place_in_the_queue(store: Store, clock: FakeClock) -> None:
    incident_id = an_incident(store)
    item = escalate(store, incident_id)
    assert item.id == f"esc-{incident_id}"
    assert (item.rank, item.trigger, item.service, item.team) == (Rank.HIGH, "no_match", "shop", "web")
    assert (item.target, item.reason) == ("team:on-call", "no runbook")
    assert item.deadline - clock.now() == timedelta(hours=1)
    assert item.amber_at - clock.now() == timedelta(minutes=30)
    assert store.queue_item(item.id) == item


def test_the_runbooks_word_on_rank_and_route_counts(store: Store) -> None:
    store.queueing = Queueing(
        rules=(Rule("dba", Criteria(service=("none",)), "team:dba"), Rule("rest", Criteria(), "team:sre"))
    )
    item = escalate(store, an_incident(store), rank=Rank.CRITICAL, routing="DBA", message="Fail over first")
    assert (item.rank, item.rule, item.target) == (Rank.CRITICAL, "dba", "team:dba")
    assert item.facts["message"] == "Fail over first"


def test_whom_the_rule_names_is_told_in_the_same_transaction(store: Store) -> None:
    rule = Rule("rest", Criteria(), "ops@example.com", "email")
    store.queueing = Queueing(rules=(rule,), channels=frozenset({Channel.MAIL}))
    escalate(store, an_incident(store))
    (letter,) = store.next_letters(Channel.MAIL, 10)
    assert isinstance(letter.message, MailHuman)
    assert letter.message.to == ("ops@example.com",)


def test_open_ones_come_by_rank_and_then_age_page_after_page(store: Store, clock: FakeClock) -> None:
    ranks = [Rank.LOW, Rank.CRITICAL, Rank.HIGH, Rank.CRITICAL, Rank.MEDIUM, Rank.HIGH, Rank.LOW]
    for number, rank in enumerate(ranks):
        received(store, number, rank)
        clock.sleep(60)
    seen: list[str] = []
    wanted = QueueFilter(limit=PAGES)
    while True:
        page = store.queue_page(wanted)
        assert page.open == len(ranks)
        seen += [each.title for each in page.items]
        if not page.next:
            break
        wanted = replace(wanted, after=page.next)
    assert seen == [f"Prompt {number}" for number in (1, 3, 2, 5, 4, 0, 6)]


def test_the_queue_is_filtered_by_what_is_asked(store: Store) -> None:
    received(store, 1, Rank.LOW, service="shop", consumer="acme")
    other = received(store, 2, Rank.HIGH, service="pay")
    assert [each.id for each in store.queue_page(QueueFilter(service="pay")).items] == [other.id]
    assert [each.id for each in store.queue_page(QueueFilter(rank=Rank.HIGH)).items] == [other.id]
    assert [each.id for each in store.queue_page(QueueFilter(text="PROMPT 2")).items] == [other.id]
    assert not store.queue_page(QueueFilter(assignee="bob")).items
    assert not store.queue_page(QueueFilter(targets=("team:x",))).items
    assert len(store.queue_page(QueueFilter(origin=Origin.KEEPTRUSTS, targets=("team:on-call",))).items) == 2


@pytest.mark.parametrize("after", ["x", "1", "1_2_3_4", "x_y_z", "99999999_a_b"])
def test_a_place_that_is_none_is_no_error(store: Store, after: str) -> None:
    received(store, 1)
    assert len(store.queue_page(QueueFilter(after=after)).items) <= 1
    assert not store.queue_page(QueueFilter(after=after, settled=True)).items


def test_what_is_sent_again_is_there_once(store: Store) -> None:
    item = received(store, 1)
    assert not store.queue_add(item, entry("again"))
    assert store.queue_page(QueueFilter()).open == 1
    assert [each.key for each in store.timeline(item.id)] == ["received"]


def test_twenty_claims_at_once_are_one(store: Store, database_url: str, clock: FakeClock) -> None:
    item = received(store, 1)
    stores = [Store(database_url, clock) for _ in range(4)]
    barrier = Barrier(20)

    def claim(number: int) -> bool:
        own = stores[number % len(stores)]
        seen = own.queue_item(item.id)
        assert seen is not None
        after = claims.claim(seen, f"human {number}", clock.now())
        barrier.wait()
        return isinstance(after, Escalated) and own.queue_change(seen, after, entry(f"claim {number}"))

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(claim, range(20))) == 1
    for each in stores:
        each.close()
    assert len(store.timeline(item.id)) == 2
    assert isinstance(verify_chain(list(store.audit_entries())), Intact)


def test_a_change_of_what_was_changed_meanwhile_does_nothing(store: Store, clock: FakeClock) -> None:
    item = received(store, 1)
    mine = claims.claim(item, "first", clock.now())
    assert isinstance(mine, Escalated)
    assert store.queue_change(item, mine, entry("first"))
    assert not store.queue_change(item, replace(item, target="x"), entry("second"))
    assert store.queue_item(item.id) == mine


def test_what_is_settled_leaves_the_queue_and_is_found_among_the_settled(
    store: Store, clock: FakeClock
) -> None:
    item = received(store, 1)
    clock.sleep(127)
    by = Resolution(Action.REDACT_AND_ALLOW, "reviewer@example.com", clock.now(), "PII redacted")
    after = claims.resolve(item, by)
    assert isinstance(after, Escalated)
    assert store.queue_change(item, after, entry("resolved"))
    assert store.queue_page(QueueFilter()).open == 0
    (found,) = store.queue_page(QueueFilter(settled=True)).items
    assert found == after
    assert not store.queue_due(clock.now() + timedelta(days=9), 10)


def test_what_is_due_is_asked_for_until_it_is_told(store: Store, clock: FakeClock) -> None:
    item = received(store, 1, Rank.CRITICAL)
    assert not store.queue_due(clock.now(), 10)
    clock.sleep(7.5 * 60)
    assert [each.id for each in store.queue_due(clock.now(), 10)] == [item.id]
    warned = claims.warn(item, clock.now())
    assert store.queue_change(item, warned, entry("warned"))
    assert not store.queue_due(clock.now(), 10)
    clock.sleep(7.5 * 60)
    assert [each.id for each in store.queue_due(clock.now(), 10)] == [item.id]
    breached = claims.breach(warned, store.queueing.rules[0], clock.now())
    assert store.queue_change(warned, breached, entry("breached"))
    assert not store.queue_due(clock.now() + timedelta(days=9), 10)
    assert store.queue_page(QueueFilter(status=QueueStatus.OPEN)).open == 1


def test_history_is_of_the_same_consumer_or_policy_rule(store: Store, clock: FakeClock) -> None:
    first = received(store, 1, consumer="acme", policy_rule="phi")
    received(store, 2, consumer="other", policy_rule="pci")
    clock.sleep(1)
    now = received(store, 3, consumer="acme", policy_rule="dlp")
    assert [each.id for each in store.queue_like(now)] == [first.id]
