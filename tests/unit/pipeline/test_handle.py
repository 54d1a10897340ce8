from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from agent.domain.alert import Severity
from agent.domain.decisions import Section, StandDown
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.errors import Reason, ServiceError
from agent.domain.incident import Status
from agent.domain.limits import Charge
from agent.domain.outbox import Channel
from agent.domain.records import AttemptKey, Decision
from agent.domain.source_event import EventType, SourceEvent
from agent.ports import SourceFacts
from agent.safety.effects import EffectTables
from tests.unit.pipeline.conftest import ALERT, SECRET, World, runbook, step

FLUSH = "redis-cli FLUSHDB"
CHECK = "redis-cli PING"
TWO_STEPS = step(1, FLUSH, keys='Expected output: "OK"\nFailure action: continue') + step(
    2, CHECK, keys='Expected output: "PONG"\nFailure action: escalate'
)
DOWN = ServiceError("pagerduty", Reason.UNREACHABLE, "connection refused", retryable=True)


def test_an_incident_ends_resolved_with_its_whole_story(world: World) -> None:
    world.runbook(runbook(steps=TWO_STEPS))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "PONG")

    incident = world.page()

    assert incident.status is Status.RESOLVED
    assert world.kinds(incident.id) == [
        "received", "learned", "matched", "planned", "acknowledged",
        "step_started", "step_succeeded", "step_started", "step_succeeded", "resolved", "summary",
    ]  # fmt: skip
    assert world.desk.incident("P1").facts.status == "resolved"
    assert world.pager.open_pages == []


def test_what_the_agent_does_not_work_on_is_not_acknowledged(world: World) -> None:
    world.page(title="Disk is full")
    assert world.desk.incident("P1").acknowledged_by == []


def test_the_summary_has_the_published_form(world: World) -> None:
    world.runbook(runbook(steps=TWO_STEPS))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "PONG")
    incident = world.page()
    lines = world.told(incident.id)[-1].splitlines()
    assert lines[:6] == [
        "📋 Incident Summary: Redis connection timeout",
        "Duration: 0.0s",
        "Runbook: redis-connection-timeout",
        "Steps executed: 2/2",
        "Result: Resolved automatically",
        "Timeline:",
    ]
    assert lines[6] == "[04:17:23] 🚨 Incident received: Redis connection timeout (high)"
    assert lines[-1] == "[04:17:23] ✅ Incident resolved automatically"


def test_no_matching_runbook_pages_a_human_once(world: World) -> None:
    incident = world.page(title="Disk is full")
    (page,) = world.pager.open_pages
    assert incident.status is Status.ESCALATED
    assert page.summary == "AI agent escalation: No matching runbook found [Disk is full]"
    assert page.dedup_key == f"oncall-agent-{incident.id}"
    assert page.details["original_alert"] == "Disk is full"


def test_two_matching_runbooks_page_a_human_with_both_names(world: World) -> None:
    world.runbook(runbook(steps=TWO_STEPS), "one")
    world.runbook(runbook(steps=TWO_STEPS), "two")
    incident = world.page()
    (page,) = world.pager.open_pages
    assert incident.status is Status.ESCALATED
    assert "one, two" in page.summary
    assert world.sandbox.commands() == []


def test_second_failed_attempt_pages_a_human_with_the_evidence(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, title="Ping", keys='Expected output: "PONG"')))
    world.answers(CHECK, "LOADING", "LOADING")
    incident = world.page()
    (page,) = world.pager.open_pages
    assert incident.status is Status.ESCALATED
    assert "failed twice: Ping 1" in page.summary
    assert page.details["last_output"] == "LOADING"
    assert len(page.details["what_was_tried"]) == 2  # type: ignore[arg-type]
    assert page.severity is Severity.CRITICAL


