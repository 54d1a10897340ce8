"""What must hold whatever breaks in between: nothing twice, nothing lost, and a story that is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import pytest

from agent.adapters.fake_advisor import FakeAdvisor
from agent.adapters.inline_run import InlineRun
from agent.domain.advice import Advice, NoAdvice, NoAdviceReason
from agent.domain.decisions import StandDown
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Incident, Status
from agent.domain.records import CHOICE, Decision
from agent.library.bindings import why_not_allowed
from agent.pipeline import closing
from agent.pipeline.handle import handle
from agent.ports import CommandResult
from tests.unit.pipeline.conftest import ALERT, Pods, PreparedActions, World, runbook, step

PING, FLUSH = "redis-cli PING", "redis-cli FLUSHDB"
PINGS = step(1, PING, keys='Expected output: "PONG"\nAttempts: 1')
DOWN = ServiceError("PagerDuty", Reason.AUTH, "the token is not accepted", retryable=False)
T = TypeVar("T")


class PowerCutError(Exception):
    """The process is gone; nothing of it is told."""


class CutRun(InlineRun):
    """The process ends after a step was done and before it was remembered."""

    cut_at = ""

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        result: T = super().step(name, do, returns)
        if name == self.cut_at:
            raise PowerCutError
        return result


def cut_after(world: World, incident_id: str, name: str) -> None:
    run = CutRun(world.clock, woken=world.on_wait)
    run.cut_at = name
    with pytest.raises(PowerCutError):
        handle(run, world.context, incident_id)


def come_back(world: World) -> Incident:
    """The last page comes back as a webhook of its own, while the source tells nothing about it."""
    world.desk.fail_with(DOWN)
    return world.handle(world.receive(replace(ALERT, source_id="P2", title=world.pager.woken[-1].summary)))


@pytest.fixture
def torn(world: World) -> World:
    for name in ("one", "two"):
        world.runbook(runbook(steps=PINGS), name)
    world.answers(PING, "PONG")
    return world


def test_the_page_that_asks_for_a_choice_starts_nothing_when_it_comes_back(torn: World) -> None:
    incident_id = torn.receive()
    ends: list[Status] = []

    def come_back_meanwhile(_: str) -> bool:
        torn.on_wait = lambda _: False
        torn.deliver()
        ends.append(come_back(torn).status)
        return False

    torn.on_wait = come_back_meanwhile
    torn.handle(incident_id)
    assert ends == [Status.IGNORED]
    assert len(torn.pager.woken) == 1


def test_the_page_after_a_choice_starts_nothing_when_it_comes_back(torn: World) -> None:
    incident_id = torn.receive()
    torn.runbook(runbook(steps=step(1, FLUSH, keys='Expected output: "OK"\nAttempts: 1')), "two")
    torn.answers(FLUSH, "ERR")
    torn.on_wait = lambda _: torn.store.decide(
        incident_id, Decision(CHOICE, True, "Responder", torn.clock.now(), "two")
    )
    torn.handle(incident_id)
    assert len(torn.pager.woken) == 2
    torn.on_wait = lambda _: False
    assert come_back(torn).status is Status.IGNORED


def test_the_page_that_it_could_not_be_resolved_starts_nothing_when_it_comes_back(world: World) -> None:
    world.runbook(runbook(steps=PINGS))
    world.answers(PING, "PONG", "PONG")
    incident = world.page()
    closing.page_unresolved(world.context, incident.id, "the token is not accepted")
    world.deliver()
    assert come_back(world).status is Status.IGNORED
    assert world.sandbox.commands() == [PING]


def test_another_title_that_only_begins_like_a_page_is_worked_on(world: World) -> None:
    world.runbook(runbook(steps=PINGS))
    world.answers(PING, "PONG", "PONG")
    incident = world.page()
    closing.page_unresolved(world.context, incident.id, "the token is not accepted")
    world.deliver()
    summary = world.pager.woken[-1].summary
    for number, title in enumerate((summary[:-1], summary.upper(), "%", "_")):
        assert not world.store.is_own_summary(title), number


def test_an_advisor_that_says_something_else_after_a_crash_leaves_no_hole_in_the_story(torn: World) -> None:
    torn.configure(llm={"max_raise": 0.4, "min_confidence": 0.5}, matching={"min_confidence": 0.6})
    torn.advisor = FakeAdvisor(
        NoAdvice(NoAdviceReason.TIMEOUT, "too slow"),
        Advice("c2", 0.99, "it says so"),
        why_not_allowed=why_not_allowed,
    )
    incident_id = torn.receive()
    cut_after(torn, incident_id, "match")
    incident = torn.handle(incident_id)
    assert "matched" in torn.kinds(incident_id)
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "two")


@pytest.mark.parametrize(
    ("limits", "keys", "asked"),
    [
        ("- requires_human_approval: true", "", "approval-asked"),
        ("- max_cache_operations: 1", "Approval: required", "approval-steps-1-asked"),
    ],
)
def test_the_time_for_an_answer_that_was_told_stays_over_a_restart(
    world: World, limits: str, keys: str, asked: str
) -> None:
    world.runbook(runbook(steps=step(1, PING, keys=keys), limits=limits))
    _keeps_its_time(world, asked)


def test_the_time_for_a_choice_that_was_told_stays_over_a_restart(torn: World) -> None:
    _keeps_its_time(torn, "choice-asked")


def _keeps_its_time(world: World, asked: str) -> None:
    incident_id = world.receive()
    cut_after(world, incident_id, asked)
    told = next(event.data for event in world.store.timeline(incident_id) if "expires_at" in event.data)
    world.clock.sleep(300)
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert incident.ended_at == datetime.fromisoformat(str(told["expires_at"]))
    assert world.sandbox.commands() == []


def test_whoever_takes_over_is_told_what_an_interrupted_action_left_open(world: World) -> None:
    open_end = "outcome unknown: the command c-1 may still be running"
    world.counter = Pods()
    world.counter.pods["production/deployment/api"] = 3
    world.actions = PreparedActions(CommandResult(None, interrupted=True, problem=open_end))
    lines = "action: kubernetes.rollout_restart\nnamespace: production\ndeployment: api"
    action = f"### Step 1: Restart\n```action\n{lines}\n```\n"
    world.runbook(runbook(steps=action, limits="- max_rollouts: 2\n- max_pod_restarts: 6"))
    incident_id = world.receive()
    answer = world.actions.run

    def take_over(*args: object, **named: object) -> CommandResult:
        world.store.stand_down(incident_id, StandDown("Responder", "took over"))
        return answer(*args, **named)  # type: ignore[arg-type]

    world.actions.run = take_over  # type: ignore[method-assign]
    assert world.handle(incident_id).status is Status.STOOD_DOWN
    assert any("Responder took over" in text and open_end in text for text in world.told(incident_id))
