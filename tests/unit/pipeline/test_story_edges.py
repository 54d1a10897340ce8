"""The less trodden ways: no source to ask, long outputs, conditions on skipped steps, forms not supported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from agent.adapters.fake_desk import FakeDesk
from agent.adapters.inline_run import InlineRun
from agent.adapters.store import Store
from agent.domain.command import PricedCommand, Script
from agent.domain.decisions import EscalationTrigger, StandDown, Stopped
from agent.domain.incident import Status
from agent.domain.outbox import Channel
from agent.domain.records import Changes
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.pipeline import closing
from agent.pipeline.handle import handle
from agent.pipeline.takeover import Irrelevant, handle_event, read_event
from agent.pipeline.telling import preformatted
from agent.ports import CommandResult, SourceFacts
from tests.unit.pipeline.conftest import HookedSandbox, World, runbook, step

T = TypeVar("T")

CHECK, INFO = "redis-cli PING", "redis-cli INFO"
RESOLVED = SourceEvent(
    "pagerduty", "d-9", EventType.RESOLVED, "incident.resolved", "P1", ActorKind.HUMAN, "U1", "Responder"
)


def test_without_a_source_to_ask_the_webhook_is_all_there_is(world: World) -> None:
    world.has_desk = False
    world.runbook(runbook(steps=step(1, CHECK)))
    world.answers(CHECK, "PONG")
    incident = world.page()
    assert incident.status is Status.RESOLVED
    assert "learned" not in world.kinds(incident.id)


def test_a_step_that_fell_silent_says_so_and_not_that_its_time_was_over(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys="Timeout: 50s\nAttempts: 1")))
    silent = CommandResult(None, timed_out=True, problem="it printed nothing for 5 s")
    world.sandbox.prepare(tuple(CHECK.split()), silent)
    incident = world.page()
    assert "it printed nothing for 5 s" in incident.result
    assert "no end within" not in incident.result


def test_a_long_output_keeps_its_head_and_its_tail(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: contains "the end"')))
    world.answers(CHECK, "the head" + "x" * 20_000 + "the end")
    incident = world.page()
    (attempt,) = world.store.attempts(incident.id)
    assert incident.status is Status.RESOLVED
    assert len(attempt.output) < 8_100
    assert attempt.output.startswith("the head")
    assert "characters left out" in attempt.output
    assert attempt.output.endswith("the end\n")


def test_an_output_of_many_lines_is_shown_without_its_middle() -> None:
    shown = preformatted("\n".join(f"line {number}" for number in range(1, 31))).splitlines()
    assert shown[1:8] == [*[f"    line {number}" for number in range(1, 7)], "    … 18 lines left out …"]
    assert shown[-1] == "    line 30"
    assert preformatted("") == ""


def test_a_condition_on_a_step_that_was_skipped_does_not_hold(world: World) -> None:
    steps = (
        step(1, CHECK)
        + step(2, INFO, keys='Only if: step 1 contains "LOADING"')
        + step(3, INFO, keys='Only if: step 2 contains "fine"')
        + step(4, CHECK)
    )
    world.runbook(runbook(steps=steps))
    world.answers(CHECK, "PONG")
    incident = world.page()
    assert world.sandbox.commands() == [CHECK, CHECK]
    assert world.kinds(incident.id).count("step_skipped") == 2


def test_a_condition_that_holds_lets_the_step_run(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK) + step(2, INFO, keys='Only if: step 1 contains "PONG"')))
    world.answers(CHECK, "PONG")
    world.answers(INFO, "fine")
    world.page()
    assert world.sandbox.commands() == [CHECK, INFO]


def test_a_retry_waits_as_long_as_its_step_says(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"\nRetry delay: 30s')))
    world.answers(CHECK, "LOADING", "PONG")
    incident = world.page()
    story = {event.kind.value: event.at for event in world.store.timeline(incident.id)}
    assert (story["step_succeeded"] - story["attempt_failed"]).total_seconds() == 30


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (
            "### Step 1: Restart\n```action\nrestart_deployment: {name: api}\n```\n",
            "restart_deployment",
        ),
        (step(1, "redis-cli PING > /etc/passwd"), "Refused: step 1"),
    ],
)
def test_what_this_build_cannot_do_is_refused_before_anything_runs(
    world: World, steps: str, why: str
) -> None:
    world.runbook(runbook(steps=steps))
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert why in incident.result
    assert world.sandbox.commands() == []


def test_a_machine_that_closes_what_we_closed_is_our_own_echo(world: World) -> None:
    world.receive()
    world.store.begin_own_write("P1", "resolve")
    world.store.end_own_write("P1", "resolve", "PAGENT0")
    by_rule = replace(RESOLVED, actor_kind=ActorKind.MACHINE, actor_id="PSERVICE", actor_name="")
    assert read_event(world.context, by_rule) == Irrelevant("the agent's own write")


def test_a_human_who_acts_after_the_end_changes_nothing(world: World) -> None:
    incident_id = world.receive()
    world.store.accept(RESOLVED, "{}")
    world.store.record(incident_id, (), changes=Changes(status=Status.RESOLVED))
    assert not handle_event(world.context, incident_id, RESOLVED)
    assert world.store.unhandled_events(10) == []
    assert {row["outcome"] for row in world.store.delivery_outcomes(incident_id)} >= {"the incident was over"}
    assert world.told(incident_id) == []


class TakenWhileAsked(FakeDesk):
    """Somebody acknowledges there at the very moment in which the agent asks for details."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def facts(self, source_id: str) -> SourceFacts:
        (incident,) = self._store.incidents()
        self._store.stand_down(incident.id, StandDown("Responder", "acknowledged the incident"))
        return super().facts(source_id)