def test_a_step_that_succeeds_at_the_second_attempt_goes_on(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"')))
    world.answers(CHECK, "LOADING", "PONG")
    assert world.page().status is Status.RESOLVED


def test_a_failed_step_that_says_continue_goes_on_with_the_next(world: World) -> None:
    world.runbook(runbook(steps=TWO_STEPS, limits="- max_cache_operations: 2"))
    world.answers(FLUSH, "ERR", "ERR")
    world.answers(CHECK, "PONG")
    assert world.page().status is Status.RESOLVED


def test_a_retry_over_the_limit_is_refused_and_told(world: World) -> None:
    world.runbook(runbook(steps=TWO_STEPS))
    world.answers(FLUSH, "ERR")
    world.answers(CHECK, "PONG")
    incident = world.page()
    assert world.sandbox.commands().count(FLUSH) == 1
    refused = [text for text in world.told(incident.id) if "refused" in text]
    assert "max_cache_operations is 1: 1 used by this incident" in refused[0]
    assert incident.status is Status.RESOLVED


def test_a_last_step_that_failed_is_not_called_fixed(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"\nFailure action: continue')))
    world.answers(CHECK, "no", "no")
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert "nothing shows that it is fixed" in incident.result


def test_stop_pages_a_human_and_runs_nothing_more(world: World) -> None:
    steps = step(1, CHECK, keys='Expected output: "PONG"\nFailure action: stop') + step(2, FLUSH)
    world.runbook(runbook(steps=steps))
    world.answers(CHECK, "no", "no")
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert FLUSH not in world.sandbox.commands()


def test_rollback_runs_its_section_and_still_pages_a_human(world: World) -> None:
    steps = step(1, CHECK, keys='Expected output: "PONG"\nFailure action: rollback\nAttempts: 1')
    rollback = "## Rollback\n\n" + step(1, "redis-cli INFO", keys="")
    world.runbook(runbook(steps=steps, more=rollback))
    world.answers(CHECK, "no")
    world.answers("redis-cli INFO", "fine")
    incident = world.page()
    assert world.sandbox.commands() == [CHECK, "redis-cli INFO"]
    assert incident.status is Status.ESCALATED
    assert "rolled back" in incident.result


def test_a_rollback_that_fails_says_so(world: World) -> None:
    steps = step(1, CHECK, keys='Expected output: "PONG"\nFailure action: rollback\nAttempts: 1')
    rollback = "## Rollback\n\n" + step(1, "redis-cli INFO", keys='Expected output: "fine"')
    world.runbook(runbook(steps=steps, more=rollback))
    world.answers(CHECK, "no")
    world.answers("redis-cli INFO", "bad")
    assert "rollback step 1 failed too" in world.page().result


def test_an_unknown_command_is_refused_before_anything_runs(world: World) -> None:
    world.runbook(runbook(steps=step(1, FLUSH) + step(2, "rm -rf /tmp/cache")))
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert world.sandbox.commands() == []
    assert incident.result.startswith("Escalated to a human: Refused: step 2")


def test_a_plan_over_its_limits_is_refused_before_anything_runs(world: World) -> None:
    world.runbook(runbook(steps=step(1, FLUSH) + step(2, FLUSH)))
    assert world.page().status is Status.ESCALATED
    assert world.sandbox.commands() == []


def test_a_missing_parameter_is_refused_by_name(world: World) -> None:
    parameters = '## Parameters\n- shard: label "shard"; pattern /^[a-z0-9]+$/\n'
    world.runbook(runbook(steps=step(1, "redis-cli GET {{ shard }}"), more=parameters))
    assert "shard" in world.page().result


def test_a_parameter_comes_from_the_alerts_label(world: World) -> None:
    parameters = '## Parameters\n- shard: label "shard"; pattern /^[a-z0-9]+$/\n'
    world.runbook(runbook(steps=step(1, "redis-cli GET {{ shard }}"), more=parameters))
    world.answers("redis-cli GET s7", "1")
    incident_id = world.receive(ALERT, SourceFacts(labels={"shard": "s7"}))
    assert world.handle(incident_id).status is Status.RESOLVED


def test_shell_syntax_in_a_label_never_becomes_a_command(world: World) -> None:
    parameters = '## Parameters\n- shard: label "shard"; pattern /^[a-z0-9]+$/\n'
    world.runbook(runbook(steps=step(1, "redis-cli GET {{ shard }}"), more=parameters))
    incident_id = world.receive(ALERT, SourceFacts(labels={"shard": "s7; redis-cli FLUSHALL"}))
    assert world.handle(incident_id).status is Status.ESCALATED
    assert world.sandbox.commands() == []


def test_a_condition_on_an_earlier_step_that_does_not_hold_skips_the_step(world: World) -> None:
    steps = step(1, CHECK) + step(2, FLUSH, keys='Only if: step 1 contains "LOADING"') + step(3, CHECK)
    world.runbook(runbook(steps=steps))
    world.answers(CHECK, "PONG", "PONG")
    incident = world.page()
    assert incident.status is Status.RESOLVED
    assert FLUSH not in world.sandbox.commands()
    assert "step_skipped" in world.kinds(incident.id)


def test_source_facts_decide_the_match(world: World) -> None:
    world.runbook(runbook(triggers='- Alert contains: "redis"\n- Severity: critical', steps=TWO_STEPS))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "PONG")
    incident_id = world.receive(ALERT, SourceFacts(severity=Severity.CRITICAL))
    assert world.handle(incident_id).status is Status.RESOLVED


def test_without_the_sources_facts_a_runbook_for_critical_is_not_run(world: World) -> None:
    world.runbook(runbook(triggers='- Alert contains: "redis"\n- Severity: critical', steps=TWO_STEPS))
    incident_id = world.receive(ALERT, SourceFacts(severity=Severity.CRITICAL))
    world.desk.fail_with(DOWN)
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert any("Details could not be fetched (unreachable)" in text for text in world.told(incident.id))


def test_with_the_source_down_the_runbook_runs_on_the_webhooks_own_facts(world: World) -> None:
    world.runbook(runbook(steps=TWO_STEPS))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    world.desk.fail_with(DOWN, DOWN, DOWN)
    assert world.handle(incident_id).status is Status.RESOLVED
    assert world.desk.incident("P1").facts.status == "resolved"


def test_the_agents_own_escalation_starts_nothing(world: World) -> None:
    world.page(title="Disk is full")
    (page,) = world.pager.open_pages
    incident_id = world.receive(replace(ALERT, source_id="P2", title=page.summary))
    assert world.handle(incident_id).status is Status.IGNORED
    assert len(world.pager.open_pages) == 1
    assert world.desk.incident("P2").facts.status == "triggered"


def test_an_escalation_is_recognised_by_its_alert_key(world: World) -> None:
    incident_id = world.receive(
        replace(ALERT, title="(a title that somebody edited)"),
        SourceFacts(alert_keys=("oncall-agent-inc-1",)),
    )
    assert world.handle(incident_id).status is Status.IGNORED


def test_an_escalation_is_recognised_by_its_client(world: World) -> None:
    assert world.handle(world.receive(ALERT, SourceFacts(clients=("oncall-agent",)))).status is Status.IGNORED


def test_a_human_who_took_over_before_the_start_keeps_it(world: World) -> None:
    world.runbook(runbook(steps=TWO_STEPS))
    incident_id = world.receive()
    world.store.stand_down(incident_id, StandDown("Responder", "acknowledged the incident"))
    incident = world.handle(incident_id)
    assert incident.status is Status.STOOD_DOWN
    assert world.sandbox.commands() == []
    assert world.desk.incident("P1").facts.status == "triggered"


def test_a_human_who_takes_over_between_steps_stops_the_rest(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK) + step(2, FLUSH)))
    incident_id = world.receive()
    world.answers(CHECK, "PONG")
    world.when_run(CHECK, lambda: world.store.stand_down(incident_id, StandDown("Responder", "took over")))
    incident = world.handle(incident_id)
    assert incident.status is Status.STOOD_DOWN
    assert world.sandbox.commands() == [CHECK]
    assert "Handed over to Responder" in incident.result


