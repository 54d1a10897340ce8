"""Typed actions and approvals of single steps, from the page to the end."""

from __future__ import annotations

import pytest

from agent.domain.decisions import Plan, StandDown
from agent.domain.incident import Status
from agent.domain.records import Decision
from agent.pipeline.approval import step_hash
from agent.ports import CommandResult
from tests.unit.pipeline.conftest import Pods, PreparedActions, World, runbook, step

FLUSH, CHECK = "redis-cli FLUSHDB", "redis-cli PING"
LIMITS = "- max_rollouts: 2\n- max_pod_restarts: 6"


def action(number: int, *lines: str, keys: str = "") -> str:
    return f"### Step {number}: Restart\n```action\n" + "\n".join(lines) + f"\n```\n{keys}\n"


RESTART = ("action: kubernetes.rollout_restart", "namespace: production", "deployment: api")
DONE = CommandResult(0, stdout='{"restarted": "api"}')


@pytest.fixture
def cluster(world: World) -> World:
    world.counter = Pods()
    world.counter.pods["production/deployment/api"] = 3
    world.actions = PreparedActions(DONE, DONE)
    world.runbook(runbook(steps=action(1, *RESTART), limits=LIMITS))
    return world


def ran(world: World) -> int:
    assert world.actions is not None
    return len(world.actions.ran)


def test_an_action_is_priced_charged_and_carried_out_as_priced(cluster: World) -> None:
    incident = cluster.page()
    assert incident.status is Status.RESOLVED
    assert cluster.store.charged(incident.id) == {"rollout": 1, "pod_restart": 3}
    assert cluster.actions is not None
    ((asked, command),) = cluster.actions.ran
    assert asked.name == "kubernetes.rollout_restart"
    assert [change.pods for change in command.access.changes] == [3]
    assert any(
        "kubernetes.rollout_restart namespace=production" in text for text in cluster.told(incident.id)
    )


def test_actions_and_commands_share_one_budget(cluster: World) -> None:
    command = "kubectl rollout restart deployment/api -n production"
    cluster.runbook(runbook(steps=action(1, *RESTART) + step(2, command), limits="- max_rollouts: 1"))
    incident = cluster.page()
    assert incident.status is Status.ESCALATED
    assert ran(cluster) == 0


def test_an_action_over_its_limit_is_refused_before_anything_runs(cluster: World) -> None:
    cluster.runbook(runbook(steps=action(1, *RESTART), limits="- max_rollouts: 1\n- max_pod_restarts: 2"))
    incident = cluster.page()
    assert "max_pod_restarts is 2" in incident.result
    assert ran(cluster) == 0


def test_without_anything_to_carry_actions_out_they_are_refused_and_nothing_is_charged(
    cluster: World,
) -> None:
    cluster.actions = None
    incident = cluster.page()
    assert incident.status is Status.ESCALATED
    assert "nothing to carry out typed actions with" in incident.result
    assert cluster.store.charged(incident.id) == {}


def test_an_action_that_gave_no_answer_is_never_done_again(cluster: World) -> None:
    cluster.actions = PreparedActions(CommandResult(None, timed_out=True), DONE)
    incident = cluster.page()
    assert incident.status is Status.ESCALATED
    assert ran(cluster) == 1
    assert "outcome unknown: step 1 (Restart): the action gave no answer within 60 s" in incident.result
    assert "outcome_unknown" in cluster.kinds(incident.id)


def test_an_action_that_failed_with_an_answer_is_tried_again_and_charged_again(cluster: World) -> None:
    cluster.actions = PreparedActions(CommandResult(1, stdout='{"error": "conflict"}'), DONE)
    incident = cluster.page()
    assert incident.status is Status.RESOLVED
    assert cluster.store.charged(incident.id) == {"rollout": 2, "pod_restart": 6}