def test_a_human_who_takes_over_while_the_source_is_asked_keeps_it(world: World) -> None:
    world.desk = TakenWhileAsked(world.store)
    world.runbook(runbook(steps=step(1, CHECK)))
    assert world.page().status is Status.STOOD_DOWN
    assert world.desk.incident("P1").acknowledged_by == []
    assert world.sandbox.commands() == []


class TakenBefore(InlineRun):
    """Somebody takes over right before the named step."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world.clock)
        self._world = world
        self._name = name

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        if name == self._name:
            (incident,) = self._world.store.incidents()
            self._world.store.stand_down(incident.id, StandDown("Responder", "took over"))
        return super().step(name, do, returns)


@pytest.mark.parametrize(
    "moment", ["receive", "learn", "match", "plan", "terms", "take-up", "deadline", "step-1", "resolve"]
)
def test_a_human_may_take_over_at_any_moment_and_nothing_is_closed_behind_their_back(
    world: World, moment: str
) -> None:
    world.runbook(runbook(steps=step(1, CHECK)))
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    handle(TakenBefore(world, moment), world.context, incident_id)
    world.deliver()
    assert world.store.incident(incident_id).status is Status.STOOD_DOWN
    assert world.desk.incident("P1").facts.status != "resolved"
    assert world.sandbox.commands() == ([CHECK] if moment == "resolve" else [])
    assert world.pager.open_pages == []


class AskingSandbox(HookedSandbox):
    """Asks, while the command runs, whether it must stop, as the real one does."""

    def run(
        self,
        script: Script,
        *,
        commands: Sequence[PricedCommand],
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        result = super().run(
            script, commands=commands, marker=marker, timeout_s=timeout_s, should_stop=lambda: False
        )
        return CommandResult(None, interrupted=True) if should_stop() else result


def end_by_watchdog(world: World, incident_id: str) -> None:
    closing.escalate(world.context, incident_id, Stopped("it is stuck", EscalationTrigger.STUCK))


def test_a_running_command_is_stopped_when_a_human_takes_over(world: World) -> None:
    world.sandbox = AskingSandbox()
    world.runbook(runbook(steps=step(1, CHECK) + step(2, INFO)))
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    world.when_run(CHECK, lambda: world.store.stand_down(incident_id, StandDown("Responder", "took over")))
    assert world.handle(incident_id).status is Status.STOOD_DOWN
    assert world.sandbox.commands() == [CHECK]


def test_a_running_command_is_stopped_when_its_incident_was_given_to_a_human(world: World) -> None:
    world.sandbox = AskingSandbox()
    world.runbook(runbook(steps=step(1, CHECK) + step(2, INFO)))
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    world.when_run(CHECK, lambda: end_by_watchdog(world, incident_id))
    assert world.handle(incident_id).status is Status.ESCALATED
    assert world.sandbox.commands() == [CHECK]
    assert len(world.pager.woken) == 1


@pytest.mark.parametrize("status", ["acknowledged", "resolved"])
def test_what_a_human_already_has_at_the_source_is_left_to_them(world: World, status: str) -> None:
    world.runbook(runbook(steps=step(1, CHECK)))
    incident_id = world.receive(facts=SourceFacts(status=status))
    assert world.handle(incident_id).status is Status.STOOD_DOWN
    assert world.sandbox.commands() == []
    assert world.pager.woken == []


def test_without_a_pager_nothing_is_acknowledged_and_the_thread_says_that_nobody_is_paged(
    world: World,
) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"')))
    world.answers(CHECK, "no", "no")
    world._context = replace(world.context, channels=frozenset({Channel.CHAT, Channel.DESK}))
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert world.desk.incident("P1").acknowledged_by == []
    assert any("Nobody is paged" in text for text in world.told(incident.id))


def test_a_runbook_that_asks_for_a_human_never_goes_beyond_approve(world: World) -> None:
    text = runbook(steps=step(1, CHECK), limits="- requires_human_approval: true")
    world.runbook(f"---\nautonomy: auto\n---\n{text}")
    incident = world.page()
    assert incident.autonomy == "approve"
    assert world.sandbox.commands() == []


def test_an_author_who_asks_for_no_human_means_auto(world: World) -> None:
    world.configure(runbooks={"default_autonomy": "approve"})
    world.runbook(runbook(steps=step(1, CHECK), limits="- requires_human_approval: false"))
    world.answers(CHECK, "PONG")
    incident = world.page()
    assert (incident.autonomy, incident.status) == ("auto", Status.RESOLVED)