def test_a_human_who_takes_over_during_the_last_step_resolves_it_themselves(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK)))
    incident_id = world.receive()
    world.answers(CHECK, "PONG")
    world.when_run(CHECK, lambda: world.store.stand_down(incident_id, StandDown("Responder", "took over")))
    assert world.handle(incident_id).status is Status.STOOD_DOWN
    assert world.desk.incident("P1").facts.status != "resolved"


def test_past_its_deadline_no_step_starts(world: World) -> None:
    world.configure(execution={"incident_deadline_s": 60})
    world.runbook(runbook(steps=step(1, CHECK) + step(2, FLUSH)))
    world.answers(CHECK, "PONG")
    world.when_run(CHECK, lambda: world.clock.sleep(61))
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert "time is over" in incident.result
    assert world.sandbox.commands() == [CHECK]


def test_a_critical_alert_has_less_time(world: World) -> None:
    world.configure(escalation={"critical_downtime_s": 30})
    world.runbook(runbook(steps=step(1, CHECK) + step(2, FLUSH)))
    world.answers(CHECK, "PONG")
    world.when_run(CHECK, lambda: world.clock.sleep(31))
    incident_id = world.receive(ALERT, SourceFacts(severity=Severity.CRITICAL))
    assert "time is over" in world.handle(incident_id).result


def test_the_runbooks_own_max_duration_counts(world: World) -> None:
    limits = "- max_cache_operations: 1\n- max_duration: 10s"
    world.runbook(runbook(steps=step(1, CHECK) + step(2, FLUSH), limits=limits))
    world.answers(CHECK, "PONG")
    world.when_run(CHECK, lambda: world.clock.sleep(11))
    assert "time is over" in world.page().result


def test_a_step_that_does_not_end_in_time_failed(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys="Timeout: 5s\nAttempts: 1")))
    world.times_out(CHECK)
    incident = world.page()
    assert "no end within 5 s" in incident.result


