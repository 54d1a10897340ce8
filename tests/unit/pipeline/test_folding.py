"""The same alert once more, while it is worked on, is counted and not worked on again; and never lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.adapters.inline_run import InlineRun
from agent.domain.alert import Alert
from agent.domain.folding import Folding, is_worth_telling
from agent.domain.incident import Incident, Status
from agent.domain.outbox import Channel, DeskResolve
from agent.domain.runs import Places
from agent.domain.source_event import Acceptance, Accepted, ActorKind, EventType, SourceEvent
from agent.pipeline.handle import handle
from agent.pipeline.takeover import handle_event
from agent.ports import SourceFacts
from tests.unit.pipeline.conftest import ALERT, World, runbook, step

FLUSH = "redis-cli FLUSHDB"

PLACES = Places(32)


@pytest.fixture
def world(world: World) -> World:
    world.runbook(runbook(steps=step(1, FLUSH, keys='Expected output: "OK"')))
    world.answers(FLUSH, "OK")
    world.store.folding = Folding()
    return world


def trigger(world: World, source_id: str, *, facts: SourceFacts | None = None, **of: Any) -> Accepted:
    """A page comes in; whether it is worked on is not our business yet."""
    world.clock.sleep(0.001)
    world.desk.add(source_id, facts or SourceFacts(status="triggered"))
    alert = replace(ALERT, source_id=source_id, **of)
    event = SourceEvent(
        "pagerduty", f"d-{source_id}", EventType.TRIGGERED, "incident.triggered", source_id, alert=alert
    )
    return world.store.accept(event, "{}")


def storm(world: World, count: int) -> list[str]:
    """The first is new, the others are the same; gives their ids."""
    return [trigger(world, f"P{number}").incident_id for number in range(1, count + 1)]


def end(world: World, incident_id: str) -> Incident:
    world.store.claim(PLACES, "main")
    return world.handle(incident_id)


def told(world: World, incident_id: str) -> list[str]:
    return [text for text in world.told(incident_id) if text.startswith("🔁")]


def event_of(source_id: str, kind: EventType, actor: ActorKind) -> SourceEvent:
    name = {EventType.ACKNOWLEDGED: "incident.acknowledged", EventType.RESOLVED: "incident.resolved"}[kind]
    who = ("U1", "Responder") if actor is ActorKind.HUMAN else ("", "")
    return SourceEvent("pagerduty", f"d-{name}-{source_id}", kind, name, source_id, actor, *who)


def take(world: World, event: SourceEvent) -> None:
    world.store.accept(event, "{}")
    for incident_id, stored in world.store.unhandled_events(10):
        handle_event(world.context, incident_id, stored)


def test_the_same_alert_while_it_is_open_is_counted_and_starts_nothing(world: World) -> None:
    first, *others = storm(world, 7)
    assert world.store.incident(first).alert_count == 7
    assert {world.store.incident(each).status for each in others} == {Status.IGNORED}
    assert {world.store.incident(each).folded_into for each in others} == {first}
    assert [leg.incident_id for leg in world.store.claim(PLACES, "main")] == [first]
    assert end(world, first).status is Status.RESOLVED
    assert world.sandbox.commands() == [FLUSH]


def test_a_webhook_that_was_folded_says_so(world: World) -> None:
    assert trigger(world, "P1").acceptance is Acceptance.NEW_INCIDENT
    assert trigger(world, "P2").acceptance is Acceptance.FOLDED
    assert trigger(world, "P2").acceptance is Acceptance.DUPLICATE


def test_another_delivery_about_the_same_incident_of_the_source_counts_nothing(world: World) -> None:
    first, second = storm(world, 2)
    for source_id, incident_id in (("P1", first), ("P2", second)):
        again = SourceEvent(
            "pagerduty", f"again-{source_id}", EventType.TRIGGERED, "incident.triggered", source_id,
            alert=replace(ALERT, source_id=source_id),
        )  # fmt: skip
        assert world.store.accept(again, "{}") == Accepted(Acceptance.KNOWN_INCIDENT, incident_id)
    assert world.store.incident(first).alert_count == 2


@pytest.mark.parametrize(
    "other",
    [
        {"service": "billing"},
        {"title": "Redis connection timeout on shard 2"},
        {"dedup_key": "another"},
        {"source": "alertmanager"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_service_title_key_or_source_is_another_alert(world: World, other: dict[str, str]) -> None:
    trigger(world, "P1", title="Redis connection timeout on shard 1")
    title = {"title": "Redis connection timeout on shard 1"} | other
    assert trigger(world, "P2", **title).acceptance is Acceptance.NEW_INCIDENT


@pytest.mark.parametrize("nothing", [{"service": ""}, {"title": " "}])
def test_what_does_not_say_what_it_is_about_is_never_the_same(world: World, nothing: dict[str, str]) -> None:
    trigger(world, "P1", **nothing)
    assert trigger(world, "P2", **nothing).acceptance is Acceptance.NEW_INCIDENT


def test_only_a_percentage_may_differ() -> None:
    def key(title: str) -> str:
        return Alert("pagerduty", "P", title, service="shop").fold_key

    assert key("Disk 91% full") == key("disk  95.5% full")
    assert key("Disk 1 full") != key("Disk 2 full")


def test_the_key_of_the_source_decides_whatever_the_title_says(world: World) -> None:
    trigger(world, "P1", dedup_key="redis/1", title="Redis is slow")
    assert trigger(world, "P2", dedup_key="redis/1", title="Redis is down").acceptance is Acceptance.FOLDED


def test_when_the_first_is_resolved_the_others_are_closed_at_the_source_with_it(world: World) -> None:
    first, *others = storm(world, 4)
    end(world, first)
    for source_id in ("P1", "P2", "P3", "P4"):
        assert world.desk.incident(source_id).facts.status == "resolved"
    assert world.store.incident(others[0]).result == f"Resolved with {first}, the same alert"
    assert world.desk.incident("P2").resolution == f"Resolved with {first}, the same alert"


def test_a_human_who_takes_it_withdraws_every_resolve_that_has_not_arrived(world: World) -> None:
    first, *_ = storm(world, 3)
    world.store.claim(PLACES, "main")
    handle(InlineRun(world.clock), world.context, first)
    take(world, event_of("P2", EventType.ACKNOWLEDGED, ActorKind.HUMAN))
    world.deliver()
    assert {world.desk.incident(each).facts.status for each in ("P2", "P3")} == {"triggered"}


def test_what_says_that_it_is_about_something_else_stays_open_and_pages(world: World) -> None:
    pods = [SourceFacts(status="triggered", labels={"pod": f"api-{name}", "load": "93"}) for name in "ab"]
    first = trigger(world, "P1", facts=pods[0]).incident_id
    trigger(world, "P2", facts=pods[1])
    trigger(world, "P3", facts=replace(pods[0], labels={"pod": "api-a", "load": "97"}))
    end(world, first)
    assert world.desk.incident("P2").facts.status == "triggered"
    assert world.desk.incident("P3").facts.status == "resolved"
    (page,) = world.pager.woken
    assert "P2 looked like the same alert and is not: pod api-b, not api-a; it is open" in page.summary


def test_the_page_names_the_count_and_what_it_is_at_the_source(world: World) -> None:
    world.answers(FLUSH, "no")
    first, *others = storm(world, 3)
    assert end(world, first).status is Status.ESCALATED
    (page,) = world.pager.woken
    assert "(×3)" in page.summary
    assert page.details["same_alert_count"] == 3
    assert page.details["same_alert_source_ids"] == ["P2", "P3"]
    assert world.store.incident(others[0]).result == f"Given to a human with {first}, the same alert"


def test_right_after_a_page_the_same_alert_wakes_nobody_again(world: World) -> None:
    world.answers(FLUSH, "no")
    first = trigger(world, "P1").incident_id
    end(world, first)
    world.clock.sleep(299)
    late = trigger(world, "P2")
    assert late.acceptance is Acceptance.FOLDED
    assert world.store.incident(first).alert_count == 2
    assert "which a human was paged for" in world.store.incident(late.incident_id).result
    world.clock.sleep(2)
    assert trigger(world, "P3").acceptance is Acceptance.NEW_INCIDENT


def test_after_a_page_that_a_human_has_closed_it_is_worked_on_again(world: World) -> None:
    world.answers(FLUSH, "no")
    first = trigger(world, "P1").incident_id
    end(world, first)
    take(world, event_of("P1", EventType.RESOLVED, ActorKind.HUMAN))
    assert trigger(world, "P2").acceptance is Acceptance.NEW_INCIDENT


def test_after_the_first_was_resolved_it_is_a_recurrence(world: World) -> None:
    first = trigger(world, "P1").incident_id
    end(world, first)
    second = trigger(world, "P2")
    assert second.acceptance is Acceptance.NEW_INCIDENT
    assert end(world, second.incident_id).status is Status.ESCALATED
    assert any("symptom, not cause" in text for text in world.told(second.incident_id))


def test_what_was_folded_does_not_count_as_flapping(world: World) -> None:
    first, *_ = storm(world, 5)
    end(world, first)
    world.clock.sleep(1_500)
    assert end(world, trigger(world, "P9").incident_id).status is Status.RESOLVED


def test_a_human_who_has_one_of_them_has_the_alert(world: World) -> None:
    first, second = storm(world, 2)
    world.store.claim(PLACES, "main")
    take(world, event_of("P2", EventType.ACKNOWLEDGED, ActorKind.HUMAN))
    ended = world.handle(first)
    assert ended.status is Status.STOOD_DOWN
    assert "acknowledged P2, the same alert" in ended.result
    assert world.sandbox.commands() == []
    assert world.store.incident(second).status is Status.IGNORED


def test_monitoring_that_closes_one_of_them_ends_only_that_one(world: World) -> None:
    first, _ = storm(world, 2)
    world.store.claim(PLACES, "main")
    take(world, event_of("P2", EventType.RESOLVED, ActorKind.MACHINE))
    assert world.handle(first).status is Status.RESOLVED


def test_when_the_first_is_over_by_itself_the_next_one_is_worked_on_and_the_others_go_with_it(
    world: World,
) -> None:
    first, second, third = storm(world, 3)
    world.store.claim(PLACES, "main")
    take(world, event_of("P1", EventType.RESOLVED, ActorKind.MACHINE))
    assert world.handle(first).status is Status.STOOD_DOWN
    released = world.store.incident(second)
    assert (released.status, released.folded_into, released.alert_count) == (Status.RECEIVED, "", 2)
    assert world.store.incident(third).folded_into == second
    assert trigger(world, "P4").acceptance is Acceptance.FOLDED
    assert end(world, second).status is Status.RESOLVED
    for source_id in ("P2", "P3", "P4"):
        assert world.desk.incident(source_id).facts.status == "resolved"


def test_a_storm_is_told_in_few_lines(world: World) -> None:
    first, *_ = storm(world, 120)
    lines = told(world, first)
    assert [line.split("×")[1].split(")")[0] for line in lines] == ["2", "3", "5", "10", "20", "50", "100"]
    assert lines[0] == "🔁 Same alert again (×2), last at 04:17:23"
    assert sum(is_worth_telling(count) for count in range(2, 1_001)) == 10


def test_the_storm_is_in_one_thread_and_its_summary_names_the_count(world: World) -> None:
    first, *_ = storm(world, 7)
    end(world, first)
    assert len(world.chat.threads) == 1
    assert any("(×7)" in text for text in world.told(first))


def test_where_there_is_no_chat_no_letter_waits_for_one(world: World) -> None:
    world.store.folding = Folding(is_told=False)
    storm(world, 5)
    assert world.store.next_letters(Channel.CHAT, 10) == []


def test_folding_can_be_switched_off(world: World) -> None:
    world.store.folding = Folding(same_alert=False)
    trigger(world, "P1")
    assert trigger(world, "P2").acceptance is Acceptance.NEW_INCIDENT


def test_a_full_backlog_still_takes_what_adds_no_work(world: World) -> None:
    trigger(world, "P1")
    alert = replace(ALERT, source_id="P2")
    event = SourceEvent("pagerduty", "d-P2", EventType.TRIGGERED, "incident.triggered", "P2", alert=alert)
    (accepted,) = world.store.accept_all([(event, "{}")], backlog=1)
    assert accepted.acceptance is Acceptance.FOLDED


def test_a_storm_in_one_batch_is_one_incident(world: World) -> None:
    events = [
        SourceEvent(
            "pagerduty", f"d-{n}", EventType.TRIGGERED, "incident.triggered", f"P{n}",
            alert=replace(ALERT, source_id=f"P{n}"),
        )
        for n in range(60)
    ]  # fmt: skip
    accepted = world.store.accept_all([(each, "{}") for each in events])
    assert [each.acceptance for each in accepted] == [Acceptance.NEW_INCIDENT, *[Acceptance.FOLDED] * 59]
    assert world.store.incident(accepted[0].incident_id).alert_count == 60


def test_every_resolve_of_a_folded_one_says_what_it_must_not_contradict(world: World) -> None:
    facts = SourceFacts(status="triggered", labels={"pod": "api-a"})
    first = trigger(world, "P1", facts=facts).incident_id
    trigger(world, "P2", facts=facts)
    world.store.claim(PLACES, "main")
    handle(InlineRun(world.clock), world.context, first)
    letters = [letter.message for letter in world.store.next_letters(Channel.DESK, 20)]
    resolves = [each for each in letters if isinstance(each, DeskResolve)]
    assert [(each.source_id, each.same_as) for each in resolves] == [("P1", None), ("P2", {"pod": "api-a"})]
