"""The kill switch in the story of an incident: what a stop keeps from starting, ends, and tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from agent.adapters.fake_sandbox import FakeSandbox
from agent.adapters.inline_run import InlineRun
from agent.domain.alert import Alert
from agent.domain.command import PricedCommand, Script
from agent.domain.errors import StoreAwayError, StoreError
from agent.domain.incident import Status
from agent.domain.records import Decision
from agent.domain.stops import Stop, StopAsked, StopScope
from agent.pipeline import answers, stops
from agent.pipeline.answers import NotTaken, Taken
from agent.pipeline.handle import handle
from agent.pipeline.stops import StopsClerk, Subject, covers
from agent.pipeline.telling import Teller
from agent.ports import CommandResult
from tests.unit.pipeline.conftest import ALERT, SECRET, HookedSandbox, World, runbook, step

ALL, SERVICE, RUNBOOK = StopScope.ALL, StopScope.SERVICE, StopScope.RUNBOOK


class EndableSandbox(HookedSandbox):
    """Ends a command when it is told to, as the real one does."""

    def run(
        self,
        script: Script,
        *,
        commands: Sequence[PricedCommand],
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        for command in script.commands():
            self.hooks.get(command.argv, lambda: None)()
        return FakeSandbox.run(
            self, script, commands=commands, marker=marker, timeout_s=timeout_s, should_stop=should_stop
        )


def teller(world: World) -> Teller:
    return Teller(world.store, world.context.redactor, world.channels)


def put(world: World, scope: StopScope = ALL, name: str = "", **more: Any) -> Stop:
    asked = StopAsked(scope, name, more.pop("reason", "bad deploy"), more.pop("by", "alice"), **more)
    stop, _ = stops.put(teller(world), asked, now=world.clock.now())
    return stop


def lift(world: World, stop: Stop) -> bool:
    return stops.lift(teller(world), stop, by="bob", now=world.clock.now())


def test_an_incident_that_arrives_while_stopped_is_matched_runs_nothing_and_pages_with_the_reason(
    two_steps: World,
) -> None:
    put(two_steps)
    incident = two_steps.page()
    assert (incident.status, incident.runbook_id) == (Status.ESCALATED, "redis-connection-timeout")
    assert two_steps.sandbox.commands() == []
    (page,) = two_steps.pager.open_pages
    assert "stopped by alice: bad deploy" in page.summary
    assert two_steps.store.escalation(incident.id)["trigger"] == "kill_switch"  # type: ignore[index]
    assert "⛔ Stopped by alice: bad deploy. Nothing more is started" in two_steps.told(incident.id)
    assert two_steps.desk.incident("P1").acknowledged_by == []


def test_a_stopped_incident_is_not_planned_so_that_nothing_is_counted_in_the_world(two_steps: World) -> None:
    put(two_steps)
    assert "planned" not in two_steps.kinds(two_steps.page().id)


def test_the_running_attempt_is_finished_and_the_next_one_does_not_start(two_steps: World) -> None:
    two_steps.when_run("redis-cli FLUSHDB", lambda: put(two_steps))
    incident = two_steps.page()
    assert two_steps.sandbox.commands() == ["redis-cli FLUSHDB"]
    assert incident.status is Status.ESCALATED
    (page,) = two_steps.pager.open_pages
    assert "stopped by alice: bad deploy; it was at step 2 (Step 2)" in page.summary
    assert page.details["what_was_tried"] == ["step 1, attempt 1: succeeded, exit code 0"]


def test_a_failed_attempt_is_not_tried_again_once_stopped(two_steps: World) -> None:
    two_steps.sandbox.prepare(("redis-cli", "FLUSHDB"), CommandResult(1))
    two_steps.when_run("redis-cli FLUSHDB", lambda: put(two_steps))
    two_steps.page()
    assert two_steps.sandbox.commands() == ["redis-cli FLUSHDB"]


def test_a_stop_that_ends_what_runs_ends_the_running_attempt(world: World) -> None:
    world.sandbox = EndableSandbox()
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB")))
    world.answers("redis-cli FLUSHDB", "OK")
    world.when_run("redis-cli FLUSHDB", lambda: put(world, ends_running=True))
    incident = world.page()
    assert incident.status is Status.ESCALATED
    (attempt,) = world.store.attempts(incident.id)
    assert (attempt.end, attempt.exit_code) == ("stopped", None)
    assert "stopped by alice: bad deploy, while it ran: what it had done by then stays done" in attempt.reason
    (page,) = world.pager.open_pages
    assert "stopped by alice: bad deploy, while it ran" in page.summary


def test_a_stop_that_is_asked_to_end_what_runs_afterwards_ends_it(world: World) -> None:
    world.sandbox = EndableSandbox()
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB")))
    world.answers("redis-cli FLUSHDB", "OK")

    def twice() -> None:
        first = put(world)
        assert put(world, ends_running=True).id == first.id

    world.when_run("redis-cli FLUSHDB", twice)
    (attempt,) = world.store.attempts(world.page().id)
    assert attempt.end == "stopped"


def test_a_stop_put_between_charging_and_starting_still_keeps_it_from_starting(
    two_steps: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, begin = two_steps.store, two_steps.store.begin_attempt

    def slow(*arguments: Any, **named: Any) -> Any:
        begun = begin(*arguments, **named)
        put(two_steps)
        return begun

    monkeypatch.setattr(store, "begin_attempt", slow)
    incident = two_steps.page()
    assert two_steps.sandbox.commands() == []
    (attempt,) = store.attempts(incident.id)
    assert attempt.end == "stopped"
    assert store.charged(incident.id) == {"cache_operation": 1}
    assert store.markers_of([""]) == []


def test_verification_is_not_begun_once_stopped(world: World) -> None:
    world.runbook(
        runbook(
            steps=step(1, "redis-cli FLUSHDB"),
            more="## Verify\n\n### Step 1: Look\n```bash\nredis-cli PING\n```\n",
        )
    )
    world.answers("redis-cli FLUSHDB", "OK")
    world.answers("redis-cli PING", "PONG")
    world.when_run("redis-cli FLUSHDB", lambda: put(world))
    incident = world.page()
    assert world.sandbox.commands() == ["redis-cli FLUSHDB"]
    (page,) = world.pager.open_pages
    assert "stopped by alice: bad deploy; it was not verified" in page.summary
    assert world.desk.incident("P1").resolution == ""
    assert incident.status is Status.ESCALATED


def test_a_rollback_is_not_begun_once_stopped(world: World) -> None:
    world.runbook(
        runbook(
            limits="- max_cache_operations: 2",
            steps=step(1, "redis-cli FLUSHDB", keys="Failure action: rollback\nAttempts: 1"),
            more="## Rollback\n\n### Step 1: Undo\n```bash\nredis-cli DEL sessions\n```\n",
        )
    )
    world.sandbox.prepare(("redis-cli", "FLUSHDB"), CommandResult(1))
    world.answers("redis-cli DEL sessions", "1")
    world.when_run("redis-cli FLUSHDB", lambda: put(world))
    assert world.page().status is Status.ESCALATED
    assert world.sandbox.commands() == ["redis-cli FLUSHDB"]


def waiting(world: World, meanwhile: Callable[[str], object]) -> str:
    """An incident that waits for an approval while something happens; its id."""
    world.configure(runbooks={"default_autonomy": "approve"})
    world.runbook(runbook(steps=step(1, "redis-cli FLUSHDB")))
    world.answers("redis-cli FLUSHDB", "OK")
    incident_id = world.receive()
    done: list[object] = []

    def wait(_: str) -> bool:
        if done:
            return False
        done.append(meanwhile(incident_id))
        return True

    world.on_wait = wait
    world.handle(incident_id)
    return incident_id


def approve(world: World, incident_id: str) -> Taken | NotTaken:
    incident = world.store.incident(incident_id)
    return answers.decide(world.store, incident, approved=True, by="carol", now=world.clock.now())


def test_an_approval_after_a_stop_is_refused_with_words_and_counts_after_the_resume(world: World) -> None:
    said: list[Taken | NotTaken] = []

    def meanwhile(incident_id: str) -> None:
        stop = put(world)
        said.append(approve(world, incident_id))
        lift(world, stop)
        said.append(approve(world, incident_id))

    incident_id = waiting(world, meanwhile)
    refused, taken = said
    assert isinstance(refused, NotTaken)
    assert refused.why.startswith(
        f"{incident_id} is stopped by alice: bad deploy; `oncall-agent resume stop-"
    )
    assert isinstance(taken, Taken)
    assert world.store.incident(incident_id).status is Status.RESOLVED


def test_a_plan_that_was_approved_just_before_a_stop_does_not_run_and_is_not_acknowledged(
    world: World,
) -> None:
    def meanwhile(incident_id: str) -> None:
        assert isinstance(approve(world, incident_id), Taken)
        put(world)

    incident_id = waiting(world, meanwhile)
    assert world.store.incident(incident_id).status is Status.ESCALATED
    assert world.sandbox.commands() == []
    assert world.desk.incident("P1").acknowledged_by == []


def test_a_no_counts_while_stopped(world: World) -> None:
    def meanwhile(incident_id: str) -> None:
        put(world, SERVICE, "api-gateway")
        incident = world.store.incident(incident_id)
        said = answers.decide(world.store, incident, approved=False, by="carol", now=world.clock.now())
        assert isinstance(said, Taken)

    incident_id = waiting(world, meanwhile)
    assert world.store.incident(incident_id).status is Status.ESCALATED


def test_a_human_is_not_asked_to_choose_what_could_not_run(world: World) -> None:
    for name in ("one", "two"):
        world.runbook(runbook(steps=step(1, "redis-cli PING")), name)
    put(world)
    incident = world.page()
    assert world.store.escalation(incident.id)["trigger"] == "kill_switch"  # type: ignore[index]
    assert "ambiguous" not in world.kinds(incident.id)


def test_a_choice_of_a_stopped_runbook_is_refused_with_words(world: World) -> None:
    for name in ("one", "two"):
        world.runbook(runbook(steps=step(1, "redis-cli PING")), name)
    world.answers("redis-cli PING", "PONG")
    said: list[Taken | NotTaken] = []

    def choose(_: str) -> bool:
        if said:
            return False
        put(world, RUNBOOK, "one")
        incident = world.store.incidents()[0]
        for name in ("one", "two"):
            said.append(answers.choose(world.store, incident, name, by="carol", now=world.clock.now()))
        return True

    world.on_wait = choose
    incident = world.page()
    assert isinstance(said[0], NotTaken)
    assert "stopped for runbook one by alice" in said[0].why
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "two")


def test_another_service_and_another_runbook_go_on(two_steps: World) -> None:
    put(two_steps, SERVICE, "billing")
    put(two_steps, RUNBOOK, "disk-full")
    assert two_steps.page().status is Status.RESOLVED


@pytest.mark.parametrize("name", ["api-gateway", "API-Gateway", "api-*", "api-gatewa?"])
def test_a_service_is_named_as_in_trigger_conditions(two_steps: World, name: str) -> None:
    put(two_steps, SERVICE, name)
    incident = two_steps.page()
    assert incident.status is Status.ESCALATED
    assert f"stopped for service {name} by alice" in incident.result


def test_an_alert_that_does_not_say_its_service_may_be_of_any(two_steps: World) -> None:
    put(two_steps, SERVICE, "billing")
    assert two_steps.page(service="").status is Status.ESCALATED


@pytest.mark.parametrize(
    ("name", "is_meant"),
    [
        ("redis-timeout", True),
        ("Redis-*", True),
        ("redis-timeout.md", True),
        ("runbooks/redis-timeout.md", True),
        ("./runbooks/redis-timeout.md", True),
        ("/srv/agent/runbooks/redis-timeout.md", True),
        ("other/redis-timeout.md", False),
        ("redis", False),
        ("md", False),
        ("", False),
        (".", False),
    ],
)
def test_a_runbook_is_named_by_its_id_or_by_its_file_from_anywhere(name: str, is_meant: bool) -> None:
    stop = Stop("stop-1", RUNBOOK, name, "r", "alice", at=None)  # type: ignore[arg-type]
    assert covers(stop, Subject("", "redis-timeout", "runbooks/redis-timeout.md")) is is_meant
    assert not covers(stop, Subject("", "", ""))


def test_what_was_not_matched_yet_is_no_runbooks(two_steps: World) -> None:
    put(two_steps, RUNBOOK, "redis-*")
    assert two_steps.page(title="Nobody knows this").result.endswith("No matching runbook found")


def test_a_stop_tells_every_incident_that_it_touches_once_and_its_end_too(world: World) -> None:
    touched, other = world.receive(), world.receive(Alert("pagerduty", "P2", "Disk full", service="billing"))
    stop = put(world, SERVICE, "api-gateway")
    clerk = StopsClerk(world.context)
    for _ in range(2):
        clerk.tick()
    assert [each.what for each in clerk.in_force] == ["service api-gateway"]
    lift(world, stop)
    for _ in range(2):
        clerk.tick()
    assert clerk.in_force == []
    assert world.told(touched) == [
        "⛔ Stopped for service api-gateway by alice: bad deploy. Nothing more is started",
        "▶️ Resumed by bob",
    ]
    assert world.told(other) == []


def test_a_stop_that_was_lifted_before_anybody_was_told_is_not_told(world: World) -> None:
    touched = world.receive()
    lift(world, put(world))
    StopsClerk(world.context).tick()
    assert world.told(touched) == []
    assert world.store.untold_stops() == []


def test_the_channel_sees_that_the_agent_is_stopped_by_whom_and_that_it_goes_on(world: World) -> None:
    stop = put(world, SERVICE, "payments")
    world.deliver()
    (thread,) = world.chat.threads
    assert thread.card.title == "The agent, for service payments, is stopped"
    assert (thread.card.status, thread.card.service) == ("stopped", "payments")
    assert thread.card.reason == "By alice: bad deploy"
    world.clock.sleep(90)
    lift(world, stop)
    world.deliver()
    assert thread.card.title == "The agent, for service payments, was stopped and goes on"
    assert thread.card.reason == "By alice: bad deploy; resumed by bob"
    assert thread.lines == [
        "▶️ Resumed by bob: it was stopped for service payments by alice: bad deploy, for 1m 30s"
    ]
    assert thread.posts[-1].broadcast


def test_stops_and_resumes_stand_in_the_audit_log_with_who_did_it(world: World) -> None:
    lift(world, put(world))
    entries = [(each["kind"], each["actor"]) for each in world.store.audit_entries()]
    assert entries == [("stopped", "alice"), ("resumed", "bob")]


def test_a_secret_in_a_reason_is_kept_from_every_sink(world: World) -> None:
    stop = put(world, reason=f"it leaked {SECRET}")
    world.deliver()
    assert SECRET not in stop.reason
    assert SECRET not in str(list(world.store.audit_entries()))
    assert SECRET not in str(world.chat.threads)


def test_while_the_stops_cannot_be_read_nothing_starts(
    two_steps: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> list[Stop]:
        raise StoreError("the database cannot be reached")

    incident_id = two_steps.receive()
    monkeypatch.setattr(type(two_steps.store), "stops", gone)
    with pytest.raises(StoreError):
        handle(InlineRun(two_steps.clock), two_steps.context, incident_id)
    assert two_steps.sandbox.commands() == []


@pytest.mark.parametrize(("fails", "ran"), [(3, True), (10_000, False)])
def test_what_is_charged_waits_for_a_store_that_cannot_say_whether_it_is_stopped(
    two_steps: World, monkeypatch: pytest.MonkeyPatch, fails: int, ran: bool
) -> None:
    store, begin, ask = two_steps.store, two_steps.store.begin_attempt, two_steps.store.stops
    left = [0]

    def begun(*arguments: Any, **named: Any) -> Any:
        left[0] = fails
        return begin(*arguments, **named)

    def asked() -> Sequence[Stop]:
        if left[0] > 0:
            left[0] -= 1
            raise StoreAwayError("the database cannot be reached")
        return ask()

    monkeypatch.setattr(store, "begin_attempt", begun)
    monkeypatch.setattr(store, "stops", asked)
    incident = two_steps.page()
    assert bool(two_steps.sandbox.commands()) is ran
    assert incident.status is (Status.RESOLVED if ran else Status.ESCALATED)
    if not ran:
        assert "nobody could say whether it is stopped: not started" in incident.result


def test_a_run_that_was_stopped_says_nothing_about_its_runbook(two_steps: World) -> None:
    two_steps.when_run("redis-cli FLUSHDB", lambda: put(two_steps))
    incident = two_steps.page()
    ends = two_steps.store.run_ends(incident.runbook_id, incident.runbook_revision, limit=10)
    assert list(ends) == []


def test_a_stand_down_ends_what_waits_and_pages_nobody(world: World) -> None:
    def meanwhile(incident_id: str) -> None:
        incident = world.store.incident(incident_id)
        first = answers.stand_down(teller(world), incident, by="carol", now=world.clock.now())
        again = answers.stand_down(teller(world), incident, by="carol", now=world.clock.now())
        other = answers.stand_down(teller(world), incident, by="dave", now=world.clock.now())
        assert [getattr(each, "again", None) for each in (first, again, other)] == [False, True, None]
        assert other == NotTaken("carol has it already: told the agent to stand down")
        assert [told for told, _ in world.store.untold_decisions()] == [incident_id]

    incident_id = waiting(world, meanwhile)
    assert world.store.incident(incident_id).status is Status.STOOD_DOWN
    assert world.pager.open_pages == []
    assert world.sandbox.commands() == []


def test_what_is_over_cannot_be_handed_over(two_steps: World) -> None:
    incident = two_steps.page()
    said = answers.stand_down(teller(two_steps), incident, by="carol", now=two_steps.clock.now())
    assert said == NotTaken(f"{incident.id} is over, it is resolved")


def test_a_yes_to_one_plan_never_becomes_the_yes_to_the_next_question(world: World) -> None:
    said: list[Taken | NotTaken] = []

    def meanwhile(incident_id: str) -> None:
        incident = world.store.incident(incident_id)
        asked = next(e for e in world.store.timeline(incident_id) if e.kind == "approval_requested")
        plan_hash = str(asked.data["plan_hash"])
        for given in (plan_hash[:12], plan_hash, "0" * 64, plan_hash[:11]):
            said.append(
                answers.decide(
                    world.store, incident, approved=True, by="c", now=world.clock.now(), plan_hash=given
                )
            )

    waiting(world, meanwhile)
    first, again, *unknown = said
    assert isinstance(first, Taken)
    assert isinstance(again, Taken)
    assert (first.again, again.again) == (False, True)
    assert all(isinstance(each, NotTaken) for each in unknown)


def test_an_answer_that_was_given_long_ago_is_known_even_when_the_incident_is_over(world: World) -> None:
    incident_id = waiting(world, lambda each: approve(world, each))
    incident = world.store.incident(incident_id)
    asked = next(e for e in world.store.timeline(incident_id) if e.kind == "approval_requested")
    plan_hash = str(asked.data["plan_hash"])
    now = world.clock.now()
    same = answers.decide(world.store, incident, approved=True, by="carol", now=now, plan_hash=plan_hash)
    other = answers.decide(world.store, incident, approved=False, by="carol", now=now, plan_hash=plan_hash)
    assert isinstance(same, Taken)
    assert same.again
    assert other == NotTaken(f"somebody already decided on {incident_id}")


def test_a_later_question_refuses_the_hash_of_an_earlier_one(world: World) -> None:
    world.configure(runbooks={"default_autonomy": "approve"})
    world.runbook(
        runbook(steps=step(1, "redis-cli FLUSHDB", keys="Failure action: escalate\nApproval: required"))
    )
    world.answers("redis-cli FLUSHDB", "OK")
    incident_id = world.receive(replace(ALERT, source_id="P9"))
    hashes: list[str] = []

    def wait(_: str) -> bool:
        asked = [e for e in world.store.timeline(incident_id) if e.kind == "approval_requested"]
        hashes.append(str(asked[-1].data["plan_hash"]))
        incident, now = world.store.incident(incident_id), world.clock.now()
        if len(hashes) == 2:
            early = answers.decide(
                world.store, incident, approved=True, by="replayer", now=now, plan_hash=hashes[0]
            )
            assert early == NotTaken(f"somebody already decided on {incident_id}")
        world.store.decide(incident_id, Decision(hashes[-1], True, "carol", now))
        return True

    world.on_wait = wait
    assert world.handle(incident_id).status is Status.RESOLVED
    assert len(set(hashes)) == 2


def test_what_was_done_before_a_restart_is_not_undone_by_a_stop_that_came_later(two_steps: World) -> None:
    incident_id = two_steps.receive()
    asked: list[str] = []

    class Crash(BaseException):
        """The process ends."""

    def crash() -> None:
        if not asked:
            asked.append("once")
            raise Crash

    two_steps.when_run("redis-cli DEL sessions", crash)
    with pytest.raises(Crash):
        handle(InlineRun(two_steps.clock), two_steps.context, incident_id)
    put(two_steps)
    incident = two_steps.handle(incident_id)
    assert "planned" in two_steps.kinds(incident_id)
    assert incident.status is Status.ESCALATED
    assert "outcome unknown: step 2" in incident.result
