"""Limits, counts and turns as the thread tells them."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from agent.adapters.inline_run import InlineRun
from agent.domain.access import Access, ChangeForm, CloudRight, ClusterChange, ClusterRight, Network
from agent.domain.alert import Alert
from agent.domain.command import PricedCommand
from agent.domain.decisions import Attempt, AttemptEnd, Section, StandDown
from agent.domain.effects import BlastRadius, Effect, EffectClass
from agent.domain.incident import Status
from agent.domain.limits import Charge
from agent.domain.records import AttemptKey, Begun, Decision
from agent.pipeline.handle import handle
from agent.pipeline.pricing import grown
from tests.unit.pipeline.conftest import ALERT, Pods, World, runbook, step

FLUSH, CHECK = "redis-cli FLUSHDB", "redis-cli PING"
RESTART = "kubectl rollout restart deployment/api -n production"
EXPECT_OK = 'Expected output: "OK"\nFailure action: escalate'
ROLLOUTS = "- max_rollouts: 2\n- max_pod_restarts: 6"


def refusals(world: World, incident_id: str) -> list[str]:
    return [text for text in world.told(incident_id) if text.startswith("🛑")]


def hold_a_rollout(world: World, *, lasts_s: float, namespace: str = "production") -> tuple[str, AttemptKey]:
    """Another incident is in the middle of a rollout."""
    other = world.store.open_manual(Alert("manual", "other", "Something else"))
    key = AttemptKey(other, Section.STEPS, 1, 1)
    effect = Effect(EffectClass.ROLLOUT, "deployment/web", 1, namespace)
    radius = BlastRadius({EffectClass.ROLLOUT: 1})
    charge = Charge((effect,), 1, radius, runbook="web-down", cluster="default", lasts_s=lasts_s)
    assert world.store.begin_attempt(key, title="Restart", charge=charge) == Begun()
    return other, key


@pytest.fixture
def cluster(world: World) -> World:
    world.counter = Pods()
    world.counter.pods["production/deployment/api"] = 3
    world.runbook(runbook(steps=step(1, RESTART, keys="Attempts: 1"), limits=ROLLOUTS))
    world.answers(RESTART, "deployment.apps/api restarted")
    return world


def test_a_retry_over_the_limit_tells_limit_used_and_asked(world: World) -> None:
    world.runbook(runbook(steps=step(1, FLUSH, keys=EXPECT_OK)))
    world.answers(FLUSH, "ERR")
    incident = world.page()
    assert refusals(world, incident.id) == [
        "🛑 Step 1 attempt 2 refused: max_cache_operations is 1: "
        "1 used by this incident (step 1, attempt 1), this attempt asks for 1 more; "
        "raise the limit in this runbook if the action is safe"
    ]
    assert world.store.charged(incident.id) == {"cache_operation": 1}
    assert world.sandbox.commands() == [FLUSH]
    assert "max_cache_operations is 1: 1 used by this incident" in world.pager.open_pages[0].summary


def test_a_limit_that_other_incidents_used_up_is_refused_before_anything_runs(world: World) -> None:
    world.configure(limits={"per_hour": {"cache_operations": 1}})
    world.runbook(runbook(steps=step(1, CHECK) + step(2, FLUSH, keys=EXPECT_OK)))
    world.answers(CHECK, "PONG")
    world.answers(FLUSH, "OK")
    first = world.page()
    second = world.page(source_id="P2", title="Redis is slow")
    assert (first.status, second.status) == (Status.RESOLVED, Status.ESCALATED)
    assert refusals(world, second.id) == [
        "🛑 Refused before anything ran:\n    limits.per_hour.cache_operations is 1: 1 used in the last hour "
        f"by redis-connection-timeout ({first.id}), this attempt asks for 1 more; "
        "it holds across incidents: look at what else is going on before you raise it"
    ]
    assert world.sandbox.commands() == [CHECK, FLUSH]


def test_a_limit_that_is_used_up_between_the_plan_and_the_attempt_is_refused_too(world: World) -> None:
    world.configure(limits={"per_service": {"per_day": {"cache_operations": 1}}})
    limits = "- max_cache_operations: 1\n- requires_human_approval: true"
    world.runbook(runbook(steps=step(1, FLUSH, keys="Attempts: 1"), limits=limits))
    world.answers(FLUSH, "OK")
    incident_id = world.receive()

    def meanwhile(_: str) -> bool:
        radius = BlastRadius({EffectClass.CACHE_OPERATION: 1})
        effect = Effect(EffectClass.CACHE_OPERATION, "redis")
        charge = Charge((effect,), 1, radius, service="api-gateway", runbook="other", cluster="default")
        other = world.store.open_manual(replace(ALERT, source_id="P9"))
        world.store.begin_attempt(AttemptKey(other, Section.STEPS, 1, 1), title="Flush", charge=charge)
        plan = world.store.plan(incident_id)
        assert plan is not None
        return approve(world, incident_id, plan.plan_hash)

    world.on_wait = meanwhile
    assert world.handle(incident_id).status is Status.ESCALATED
    assert "limits.per_service.per_day.cache_operations is 1" in refusals(world, incident_id)[0]
    assert "for service api-gateway by other" in refusals(world, incident_id)[0]
    assert world.sandbox.commands() == []


def approve(world: World, incident_id: str, decides: str) -> bool:
    return world.store.decide(incident_id, Decision(decides, True, "Responder", world.clock.now()))


def test_more_commands_than_max_commands_are_refused_at_the_retry(world: World) -> None:
    limits = "- max_cache_operations: 5\n- max_commands: 1"
    world.runbook(runbook(steps=step(1, FLUSH, keys=EXPECT_OK), limits=limits))
    world.answers(FLUSH, "ERR", "OK")
    incident = world.page()
    assert (
        "max_commands is 1: 1 used by this incident, this attempt asks for 1"
        in refusals(world, incident.id)[0]
    )


def test_a_workload_that_has_grown_since_the_plan_is_not_restarted(cluster: World) -> None:
    limits = f"{ROLLOUTS}\n- requires_human_approval: true"
    cluster.runbook(runbook(steps=step(1, RESTART), limits=limits))
    incident_id = cluster.receive()

    def grow(_: str) -> bool:
        assert cluster.counter is not None
        cluster.counter.pods["production/deployment/api"] = 5
        plan = cluster.store.plan(incident_id)
        assert plan is not None
        return approve(cluster, incident_id, plan.plan_hash)

    cluster.on_wait = grow
    assert cluster.handle(incident_id).status is Status.ESCALATED
    assert "has 5 pods now, 3 were planned" in refusals(cluster, incident_id)[0]
    assert cluster.sandbox.commands() == []
    assert cluster.store.charged(incident_id) == {}


def test_what_cannot_be_counted_is_refused_before_anything_runs(cluster: World) -> None:
    cluster.counter = None
    incident = cluster.page()
    assert incident.status is Status.ESCALATED
    assert cluster.sandbox.commands() == []


def test_fewer_pods_than_planned_are_charged_as_they_are_now(cluster: World) -> None:
    def shrink(_: str) -> bool:
        assert cluster.counter is not None
        cluster.counter.pods["production/deployment/api"] = 2
        return approve(cluster, incident_id, getattr(cluster.store.plan(incident_id), "plan_hash", ""))

    limits = f"{ROLLOUTS}\n- requires_human_approval: true"
    cluster.runbook(runbook(steps=step(1, RESTART), limits=limits))
    incident_id = cluster.receive()
    cluster.on_wait = shrink
    assert cluster.handle(incident_id).status is Status.RESOLVED
    assert cluster.store.charged(incident_id) == {"rollout": 1, "pod_restart": 2}
    (ran,) = cluster.sandbox.ran
    assert [change.pods for change in ran.commands[0].access.changes] == [2]


def test_the_same_words_with_another_count_are_another_plan(cluster: World) -> None:
    first = cluster.store.plan(cluster.page().id)
    assert cluster.counter is not None
    cluster.counter.pods["production/deployment/api"] = 2
    second = cluster.store.plan(cluster.page(source_id="P2", title="Redis is slow").id)
    assert first is not None
    assert second is not None
    assert first.plan_hash != second.plan_hash


def test_a_rollout_waits_for_the_one_that_is_under_way_and_says_so_once(cluster: World) -> None:
    other, key = hold_a_rollout(cluster, lasts_s=20)
    incident = cluster.page()
    assert incident.status is Status.RESOLVED
    waits = [text for text in cluster.told(incident.id) if text.startswith("⏸️")]
    assert waits == [
        f"⏸️ Step 1 waits: only one rollout at a time in namespace production: web-down ({other}) is at it"
    ]
    assert 50 <= cluster.clock.monotonic() < 60
    assert cluster.store.attempts(key.incident_id)[0].reason == "not ended yet"


def test_a_rollout_goes_on_as_soon_as_the_other_one_has_ended(cluster: World) -> None:
    _, key = hold_a_rollout(cluster, lasts_s=300)
    clock_sleep, ended = cluster.clock.sleep, Attempt(Section.STEPS, 1, 1, AttemptEnd.SUCCEEDED)

    def sleep(seconds: float) -> None:
        clock_sleep(seconds)
        if cluster.clock.monotonic() > 10:
            cluster.store.end_attempt(key, ended)

    cluster.clock.sleep = sleep  # type: ignore[method-assign]
    assert cluster.page().status is Status.RESOLVED
    assert cluster.clock.monotonic() < 15


def test_a_rollout_that_waits_past_the_incidents_time_pages_with_the_name_of_the_holder(
    cluster: World,
) -> None:
    cluster.configure(execution={"incident_deadline_s": 30})
    other, _ = hold_a_rollout(cluster, lasts_s=300)
    incident = cluster.page()
    assert incident.status is Status.ESCALATED
    assert "the incident's time is over while it waited: only one rollout at a time" in incident.result
    assert f"web-down ({other}) is at it" in incident.result
    assert cluster.store.charged(incident.id) == {}


def test_a_human_who_takes_over_while_a_rollout_waits_keeps_it(cluster: World) -> None:
    hold_a_rollout(cluster, lasts_s=300)
    incident_id = cluster.receive()
    clock_sleep = cluster.clock.sleep

    def sleep(seconds: float) -> None:
        clock_sleep(seconds)
        cluster.store.stand_down(incident_id, StandDown("Responder", "took over"))

    cluster.clock.sleep = sleep  # type: ignore[method-assign]
    assert cluster.handle(incident_id).status is Status.STOOD_DOWN
    assert cluster.sandbox.commands() == []


def test_a_rollout_in_another_namespace_does_not_wait(cluster: World) -> None:
    hold_a_rollout(cluster, lasts_s=300, namespace="staging")
    assert cluster.page().status is Status.RESOLVED
    assert cluster.clock.monotonic() == 0


def test_a_rollout_that_waits_does_not_hold_up_a_shutdown(cluster: World) -> None:
    hold_a_rollout(cluster, lasts_s=300)
    incident_id = cluster.receive()
    clock_sleep, tick = cluster.clock.sleep, threading.Event()
    closing = threading.Thread(target=lambda: closed.append(cluster.gate.close(grace_s=10)))
    closed: list[bool] = []

    def sleep(seconds: float) -> None:
        clock_sleep(seconds)
        closing.start()
        while not cluster.gate.is_closing:
            tick.wait(0.001)

    cluster.clock.sleep = sleep  # type: ignore[method-assign]
    arguments = (InlineRun(cluster.clock), cluster.context, incident_id)
    threading.Thread(target=handle, args=arguments, daemon=True).start()
    while closing.ident is None:
        tick.wait(0.001)
    closing.join(10)
    assert closed == [True]
    assert cluster.store.attempts(incident_id) == []
    assert not cluster.store.incident(incident_id).status.is_terminal


PLANNED = PricedCommand(
    ("curl", "https://api.example.com"),
    (Effect(EffectClass.READ, "it"),),
    access=Access(Network.EGRESS, hosts=("api.example.com:443",)),
)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (Access(Network.EGRESS, hosts=("api.example.com:443", "other:80")), "host other:80"),
        (Access(Network.DIRECT, hosts=("api.example.com:443",)), "network direct"),
        (replace(PLANNED.access, writes=("/data",)), "writes /data"),
        (replace(PLANNED.access, keeps_user=True), "the agent's user"),
        (replace(PLANNED.access, executable_sha256="1" * 64), "program 1111"),
        (replace(PLANNED.access, cloud=(CloudRight("ec2:RebootInstances"),)), "AWS ec2:RebootInstances on *"),
    ],
)
def test_what_would_reach_further_than_planned_is_refused(now: Access, why: str) -> None:
    refusal = grown([PLANNED], [replace(PLANNED, access=now)])
    assert refusal is not None
    assert f"curl would reach further than planned: {why}" in refusal.reason


def test_a_scale_that_starts_from_another_number_is_another_change() -> None:
    right = ClusterRight("patch", "deployments", "apps", "scale", "production", "api")
    scale = ClusterChange(right, ChangeForm.SCALE, replicas=4, from_replicas=3)
    before = PricedCommand(("kubectl", "scale"), access=Access(Network.CLUSTER, changes=(scale,)))
    now = replace(before, access=Access(Network.CLUSTER, changes=(replace(scale, from_replicas=9),)))
    refusal = grown([before], [now])
    assert refusal is not None
    assert "Kubernetes scale of deployments in production from 9 to 4" in refusal.reason
    assert grown([before], [before]) is None


def test_pods_that_were_replaced_since_the_plan_are_no_growth() -> None:
    right = ClusterRight("delete", "pods", namespace="production")
    delete = ClusterChange(right, ChangeForm.DELETE, at_most=2, names=("api-1", "api-2"))
    before = PricedCommand(("kubectl", "delete"), access=Access(Network.CLUSTER, changes=(delete,)))
    replaced = replace(delete, names=("api-2", "api-3"))
    now = replace(before, access=Access(Network.CLUSTER, changes=(replaced,)))
    assert grown([before], [now]) is None


def test_a_refused_first_attempt_pages_whatever_the_failure_action_says(cluster: World) -> None:
    steps = step(1, RESTART, keys="Attempts: 1\nFailure action: continue") + step(2, CHECK)
    cluster.runbook(runbook(steps=steps, limits=f"{ROLLOUTS}\n- requires_human_approval: true"))
    cluster.answers(CHECK, "PONG")
    incident_id = cluster.receive()

    def grow(_: str) -> bool:
        assert cluster.counter is not None
        cluster.counter.pods["production/deployment/api"] = 5
        plan = cluster.store.plan(incident_id)
        assert plan is not None
        return approve(cluster, incident_id, plan.plan_hash)

    cluster.on_wait = grow
    assert cluster.handle(incident_id).status is Status.ESCALATED
    assert cluster.sandbox.commands() == []
    (attempt,) = cluster.store.attempts(incident_id)
    assert attempt.end is AttemptEnd.REFUSED