def test_an_action_that_only_reads_is_tried_again_after_a_timeout(cluster: World) -> None:
    logs = ("action: kubernetes.logs", "namespace: production", "deployment: api")
    cluster.runbook(runbook(steps=action(1, *logs), limits=LIMITS))
    cluster.actions = PreparedActions(CommandResult(None, timed_out=True), CommandResult(0, stdout="fine"))
    assert cluster.page().status is Status.RESOLVED
    assert ran(cluster) == 2


def test_an_action_that_has_grown_since_the_plan_is_refused(cluster: World) -> None:
    cluster.runbook(runbook(steps=action(1, *RESTART, keys="Approval: required"), limits=LIMITS))

    def grow(_: str) -> bool:
        assert cluster.counter is not None
        cluster.counter.pods["production/deployment/api"] = 4
        return decide(cluster, incident_id)

    incident_id = cluster.receive()
    cluster.on_wait = grow
    assert "has 4 pods now, 3 were planned" in cluster.handle(incident_id).result
    assert ran(cluster) == 0


STEP_APPROVAL = step(1, CHECK) + step(2, FLUSH, keys="Approval: required\nFailure action: escalate")


def plan_of(world: World, incident_id: str) -> Plan:
    plan = world.store.plan(incident_id)
    assert plan is not None
    return plan


def decide(world: World, incident_id: str, *, approved: bool = True, index: int = -1) -> bool:
    plan = plan_of(world, incident_id)
    answer = Decision(step_hash(plan, plan.steps[index]), approved, "Responder", world.clock.now())
    return world.store.decide(incident_id, answer)


@pytest.fixture
def asking(world: World) -> World:
    world.runbook(runbook(steps=STEP_APPROVAL))
    world.answers(CHECK, "PONG")
    world.answers(FLUSH, "OK")
    return world


def test_a_step_that_needs_approval_runs_after_a_yes_to_exactly_it(asking: World) -> None:
    incident_id = asking.receive()
    asking.on_wait = lambda _: decide(asking, incident_id)
    assert asking.handle(incident_id).status is Status.RESOLVED
    told = asking.told(incident_id)
    asked = next(text for text in told if text.startswith("✋"))
    assert asked.splitlines()[0].startswith("✋ Approval needed within 600 s: `oncall-agent approve ")
    assert "runs exactly step 2" in asked
    assert asked.splitlines()[1:] == ["    steps 2: redis-cli FLUSHDB  [1 × cache_operation]"]
    assert "👍 Approved by Responder (step 2)" in told
    assert asking.sandbox.commands() == [CHECK, FLUSH]
    kinds = asking.kinds(incident_id)
    assert kinds.index("step_succeeded") < kinds.index("approval_requested") < kinds.index("approved")


def test_a_rejected_step_pages_a_human_and_does_not_run(asking: World) -> None:
    incident_id = asking.receive()
    asking.on_wait = lambda _: decide(asking, incident_id, approved=False)
    incident = asking.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert "step 2 was rejected" in incident.result
    assert asking.sandbox.commands() == [CHECK]


def test_a_step_that_nobody_approves_pages_a_human_within_the_incidents_time(asking: World) -> None:
    incident = asking.page()
    assert incident.status is Status.ESCALATED
    assert "nobody approved step 2 in time" in incident.result
    assert incident.ended_at is not None
    assert (incident.ended_at - incident.received_at).total_seconds() == 600
    assert asking.sandbox.commands() == [CHECK]


def test_a_yes_to_the_plan_is_no_yes_to_the_step(asking: World) -> None:
    asking.runbook(
        runbook(steps=STEP_APPROVAL, limits="- max_cache_operations: 1\n- requires_human_approval: true")
    )
    incident_id = asking.receive()

    def approve_the_plan(_: str) -> bool:
        answer = Decision(plan_of(asking, incident_id).plan_hash, True, "Responder", asking.clock.now())
        return asking.store.decide(incident_id, answer)

    asking.on_wait = approve_the_plan
    incident = asking.handle(incident_id)
    assert "nobody approved step 2 in time" in incident.result
    assert asking.sandbox.commands() == [CHECK]