@pytest.mark.parametrize(("autonomy", "ran"), [("shadow", False), ("suggest", False), ("auto", True)])
def test_autonomy_decides_whether_anything_runs(world: World, autonomy: str, ran: bool) -> None:
    world.runbook(f"---\nautonomy: {autonomy}\n---\n" + runbook(steps=step(1, CHECK)))
    world.answers(CHECK, "PONG")
    world.page()
    assert bool(world.sandbox.commands()) is ran


APPROVE = runbook(steps=step(1, CHECK), limits="- requires_human_approval: true")


def approve(world: World, incident_id: str, *, approved: bool = True, late_s: float = 0) -> None:
    """Somebody decides as soon as the plan is there."""

    def decide(_: str) -> bool:
        plan = world.store.plan(incident_id)
        assert plan is not None
        world.clock.sleep(late_s)
        return world.store.decide(
            incident_id, Decision(plan.plan_hash, approved, "Responder", world.clock.now())
        )

    world.on_wait = decide


def test_an_approved_plan_runs(world: World) -> None:
    world.runbook(APPROVE)
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    approve(world, incident_id)
    assert world.handle(incident_id).status is Status.RESOLVED
    assert "👍 Approved by Responder" in world.told(incident_id)


def test_a_rejected_plan_does_not_run_and_pages_a_human(world: World) -> None:
    world.runbook(APPROVE)
    incident_id = world.receive()
    approve(world, incident_id, approved=False)
    assert world.handle(incident_id).status is Status.ESCALATED
    assert world.sandbox.commands() == []


def test_a_yes_after_the_expiry_is_no_yes(world: World) -> None:
    world.runbook(APPROVE)
    incident_id = world.receive()
    approve(world, incident_id, late_s=901)
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert "in time" in incident.result
    assert world.sandbox.commands() == []


def test_nobody_answering_pages_a_human(world: World) -> None:
    world.runbook(APPROVE)
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert world.clock.monotonic() >= 900


def test_a_human_who_takes_over_while_it_waits_for_approval_keeps_it(world: World) -> None:
    world.runbook(APPROVE)
    incident_id = world.receive()
    world.on_wait = lambda _: world.store.stand_down(incident_id, StandDown("Responder", "took over"))
    assert world.handle(incident_id).status is Status.STOOD_DOWN


def test_verify_must_hold_before_anything_is_resolved(world: World) -> None:
    verify = '## Verify\n\n### Step 1: Ping\n```bash\nredis-cli PING\n```\nExpected output: "PONG"\n'
    world.runbook(runbook(steps=step(1, FLUSH), more=verify))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "LOADING", "LOADING")
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert "not verified" in incident.result
    assert world.desk.incident("P1").facts.status != "resolved"


def test_verify_is_waited_for_once_and_then_holds(world: World) -> None:
    verify = '## Verify\n\n### Step 1: Ping\n```bash\nredis-cli PING\n```\nExpected output: "PONG"\n'
    world.runbook(runbook(steps=step(1, FLUSH), more=verify))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, "LOADING", "PONG")
    assert world.page().status is Status.RESOLVED


def test_verify_holds_for_its_time(world: World) -> None:
    verify = (
        '## Verify\nHold for: 5m\n\n### Step 1: Ping\n```bash\nredis-cli PING\n```\nExpected output: "PONG"\n'
    )
    world.runbook(runbook(steps=step(1, FLUSH), more=verify))
    world.answers(FLUSH, "OK")
    world.answers(CHECK, *["PONG"] * 10)
    incident = world.page()
    assert incident.status is Status.RESOLVED
    assert world.clock.monotonic() >= 300


def test_a_verify_step_that_changes_something_is_refused(world: World) -> None:
    verify = "## Verify\n\n### Step 1: Flush\n```bash\nredis-cli FLUSHDB\n```\n"
    world.runbook(runbook(steps=step(1, CHECK), more=verify))
    incident = world.page()
    assert "may only read" in incident.result
    assert world.sandbox.commands() == []


