"""Values that one step prints and a later one uses."""

from __future__ import annotations

import pytest

from agent.domain.incident import Status
from agent.domain.records import Decision
from agent.pipeline.approval import step_hash
from agent.pipeline.capturing import bind_captured
from tests.unit.pipeline.conftest import SECRET, World, runbook, step

INFO, PING = "redis-cli INFO", "redis-cli PING"
SLOT = "## Parameters\n- key: captured; pattern /^[a-z0-9:-]+$/\n"
LOOK = step(1, INFO, keys="Capture: key from /hot key: (\\S+)/")
READ_IT = step(2, "redis-cli GET {{ key }}")
DROP_IT = "redis-cli DEL {{ key }}"


@pytest.fixture
def capturing(world: World) -> World:
    world.runbook(runbook(steps=LOOK + READ_IT, more=SLOT))
    world.answers(INFO, "hot key: cart:42")
    world.answers("redis-cli GET cart:42", "3 items")
    world.answers("redis-cli DEL cart:42", "1")
    return world


def test_a_captured_value_is_used_by_a_later_step(capturing: World) -> None:
    incident = capturing.page()
    assert incident.status is Status.RESOLVED
    assert capturing.sandbox.commands() == [INFO, "redis-cli GET cart:42"]
    assert any("$ redis-cli GET cart:42" in text for text in capturing.told(incident.id))


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("hot key: CART;rm", "does not match"),
        ("hot key: --cluster", "begins with a hyphen"),
        ("hot key: $(reboot)", "does not match"),
        ("nothing is hot", "has nothing at"),
        (f"hot key: {SECRET}", "does not match"),
    ],
)
def test_a_captured_value_is_held_to_its_declaration(capturing: World, output: str, why: str) -> None:
    capturing.answers(INFO, output)
    incident = capturing.page()
    assert incident.status is Status.ESCALATED
    assert why in incident.result
    assert capturing.sandbox.commands() == [INFO]


def test_what_changes_something_by_a_captured_value_is_refused_without_its_own_approval(
    capturing: World,
) -> None:
    capturing.runbook(runbook(steps=LOOK + step(2, DROP_IT), more=SLOT))
    incident = capturing.page()
    assert "add `Approval: required` to the step" in incident.result
    assert capturing.sandbox.commands() == [INFO]
    assert capturing.store.charged(incident.id) == {}


def approving(world: World, incident_id: str) -> None:
    """Somebody says yes to the second step as it was bound."""

    def approve(_: str) -> bool:
        asked = [e for e in world.store.timeline(incident_id) if e.kind.value == "approval_requested"]
        answer = Decision(str(asked[-1].data["plan_hash"]), True, "Responder", world.clock.now())
        return world.store.decide(incident_id, answer)

    world.on_wait = approve


def test_with_its_own_approval_it_shows_the_bound_command_and_is_charged(capturing: World) -> None:
    capturing.runbook(runbook(steps=LOOK + step(2, DROP_IT, keys="Approval: required"), more=SLOT))
    incident_id = capturing.receive()
    approving(capturing, incident_id)
    assert capturing.handle(incident_id).status is Status.RESOLVED
    (asked,) = [text for text in capturing.told(incident_id) if text.startswith("✋")]
    assert asked.splitlines()[1:] == ["    steps 2: redis-cli DEL cart:42  [1 × cache_operation]"]
    assert capturing.store.charged(incident_id) == {"cache_operation": 1}


def test_a_yes_binds_to_the_value_that_was_captured(capturing: World) -> None:
    capturing.runbook(runbook(steps=LOOK + step(2, DROP_IT, keys="Approval: required"), more=SLOT))
    incident_id = capturing.receive()
    approving(capturing, incident_id)
    capturing.handle(incident_id)
    plan = capturing.store.plan(incident_id)
    assert plan is not None
    context, book = capturing.context, capturing.context.library.runbooks["redis-connection-timeout"]
    bound = bind_captured(context, incident_id, book, plan, step=book.steps[1], planned=plan.steps[1])
    hashes = {step_hash(plan, plan.steps[1]), step_hash(plan, bound)}
    assert len(hashes) == 2
    assert capturing.store.decision(incident_id, step_hash(plan, bound)) is not None


def test_the_limits_hold_for_what_is_bound_late_too(capturing: World) -> None:
    capturing.runbook(
        runbook(
            steps=LOOK + step(2, DROP_IT, keys="Approval: required"), more=SLOT, limits="- max_commands: 9"
        )
    )
    incident = capturing.page()
    assert "max_cache_operations is 0" in incident.result
    assert capturing.sandbox.commands() == [INFO]


def test_a_value_of_a_step_that_failed_is_no_value(capturing: World) -> None:
    keys = (
        'Capture: key from /hot key: (\\S+)/\nExpected output: "never"\nFailure action: continue\nAttempts: 1'
    )
    capturing.runbook(runbook(steps=step(1, INFO, keys=keys) + READ_IT, more=SLOT))
    assert "no step that captures it has succeeded" in capturing.page().result


def test_a_verify_step_may_look_at_what_was_captured(capturing: World) -> None:
    verify = f"## Verify\n\n{step(1, 'redis-cli GET {{ key }}', keys='')}"
    capturing.runbook(runbook(steps=LOOK, more=f"{SLOT}\n{verify}"))
    assert capturing.page().status is Status.RESOLVED
    assert capturing.sandbox.commands() == [INFO, "redis-cli GET cart:42"]


def test_a_verify_step_changes_nothing_by_what_was_captured(capturing: World) -> None:
    verify = f"## Verify\n\n{step(1, DROP_IT, keys='')}"
    capturing.runbook(runbook(steps=LOOK, more=f"{SLOT}\n{verify}"))
    incident = capturing.page()
    assert incident.status is Status.ESCALATED
    assert capturing.sandbox.commands() == [INFO]


def test_an_approval_of_the_plan_names_what_is_bound_later(capturing: World) -> None:
    limits = "- max_cache_operations: 1\n- requires_human_approval: true"
    capturing.runbook(runbook(steps=LOOK + READ_IT, more=SLOT, limits=limits))
    incident = capturing.page()
    (asked,) = [text for text in capturing.told(incident.id) if text.startswith("✋")]
    assert asked.splitlines()[-1] == "    steps 2: Step 2  [bound when key is captured]"
