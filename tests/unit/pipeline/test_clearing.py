"""The source says that it is over: before, while and after a runbook does its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from agent.adapters.inline_run import InlineRun
from agent.adapters.store_schema import outbox
from agent.domain.alert import Alert
from agent.domain.decisions import StandDown
from agent.domain.folding import Folding
from agent.domain.incident import Incident, Status
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline.handle import handle
from agent.pipeline.takeover import handle_event
from tests.unit.pipeline.conftest import World, runbook, step

ALERT = Alert("alertmanager", "f1/1", "RedisDown: no PONG", service="checkout", dedup_key="f1")
FIRES = SourceEvent(
    "alertmanager", "d-1", EventType.TRIGGERED, "alert.triggered", "f1/1", ActorKind.MACHINE, alert=ALERT
)
OVER = replace(FIRES, delivery_id="d-2", type=EventType.RESOLVED, name="alert.resolved")


@pytest.fixture
def world(world: World) -> World:
    key = {"routing_key": {"env": "NOBODY_ASKS_FOR_IT"}}
    world.configure(sources={"alertmanager": {"clear_within": "5m"}}, pagerduty=key)
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB")))
    world.answers("redis-cli FLUSHDB", "OK")
    return world


def fires(world: World, event: SourceEvent = FIRES) -> str:
    incident_id = world.store.accept(event, "{}").incident_id
    world.store.begin_run(incident_id, "main")
    return incident_id


def over(world: World, event: SourceEvent = OVER) -> Callable[[], bool]:
    """The source posts it, and the dispatcher looks at it."""

    def look() -> bool:
        world.store.accept(event, "{}")
        for incident_id, each in world.store.unhandled_events(10):
            handle_event(world.context, incident_id, each)
        return True

    return look


def waits(world: World, *then: Callable[[], bool]) -> list[str]:
    """What happens at each wait of the run, in order; gives what it waited on."""
    left, topics = list(then), []

    def woken(topic: str) -> bool:
        topics.append(topic)
        return left.pop(0)() if left else False

    world.on_wait = woken
    return topics


def worked_on(world: World) -> Incident:
    return world.handle(fires(world))


def test_it_is_resolved_once_the_source_says_so(world: World) -> None:
    topics = waits(world, over(world))
    incident = worked_on(world)
    assert (incident.status, topics) == (Status.RESOLVED, ["decision"])
    told = world.told(incident.id)
    assert "⏳ Waiting up to 5m 0s for alertmanager to say that it is over" in told
    assert "📣 alertmanager says that it is over" in told
    assert "✅ Incident resolved automatically: alertmanager says that it is over" in told


def test_while_it_waits_it_is_verifying_until_the_time_is_over(world: World) -> None:
    seen: list[Status] = []

    def look() -> bool:
        seen.extend(each.status for each in world.store.incidents())
        return over(world)()

    waits(world, look)
    worked_on(world)
    assert seen == [Status.VERIFYING]


def test_one_that_still_fires_calls_a_human(world: World) -> None:
    waits(world)
    before = world.clock.now()
    incident = worked_on(world)
    assert incident.status is Status.ESCALATED
    assert incident.result.startswith("Escalated to a human: still firing at alertmanager")
    assert world.clock.now() - before >= timedelta(minutes=5)
    (page,) = world.pager.woken
    assert "still firing at alertmanager" in page.summary
    assert world.store.queue_item(incident.id).trigger == "not_verified"


def test_a_wake_up_about_something_else_does_not_end_the_wait(world: World) -> None:
    waits(world, lambda: True, lambda: True, over(world))
    assert worked_on(world).status is Status.RESOLVED


def test_what_is_over_while_a_step_runs_lets_it_run_and_is_not_waited_for(world: World) -> None:
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB") + step(2, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    may_go_on: list[bool] = []

    def during() -> None:
        over(world)()
        may_go_on.append(not world.sandbox.should_stop())

    world.when_run("redis-cli FLUSHDB", during)
    topics = waits(world)
    incident = worked_on(world)
    assert (incident.status, topics, may_go_on) == (Status.RESOLVED, [], [True])
    assert world.sandbox.commands() == ["redis-cli FLUSHDB", "redis-cli PING"]


def test_what_is_over_while_it_is_verified_lets_the_look_end(world: World) -> None:
    verify = "## Verify\n\n" + step(1, "redis-cli PING", keys='Expected output: "PONG"')
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB"), more=verify))
    world.answers("redis-cli PING", "PONG")
    world.when_run("redis-cli PING", over(world))
    topics = waits(world)
    assert (worked_on(world).status, topics) == (Status.RESOLVED, [])


def test_what_is_over_before_anything_ran_ends_it_without_a_page(world: World) -> None:
    incident_id = fires(world)
    over(world)()
    incident = world.handle(incident_id)
    assert incident.status is Status.STOOD_DOWN
    assert world.sandbox.commands() == []
    assert world.pager.woken == []
    assert "monitoring at alertmanager" in incident.result


def test_a_step_that_fails_calls_a_human_who_reads_that_it_is_over_meanwhile(world: World) -> None:
    world.times_out("redis-cli FLUSHDB")
    world.when_run("redis-cli FLUSHDB", over(world))
    incident = worked_on(world)
    assert incident.status is Status.ESCALATED
    assert incident.result.endswith("; meanwhile alertmanager says that it is over")


def test_a_human_who_takes_over_while_it_waits_has_it(world: World) -> None:
    def taken() -> bool:
        (incident,) = world.store.incidents()
        return world.store.stand_down(incident.id, StandDown("Responder", "took it over"))

    waits(world, taken)
    incident = worked_on(world)
    assert (incident.status, incident.stood_down_by) == (Status.STOOD_DOWN, "Responder")


def test_what_is_over_after_a_human_was_paged_takes_the_page_back(world: World) -> None:
    waits(world)
    incident = worked_on(world)
    over(world)()
    world.deliver()
    assert world.store.queue_item(incident.id).status.is_over
    assert world.pager.open_pages == []


def test_it_dies_while_it_waits_and_keeps_to_the_time_that_it_promised(world: World) -> None:
    incident_id = fires(world)

    def dies() -> bool:
        raise ConnectionError("killed")

    waits(world, dies)
    with pytest.raises(ConnectionError):
        handle(InlineRun(world.clock, woken=world.on_wait), world.context, incident_id)
    world.clock.sleep(200)
    before = world.clock.now()
    waits(world)
    assert world.handle(incident_id).status is Status.ESCALATED
    assert world.clock.now() - before <= timedelta(minutes=2)
    assert world.sandbox.commands() == ["redis-cli FLUSHDB"]


def test_only_the_desk_of_its_own_source_is_ever_asked_or_written_to(world: World) -> None:
    waits(world, over(world))
    told = " ".join(world.told(worked_on(world).id))
    assert "could not be fetched" not in told
    assert "acknowledging" not in told
    with world.store.database.reading() as connection:
        channels = set(connection.execute(sa.select(outbox.c.channel)).scalars())
    assert channels == {"chat"}


def test_what_the_alert_says_is_told_where_nobody_can_be_asked_for_more(world: World) -> None:
    alert = replace(ALERT, body="No PONG\nAlertmanager left 3 more alerts of this group out (max_alerts)")
    waits(world, over(world))
    incident_id = fires(world, replace(FIRES, alert=alert))
    world.handle(incident_id)
    (learned,) = [text for text in world.told(incident_id) if text.startswith("ℹ️ alertmanager says")]
    assert "service checkout" in learned
    assert "left 3 more alerts" in learned


def test_what_fired_anew_meanwhile_is_worked_on_although_the_first_is_over(world: World) -> None:
    world.store.folding = Folding()
    anew = replace(FIRES, delivery_id="d-3", source_id="f1/2", alert=replace(ALERT, source_id="f1/2"))
    folded: list[str] = []

    def again() -> bool:
        over(world)()
        folded.append(world.store.accept(anew, "{}").incident_id)
        return True

    waits(world, again)
    assert worked_on(world).status is Status.RESOLVED
    assert world.store.incident(folded[0]).status is Status.RECEIVED


def test_what_fired_anew_and_is_over_too_is_not_worked_on(world: World) -> None:
    world.store.folding = Folding()
    anew = replace(FIRES, delivery_id="d-3", source_id="f1/2", alert=replace(ALERT, source_id="f1/2"))
    ended = replace(OVER, delivery_id="d-4", source_id="f1/2")
    folded: list[str] = []

    def again() -> bool:
        folded.append(world.store.accept(anew, "{}").incident_id)
        over(world, ended)()
        return over(world)()

    waits(world, again)
    assert worked_on(world).status is Status.RESOLVED
    other = world.store.incident(folded[0])
    assert (other.status, other.result) == (Status.IGNORED, "Over by itself at alertmanager")
