"""What humans do with an escalation: who may, what is told, and who hears of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.domain.alert import Severity
from agent.domain.decisions import RESOLVED_BY_ITSELF, StandDown
from agent.domain.outbox import Channel, ChannelNotice, ClearPage, MailHuman, PageHuman
from agent.domain.people import Actor, Person, Role, Via
from agent.domain.queue import Action, Escalated, QueueFilter, QueueStatus, Rank
from agent.escalations.claims import NotPossible
from agent.escalations.entering import Queueing, Received
from agent.escalations.routing import Criteria, Rule
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk, Settling
from agent.pipeline.sla_clock import SlaClock
from agent.safety.redaction import Redactor
from tests.unit.pipeline.conftest import World, runbook, step

SECRET = "canary-secret-000"
EVERY_WAY = frozenset(Channel)
RESPONDER = Person("resp", Role.RESPONDER, "resp@example.com", teams=frozenset({"sre"}))
OTHER = Person("other", Role.RESPONDER)
APPROVER = Person("lead", Role.APPROVER)
VIEWER = Person("watcher", Role.VIEWER)
RULES = (
    Rule("payments", Criteria(service=("pay*",)), "team:sre", "slack:#payments", "pagerduty:payments"),
    Rule("rest", Criteria(), "team:sre", "email", "lead@example.com"),
)


def by(person: Person, via: Via = Via.API) -> Actor:
    return Actor(person, via)


@pytest.fixture
def desk(store: Store) -> QueueDesk:
    people = (RESPONDER, OTHER, APPROVER, VIEWER)
    store.queueing = Queueing(
        rules=RULES, people=people, channels=EVERY_WAY, pager_targets=frozenset({"payments"})
    )
    return QueueDesk(store, Redactor([SECRET]), store.queueing)


def a_request(desk: QueueDesk, clock: FakeClock, **more: object) -> Escalated:
    what = Received("1", "phi-detection", "A prompt", Rank.HIGH, policy_rule="phi-detection")
    item, is_new = queueing.received(desk, replace(what, **more), now=clock.now())  # type: ignore[arg-type]
    assert is_new
    return item


def letters(store: Store, channel: Channel) -> list[object]:
    found = store.next_letters(channel, 50)
    store.delivered([letter.id for letter in found])
    return [letter.message for letter in found]


def test_one_claims_and_the_others_are_told_who_has_it(desk: QueueDesk, clock: FakeClock) -> None:
    item = a_request(desk, clock)
    mine = queueing.claim(desk, item.id, by(RESPONDER), now=clock.now())
    assert isinstance(mine, Escalated)
    assert (mine.status, mine.assignee) == (QueueStatus.CLAIMED, "resp")
    assert queueing.claim(desk, item.id, by(RESPONDER), now=clock.now()) == mine
    assert queueing.claim(desk, item.id, by(OTHER), now=clock.now()) == NotPossible("resp has claimed it")


def test_who_only_looks_changes_nothing(desk: QueueDesk, clock: FakeClock, store: Store) -> None:
    item = a_request(desk, clock)
    answer = queueing.claim(desk, item.id, by(VIEWER), now=clock.now())
    assert isinstance(answer, NotPossible)
    assert "responder" in answer.why
    assert store.queue_item(item.id) == item


def test_what_another_has_is_released_by_an_approver_alone(desk: QueueDesk, clock: FakeClock) -> None:
    item = a_request(desk, clock)
    queueing.claim(desk, item.id, by(RESPONDER), now=clock.now())
    refused = queueing.release(desk, item.id, by(OTHER), now=clock.now())
    assert isinstance(refused, NotPossible)
    free = queueing.release(desk, item.id, by(APPROVER), now=clock.now())
    assert isinstance(free, Escalated)
    assert free.status is QueueStatus.OPEN


def test_reassigned_it_is_with_somebody_known_who_is_told(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    item = a_request(desk, clock)
    letters(store, Channel.MAIL)
    nobody = queueing.reassign(desk, item.id, by(APPROVER), to="stranger", now=clock.now())
    assert isinstance(nobody, NotPossible)
    assert isinstance(
        queueing.reassign(desk, item.id, by(RESPONDER), to="lead", now=clock.now()), NotPossible
    )
    moved = queueing.reassign(desk, item.id, by(APPROVER), to="resp", now=clock.now())
    assert isinstance(moved, Escalated)
    assert moved.target == "resp"
    (mail,) = letters(store, Channel.MAIL)
    assert isinstance(mail, MailHuman)
    assert mail.to == ("resp@example.com",)
    assert "yours now" in mail.subject


def test_further_up_it_has_the_whole_of_its_time_again(desk: QueueDesk, clock: FakeClock) -> None:
    item = a_request(desk, clock)
    clock.sleep(1800)
    further = queueing.escalate_further(desk, item.id, by(RESPONDER), note="above me", now=clock.now())
    assert isinstance(further, Escalated)
    assert (further.target, further.level) == ("lead@example.com", 1)
    assert (further.deadline - item.deadline).total_seconds() == 1800


def test_what_somebody_works_on_is_passed_on_by_them_or_an_approver_alone(
    desk: QueueDesk, clock: FakeClock
) -> None:
    item = a_request(desk, clock)
    queueing.claim(desk, item.id, by(RESPONDER), now=clock.now())
    clock.sleep(1800)
    stolen = queueing.escalate_further(desk, item.id, by(OTHER), to="other", now=clock.now())
    assert stolen == NotPossible("resp has claimed it, and only they or an approver can pass it on")
    passed = queueing.escalate_further(desk, item.id, by(APPROVER), to="other", now=clock.now())
    assert isinstance(passed, Escalated)
    own = queueing.claim(desk, item.id, by(OTHER), now=clock.now())
    assert isinstance(own, Escalated)
    assert isinstance(queueing.escalate_further(desk, item.id, by(OTHER), now=clock.now()), Escalated)


def test_a_responder_sends_nothing_to_an_address_that_nobody_knows(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    item = a_request(desk, clock)
    letters(store, Channel.MAIL)
    for to in ("evil@example.net", "  evil@example.net ", "team:evil@example.net@"):
        out = queueing.escalate_further(desk, item.id, by(RESPONDER), to=to, now=clock.now())
        assert not any("evil@example.net" in each.to for each in letters(store, Channel.MAIL)), out  # type: ignore[attr-defined]
    assert isinstance(
        queueing.escalate_further(desk, item.id, by(RESPONDER), to="resp@example.com", now=clock.now()),
        Escalated,
    )
    moved = queueing.escalate_further(desk, item.id, by(APPROVER), to="evil@example.net", now=clock.now())
    assert isinstance(moved, Escalated)


def test_moved_there_and_back_its_people_are_paged_again(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    item = a_request(desk, clock)
    letters(store, Channel.PAGER)
    for to in ("pagerduty:payments", "team:sre", "pagerduty:payments", "resp", "pagerduty:payments"):
        clock.sleep(1)
        assert isinstance(queueing.reassign(desk, item.id, by(APPROVER), to=to, now=clock.now()), Escalated)
    keys = [each.dedup_key for each in letters(store, Channel.PAGER)]  # type: ignore[attr-defined]
    assert len(keys) == len(set(keys)) == 3
    settling = Settling(Action.BLOCK, "seen")
    queueing.resolve(desk, item.id, by(RESPONDER), settling, now=clock.now())
    cleared = [each.dedup_key for each in letters(store, Channel.PAGER)]  # type: ignore[attr-defined]
    assert set(keys) <= set(cleared)


def test_a_settled_one_says_who_how_why_and_how_long_it_took(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    item = a_request(desk, clock)
    clock.sleep(127)
    settling = Settling(Action.REDACT_AND_ALLOW, f"PII in the output, {SECRET} removed")
    done = queueing.resolve(desk, item.id, by(RESPONDER), settling, now=clock.now())
    assert isinstance(done, Escalated)
    last = store.timeline(item.id)[-1]
    assert last.actor == "resp (by API)"
    said = {name: last.data[name] for name in ("escalation", "action", "reviewer", "resolution_time_seconds")}
    assert said == {
        "escalation": item.id,
        "action": "redact_and_allow",
        "reviewer": "resp",
        "resolution_time_seconds": 127,
    }
    assert done.resolution is not None
    assert SECRET not in f"{last.text} {last.data} {done.resolution.note}"
    again = queueing.resolve(desk, item.id, by(OTHER), settling, now=clock.now())
    assert isinstance(again, NotPossible)
    assert store.queue_page(QueueFilter()).open == 0


def test_without_a_note_nothing_is_settled(desk: QueueDesk, clock: FakeClock) -> None:
    item = a_request(desk, clock)
    answer = queueing.resolve(desk, item.id, by(RESPONDER), Settling(Action.ALLOW, "  "), now=clock.now())
    assert isinstance(answer, NotPossible)
    assert "note" in answer.why


def test_one_that_does_not_exist_is_said_so(desk: QueueDesk, clock: FakeClock) -> None:
    answer = queueing.claim(desk, "esc-0", by(RESPONDER), now=clock.now())
    assert isinstance(answer, NotPossible)
    assert "no escalation esc-0" in answer.why


def test_sent_again_it_is_there_once_and_nobody_is_told_twice(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    item = a_request(desk, clock)
    same, is_new = queueing.received(
        desk, Received("1", "phi-detection", "A prompt", Rank.HIGH), now=clock.now()
    )
    assert (same.id, is_new) == (item.id, False)
    assert len(letters(store, Channel.MAIL)) == 1


def test_half_of_the_time_over_the_rules_channel_is_told_once(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    a_request(desk, clock, service="payments")
    (created,) = letters(store, Channel.NOTICE)
    assert isinstance(created, ChannelNotice)
    assert created.channel == "#payments"
    sla = SlaClock(desk, clock)
    clock.sleep(1799)
    sla.tick()
    assert letters(store, Channel.NOTICE) == []
    clock.sleep(1)
    sla.tick()
    sla.tick()
    (amber,) = letters(store, Channel.NOTICE)
    assert isinstance(amber, ChannelNotice)
    assert "Half of the time" in amber.text


def test_overdue_it_is_taken_from_whoever_sat_on_it_and_given_to_whom_the_rule_names(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    item = a_request(desk, clock, service="payments")
    queueing.claim(desk, item.id, by(RESPONDER), now=clock.now())
    clock.sleep(3600)
    sla = SlaClock(desk, clock)
    sla.tick()
    sla.tick()
    late = store.queue_item(item.id)
    assert late is not None
    assert (late.status, late.assignee, late.target) == (QueueStatus.OPEN, "", "pagerduty:payments")
    (page,) = letters(store, Channel.PAGER)
    assert isinstance(page, PageHuman)
    assert (page.target, page.severity) == ("payments", Severity.ERROR)
    assert "SLA" in page.summary
    assert [event.data.get("deed") for event in store.timeline(item.id)][-1] == "breached"
    settling = Settling(Action.BLOCK, "blocked")
    queueing.resolve(desk, item.id, by(RESPONDER), settling, now=clock.now())
    (clear,) = letters(store, Channel.PAGER)
    assert clear == ClearPage(page.dedup_key, f"resp (by API) settled {item.id}", "payments")


def test_where_no_rules_way_leads_anywhere_the_agents_own_pager_wakes_somebody(
    desk: QueueDesk, clock: FakeClock, store: Store
) -> None:
    nowhere = replace(desk, queueing=replace(desk.queueing, rules=(Rule("rest", Criteria(), "team:nobody"),)))
    a_request(nowhere, clock)
    (page,) = letters(store, Channel.PAGER)
    assert isinstance(page, PageHuman)
    assert page.target == ""


def test_what_is_over_at_its_source_leaves_the_queue(world: World) -> None:
    incident = world.page(title="Nothing matches this")
    item = world.store.queue_item(incident.id)
    assert item is not None
    desk = queueing.desk_of(world.config, world.store, world.context.redactor)
    how = StandDown("Responder", "resolved the incident")
    assert queueing.closed_at_source(desk, incident.id, how, now=world.clock.now())
    assert not queueing.closed_at_source(desk, incident.id, how, now=world.clock.now())
    over = world.store.queue_item(item.id)
    assert over is not None
    assert over.resolution is not None
    assert (over.status, over.resolution.by) == (QueueStatus.RESOLVED, "Responder")


def test_what_clears_by_itself_expires(world: World) -> None:
    incident = world.page(title="Nothing matches this")
    desk = queueing.desk_of(world.config, world.store, world.context.redactor)
    how = StandDown("PagerDuty", RESOLVED_BY_ITSELF)
    assert queueing.closed_at_source(desk, incident.id, how, now=world.clock.now())
    over = world.store.queue_item(incident.id)
    assert over is not None
    assert over.status is QueueStatus.EXPIRED


def test_the_runbooks_escalation_section_takes_effect(world: World) -> None:
    section = "\n## Escalation\n- Routing: dba\n- Severity: critical\n- Message: Fail over first\n"
    world.configure(
        escalation={
            "routing": [
                {"name": "dba", "match": {"service": "none"}, "route_to": "team:dba"},
                {"name": "rest", "match": {"any": True}, "route_to": "team:sre"},
            ]
        }
    )
    world.store.queueing = queueing.queueing_of(world.config)
    world.runbook(runbook(steps=step(1, "redis-cli PING", keys='Expected output: "PONG"'), more=section))
    world.answers("redis-cli PING", "no", "no")
    incident = world.page()
    item = world.store.queue_item(incident.id)
    assert item is not None
    assert (item.target, item.rank, item.facts["message"]) == ("team:dba", Rank.CRITICAL, "Fail over first")
    (page,) = world.pager.open_pages
    assert page.severity is Severity.CRITICAL
    assert page.summary.startswith("Fail over first")


def test_settling_an_incidents_escalation_tells_its_thread_and_clears_its_page(world: World) -> None:
    world.configure(pagerduty={"routing_key": {"env": "X"}}, slack={"bot_token": {"env": "X"}})
    incident = world.page(title="Nothing matches this")
    assert len(world.pager.open_pages) == 1
    desk = queueing.desk_of(world.config, world.store, world.context.redactor)
    settling = Settling(Action.FIXED_BY_HAND, "It was the cache", what_was_done="Flushed it")
    done = queueing.resolve(desk, incident.id, by(RESPONDER, Via.SLACK), settling, now=world.clock.now())
    assert isinstance(done, Escalated)
    world.deliver()
    assert world.pager.open_pages == []
    assert any("resp (by Slack) settled" in text for text in world.told(incident.id))
