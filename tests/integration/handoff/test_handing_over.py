"""What one agent cannot mend is another one's until a time; a human is called by then in any case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.adapters.store_queue import StoredQueue
from agent.domain.alert import Severity
from agent.domain.decisions import StandDown
from agent.domain.handoffs import HANDOFF
from agent.domain.incident import Status
from agent.domain.queue import Escalated, QueueStatus
from agent.domain.records import Decision
from agent.domain.stops import Stop, StopScope
from tests.integration.handoff.conftest import Member, Pair, answers, asks, wire
from tests.unit.pipeline.conftest import ALERT, runbook, step
from tests.unit.pipeline.mortal import MortalRun, carried_on

PING = "redis-cli PING"
MENDS = runbook(steps=step(1, PING, keys='Expected output: "PONG"\nAttempts: 1'))
HOLDS = f'### Step 1: It answers\n```bash\n{PING}\n```\nExpected output: "PONG"\nRetry delay: 0s\n'
FAILS = runbook(
    steps=step(1, "redis-cli INFO", keys='Expected output: "never"\nAttempts: 1\nFailure action: escalate'),
    more=f"## Verify\n{HOLDS}",
)


def mends(member: Member) -> None:
    member.world.runbook(MENDS)
    member.world.answers(PING, "PONG")


def queued(member: Member, incident_id: str) -> Escalated | None:
    store: StoredQueue = member.world.store
    return store.queue_item(incident_id)


def test_what_the_other_agent_mends_wakes_nobody_and_is_closed_at_its_source(pair: Pair) -> None:
    mends(pair.platform)
    incident = pair.page()
    assert incident.status is Status.RESOLVED
    assert incident.result == "Resolved by platform, by its own word: Resolved automatically"
    assert pair.tier1.world.desk.incident("P1").facts.status == "resolved"
    assert not pair.tier1.world.pager.woken + pair.platform.world.pager.woken
    assert queued(pair.tier1, incident.id) is None
    assert pair.platform.world.sandbox.commands() == [PING]


def test_the_other_agent_has_an_incident_of_its_own_with_the_whole_story(pair: Pair) -> None:
    mends(pair.platform)
    pair.tier1.world.runbook(FAILS)
    pair.tier1.world.answers("redis-cli INFO", "loading the dataset")
    pair.tier1.world.answers(PING, "PONG")
    incident = pair.page(labels={"pod": "redis-0"})
    (there,) = pair.platform.incidents()
    assert (there.alert.source, there.alert.title) == ("handoff", ALERT.title)
    assert dict(there.alert.labels) == {"pod": "redis-0", "handoff_from": "tier-1"}
    handed = next(text for text in pair.platform.world.told(there.id) if "hands this over" in text)
    assert "Step 1" in handed
    (package,) = pair.tier1.wires["platform"].posted
    assert package["attempts"][0]["output"] == "loading the dataset\n"  # type: ignore[index]
    assert package["chain"] == ["tier-1"]
    assert any("platform says: it is resolved" in text for text in pair.tier1.world.told(incident.id))


def test_what_it_cannot_mend_pages_our_human_and_none_of_theirs(pair: Pair) -> None:
    incident = pair.page()
    assert incident.status is Status.ESCALATED
    (page,) = pair.tier1.world.pager.open_pages
    assert "platform says: a human is needed: Escalated to a human: No matching runbook found" in page.summary
    assert not pair.platform.world.pager.woken
    item = queued(pair.tier1, incident.id)
    assert item is not None
    assert item.target == "team:on-call"


def test_what_goes_back_waits_in_no_queue_there(pair: Pair) -> None:
    pair.page()
    (there,) = pair.platform.incidents()
    item = queued(pair.platform, there.id)
    assert item is not None
    assert item.status is QueueStatus.EXPIRED


def test_no_answer_calls_the_human_at_the_deadline(pair: Pair) -> None:
    pair.tier1.world.on_wait = lambda _: False
    began = pair.tier1.clock.now()
    incident = pair.page()
    assert incident.status is Status.ESCALATED
    assert "platform did not answer in time" in incident.result
    assert incident.ended_at is not None
    assert timedelta(minutes=15) <= incident.ended_at - began < timedelta(minutes=16)
    assert len(pair.tier1.world.pager.woken) == 1


def test_an_agent_that_is_not_there_is_asked_until_the_deadline_and_no_longer(pair: Pair) -> None:
    pair.tier1.wires["platform"].is_cut = True

    def wait(_: str) -> bool:
        for _look in range(60):
            pair.tier1.send()
            pair.tier1.clock.sleep(20)
        return False

    pair.tier1.world.on_wait = wait
    incident = pair.page()
    assert "platform does not take it: agent: connection refused" in incident.result
    assert len(pair.tier1.world.pager.woken) == 1
    pair.tier1.wires["platform"].is_cut = False
    pair.tier1.send()
    assert not pair.platform.incidents()


@pytest.mark.parametrize("mended", [True, False])
def test_what_is_critical_pages_at_once_and_only_once(pair: Pair, mended: bool) -> None:
    if mended:
        mends(pair.platform)

    def look(_: str) -> bool:
        pair.tier1.world.deliver()
        assert len(pair.tier1.world.pager.woken) == 1
        return pair.answer()

    pair.tier1.world.on_wait = look
    incident = pair.page(severity=Severity.CRITICAL)
    assert incident.status is (Status.RESOLVED if mended else Status.ESCALATED)
    assert len(pair.tier1.world.pager.woken) == 1
    assert len(pair.tier1.world.pager.open_pages) == (0 if mended else 1)


@pytest.mark.parametrize("holds", [True, False])
def test_its_word_is_checked_with_our_own_verification(pair: Pair, holds: bool) -> None:
    mends(pair.platform)
    world = pair.tier1.world
    world.runbook(FAILS)
    world.answers("redis-cli INFO", "loading")
    world.answers(PING, *(["PONG"] if holds else ["LOADING", "LOADING"]))
    incident = pair.page()
    assert world.sandbox.commands()[1:] == [PING] * (1 if holds else 2)
    if holds:
        assert incident.result.startswith("Resolved by platform, and our own verification holds")
    else:
        assert incident.status is Status.ESCALATED
        assert "platform says: it is resolved; not verified" in incident.result
        assert world.desk.incident("P1").facts.status != "resolved"


def test_what_is_back_after_it_was_mended_is_for_a_human(pair: Pair) -> None:
    mends(pair.platform)
    assert pair.page().status is Status.RESOLVED
    pair.tier1.clock.sleep(60)
    again = pair.page(source_id="P2")
    assert again.status is Status.ESCALATED
    assert len(pair.tier1.world.pager.woken) == 1
    assert len(pair.platform.incidents()) == 1


def test_our_runbook_earns_nothing_by_what_another_agent_mended(pair: Pair) -> None:
    mends(pair.platform)
    world = pair.tier1.world
    world.runbook(FAILS)
    world.answers("redis-cli INFO", "loading")
    world.answers(PING, "PONG")
    incident = pair.page()
    assert incident.status is Status.RESOLVED
    store = world.store
    ends = store.run_ends(incident.runbook_id, incident.runbook_revision, limit=5)
    assert list(ends) == [Status.ESCALATED]
    assert not store.lately_resolved(5)
    standing = store.autonomy_of(incident.runbook_id)
    assert standing is None or not standing.in_a_row


def test_a_human_who_takes_it_meanwhile_has_it(pair: Pair) -> None:
    store = pair.tier1.world.store

    def take(_: str) -> bool:
        (incident,) = store.unfinished()
        return store.stand_down(incident.id, StandDown("Responder", "took it"))

    pair.tier1.world.on_wait = take
    assert pair.page().status is Status.STOOD_DOWN
    assert not pair.tier1.world.pager.woken


def test_what_a_human_took_before_the_other_agent_had_it_is_not_handed_over_any_more(pair: Pair) -> None:
    mends(pair.platform)
    store = pair.tier1.world.store
    pair.tier1.wires["platform"].is_cut = True

    def take(_: str) -> bool:
        pair.tier1.send()
        (incident,) = store.unfinished()
        return store.stand_down(incident.id, StandDown("Responder", "took it"))

    pair.tier1.world.on_wait = take
    incident = pair.page()
    assert incident.status is Status.STOOD_DOWN
    pair.tier1.wires["platform"].is_cut = False
    pair.tier1.clock.sleep(60)
    pair.tier1.send()
    pair.platform.work()
    assert not pair.platform.incidents()
    assert not pair.platform.world.sandbox.commands()
    assert "No other agent is asked any more" in pair.tier1.world.told(incident.id)[-1]


def test_what_a_human_has_refused_is_not_put_before_a_machine(pair: Pair) -> None:
    pair.tier1.world.runbook(runbook(limits="- requires_human_approval: true", steps=step(1, PING)))

    def reject(_: str) -> bool:
        (incident,) = pair.tier1.world.store.unfinished()
        plan = pair.tier1.world.store.plan(incident.id)
        assert plan is not None
        no = Decision(plan.plan_hash, False, "Responder", pair.tier1.clock.now())
        return pair.tier1.world.store.decide(incident.id, no)

    pair.tier1.world.on_wait = reject
    assert pair.page().status is Status.ESCALATED
    assert len(pair.tier1.world.pager.woken) == 1
    pair.tier1.send()
    assert not pair.platform.incidents()


def test_a_runbooks_own_routing_names_an_agent(pair: Pair) -> None:
    handoff = {"targets": {"platform": {"url": "https://p.example.com", "secret": pair.tier1.secret}}}
    pair.tier1.configure(handoff)
    pair.tier1.world.runbook(
        runbook(
            steps=step(1, PING, keys='Expected output: "never"\nAttempts: 1\nFailure action: escalate'),
            more="## Escalation\nRouting: handoff:platform\n",
        )
    )
    pair.tier1.world.answers(PING, "LOADING")
    mends(pair.platform)
    assert pair.page().status is Status.RESOLVED


def test_it_goes_round_in_no_circle_and_no_further_than_allowed(member: Callable[[str], Member]) -> None:
    one, two = member("tier-1"), member("platform")
    for each, other in ((one, two), (two, one)):
        asks(each, other)
        accept = {"accept_from": {other.name: {"url": "https://x.example.com", "secret": each.secret}}}
        each.configure(
            {**each.site.settings["handoff"], **accept}, escalation=each.site.settings["escalation"]
        )
    wire(one, two)
    two.wires["tier-1"].prefix = ""
    pair = Pair(one, two)
    one.world.on_wait = pair.answer
    incident = one.world.page()
    assert incident.status is Status.ESCALATED
    assert len(one.world.pager.woken) == 1
    (there,) = two.incidents()
    assert "tier-1 is not asked: tier-1 had it before" in "\n".join(two.world.told(there.id))


def test_three_agents_in_a_row_answer_back_the_whole_way(member: Callable[[str], Member]) -> None:
    edge, tier1, platform = member("edge"), member("tier-1"), member("platform")
    asks(edge, tier1, deadline="5m")
    answers(platform, tier1)
    asks(tier1, platform)
    accept = {"accept_from": {"edge": {"url": "https://edge.example.com", "secret": tier1.secret}}}
    settings = tier1.site.settings
    tier1.configure({**settings["handoff"], **accept}, escalation=settings["escalation"])
    wire(edge, tier1)
    wire(tier1, platform)
    mends(platform)
    tier1.world.on_wait = Pair(tier1, platform).answer
    edge.world.on_wait = Pair(edge, tier1).answer
    assert edge.world.page().status is Status.RESOLVED
    (package,) = tier1.wires["platform"].posted
    assert package["chain"] == ["edge", "tier-1"]
    first = edge.wires["tier-1"].posted[0]
    assert package["deadline"] == first["deadline"]


#: From the step before it is handed over to the last one.
_STEPS = {True: range(5, 14), False: range(6, 10)}


@pytest.mark.parametrize("mended", [True, False])
def test_killed_after_any_step_it_is_handed_over_once_and_nobody_is_forgotten(
    member: Callable[[str], Member], mended: bool
) -> None:
    for number in _STEPS[mended]:
        one, two = member(f"tier-{number}"), member(f"platform-{number}")
        asks(one, two)
        answers(two, one)
        wire(one, two)
        if mended:
            mends(two)
        pair = Pair(one, two)
        MortalRun.dies_after = number
        incident_id = one.world.receive(replace(ALERT, source_id="P1"))
        words: list[Any] = [lambda *_: pair.answer()]  # noqa: B023  (said within this turn)
        carried_on(one.world, incident_id, words)
        one.world.deliver()
        incident = one.world.store.incident(incident_id)
        assert incident.status is (Status.RESOLVED if mended else Status.ESCALATED), number
        assert len(two.incidents()) == 1
        assert len(one.world.pager.woken) == (0 if mended else 1)
        assert two.world.sandbox.commands() == ([PING] if mended else [])


def test_a_stop_there_calls_the_human_here_at_once(pair: Pair) -> None:
    stop = Stop("stop-1", StopScope.ALL, "", "maintenance", "Operator", pair.platform.clock.now())
    pair.platform.world.store.put_stop_aside(stop)
    began = pair.tier1.clock.now()

    pair.platform.site.clerk.tick()
    incident = pair.page()
    assert "platform does not take it" in incident.result
    assert pair.tier1.clock.now() - began < timedelta(minutes=1)
    assert len(pair.tier1.world.pager.woken) == 1


def test_an_answer_after_its_time_changes_nothing_and_is_told(pair: Pair) -> None:
    mends(pair.platform)

    def miss_it(_: str) -> bool:
        pair.tier1.send()
        return False

    pair.tier1.world.on_wait = miss_it
    incident = pair.page()
    assert incident.status is Status.ESCALATED
    pair.platform.work()
    assert pair.tier1.world.store.incident(incident.id).status is Status.ESCALATED
    assert pair.tier1.world.store.decision(incident.id, HANDOFF) is None
    assert "platform answers after its time: escalate" in pair.tier1.world.told(incident.id)[-1]