def test_no_secret_reaches_any_sink(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"')))
    world.answers(CHECK, f"token {SECRET}", f"token {SECRET}")
    incident = world.page()
    everything = [
        *world.told(incident.id),
        *[str(event.data) for event in world.store.timeline(incident.id)],
        str(world.store.attempts(incident.id)),
        str(world.pager.open_pages),
        *[line for thread in world.chat.threads for line in thread.lines],
        *world.desk.incident("P1").notes,
    ]
    assert all(SECRET not in text for text in everything)


def test_the_revision_that_was_matched_is_the_one_that_runs(world: World) -> None:
    world.runbook(APPROVE)
    world.answers(CHECK, "PONG")
    incident_id = world.receive()
    approve(world, incident_id)
    decide = world.on_wait

    def change_the_file(topic: str) -> bool:
        world.runbook(runbook(steps=step(1, FLUSH)))
        world.context.library.reload()
        return decide(topic)

    world.on_wait = change_the_file
    world.handle(incident_id)
    assert world.sandbox.commands() == [CHECK]


def test_a_later_event_about_a_resolved_incident_changes_nothing(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK)))
    world.answers(CHECK, "PONG")
    incident = world.page()
    event = SourceEvent("pagerduty", "d-7", EventType.RESOLVED, "incident.resolved", "P1")
    world.store.accept(event, "{}")
    assert not world.store.stand_down(incident.id, StandDown("Responder", "resolved the incident"))


def test_the_approval_shows_every_command_with_its_price(world: World) -> None:
    steps = step(1, FLUSH) + step(2, CHECK)
    world.runbook(runbook(steps=steps, limits="- max_cache_operations: 1\n- requires_human_approval: true"))
    incident = world.page()
    (asked,) = [text for text in world.told(incident.id) if text.startswith("✋")]
    assert asked.splitlines()[1:] == [
        "    steps 1: redis-cli FLUSHDB  [1 × cache_operation]",
        "    steps 2: redis-cli PING  [reads]",
    ]


def test_a_declared_script_that_was_changed_after_the_approval_does_not_run(
    world: World, tmp_path: Path
) -> None:
    script = tmp_path / "fix.sh"
    script.write_text("#!/bin/sh\necho fixed\n")
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    table = tmp_path / "tables.yaml"
    table.write_text(
        f"scripts:\n  {script}:\n    sha256: '{digest}'\n    effect: {{class: cache_operation}}\n"
    )
    world.tables = EffectTables.load([table])
    world.runbook(
        runbook(
            steps=step(1, str(script)), limits="- max_cache_operations: 1\n- requires_human_approval: true"
        )
    )
    incident_id = world.receive()
    approve(world, incident_id)
    decide = world.on_wait

    def tamper(topic: str) -> bool:
        script.write_text("#!/bin/sh\necho evil\n")
        return decide(topic)

    world.on_wait = tamper
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert world.sandbox.commands() == []
    assert any("refused" in text for text in world.told(incident_id))


def test_half_of_a_secret_is_not_quoted_either(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"')))
    world.answers(CHECK, f"{'x' * 42}{SECRET}")
    incident = world.page()
    assert not any(SECRET[:12] in text for text in world.told(incident.id))


def test_a_page_that_a_human_has_long_acknowledged_is_left_to_them(world: World) -> None:
    world.runbook(runbook(steps=step(1, CHECK)))
    incident = world.handle(world.receive(ALERT, SourceFacts(status="acknowledged")))
    assert incident.status is Status.STOOD_DOWN
    assert world.sandbox.commands() == []


def test_without_a_way_to_page_nothing_is_acknowledged_and_it_is_said(world: World) -> None:
    world.channels = frozenset({Channel.CHAT, Channel.DESK})
    world.runbook(runbook(steps=step(1, CHECK, keys='Expected output: "PONG"\nAttempts: 1')))
    world.answers(CHECK, "no")
    incident = world.page()
    assert incident.status is Status.ESCALATED
    assert world.desk.incident("P1").acknowledged_by == []
    assert any("Nobody is paged" in text for text in world.told(incident.id))


def test_a_last_step_that_was_skipped_is_not_called_fixed(world: World) -> None:
    steps = step(1, CHECK) + step(2, FLUSH, keys='Only if: step 1 contains "LOADING"')
    world.runbook(runbook(steps=steps))
    world.answers(CHECK, "PONG")
    assert "was skipped" in world.page().result


def test_an_attempt_that_ran_before_a_restart_is_known_even_past_the_deadline(world: World) -> None:
    world.runbook(runbook(steps=step(1, FLUSH)))
    incident_id = world.receive()
    key = AttemptKey(incident_id, Section.STEPS, 1, 1)
    effect = Effect(EffectClass.CACHE_OPERATION, "redis localhost:6379", 1)
    world.store.begin_attempt(
        key,
        title="Step 1",
        charge=Charge((effect,), 1, BlastRadius({EffectClass.CACHE_OPERATION: 1})),
    )
    world.configure(execution={"incident_deadline_s": 0.001})
    incident = world.handle(incident_id)
    assert "outcome unknown" in incident.result
    assert world.sandbox.commands() == []