def test_a_wake_up_about_something_else_does_not_end_the_wait(asking: World) -> None:
    incident_id = asking.receive()
    wake_ups = iter([True, True])

    def wake(_: str) -> bool:
        return next(wake_ups, None) or decide(asking, incident_id)

    asking.on_wait = wake
    assert asking.handle(incident_id).status is Status.RESOLVED


def test_a_human_who_takes_over_while_a_step_waits_for_its_approval_keeps_it(asking: World) -> None:
    incident_id = asking.receive()
    asking.on_wait = lambda _: asking.store.stand_down(incident_id, StandDown("Responder", "took over"))
    assert asking.handle(incident_id).status is Status.STOOD_DOWN
    assert asking.sandbox.commands() == [CHECK]


def test_a_step_that_is_skipped_asks_nobody(asking: World) -> None:
    keys = 'Approval: required\nOnly if: step 1 contains "LOADING"'
    verify = f"## Verify\n\n{step(1, CHECK, keys='')}"
    asking.runbook(runbook(steps=step(1, CHECK) + step(2, FLUSH, keys=keys), more=verify))
    assert asking.page().status is Status.RESOLVED
    assert asking.clock.monotonic() == 0


def test_a_rollback_step_can_need_an_approval_too(asking: World) -> None:
    rollback = f"## Rollback\n\n{step(1, FLUSH, keys='Approval: required')}"
    keys = 'Expected output: "never"\nFailure action: rollback\nAttempts: 1'
    asking.runbook(runbook(steps=step(1, CHECK, keys=keys), more=rollback))
    incident = asking.page()
    assert "nobody approved rollback step 1 in time" in incident.result
    assert asking.sandbox.commands() == [CHECK]


def test_a_verify_step_asks_for_no_approval(asking: World) -> None:
    verify = f"## Verify\n\n{step(1, CHECK, keys='Approval: required')}"
    asking.runbook(runbook(steps=step(1, CHECK), more=verify))
    assert "a Verify step only looks" in asking.page().result


ALLOWANCE = {"cleanup": {"effects": ["delete"], "runbooks": ["redis-connection-timeout"]}}
DELETE = "kubectl delete configmap feature-x -n production"


def deleting(world: World, *, allowances: dict[str, object]) -> str:
    world.configure(execution={"allowances": allowances})
    world.runbook(
        runbook(
            steps=step(1, DELETE),
            limits="- max_deletes: 1\n- allowance: cleanup\n- requires_human_approval: false",
        )
    )
    world.answers(DELETE, 'configmap "feature-x" deleted')
    return world.receive()


def test_what_only_an_allowance_grants_waits_for_a_yes_even_with_autonomy_auto(world: World) -> None:
    incident_id = deleting(world, allowances=ALLOWANCE)
    incident = world.handle(incident_id)
    assert incident.status is Status.ESCALATED
    assert incident.autonomy == "approve"
    assert "nobody approved the plan in time" in incident.result
    assert world.sandbox.commands() == []


def test_with_allowance_and_approval_a_delete_runs(world: World) -> None:
    incident_id = deleting(world, allowances=ALLOWANCE)

    def approve_the_plan(_: str) -> bool:
        answer = Decision(plan_of(world, incident_id).plan_hash, True, "Responder", world.clock.now())
        return world.store.decide(incident_id, answer)

    world.on_wait = approve_the_plan
    assert world.handle(incident_id).status is Status.RESOLVED
    assert world.store.charged(incident_id) == {"delete": 1}


def test_without_the_configs_allowance_a_delete_is_refused_before_anybody_is_asked(world: World) -> None:
    incident = world.handle(deleting(world, allowances={}))
    assert "no limit grants delete" in incident.result
    assert "approval_requested" not in world.kinds(incident.id)
