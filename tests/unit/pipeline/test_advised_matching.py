"""The advisor in the pipeline: it chooses among what is offered, fills what is open, and never more."""

from __future__ import annotations

import pytest

from agent.adapters.fake_advisor import FakeAdvisor
from agent.domain.advice import Advice, NoAdvice, NoAdviceReason
from agent.domain.incident import Status
from agent.library.bindings import why_not_allowed
from tests.unit.pipeline.conftest import World, runbook, step

PINGS = step(1, "redis-cli PING", keys='Expected output: "PONG"')
SHARD = '## Parameters\n- shard: label "shard"; pattern /^s[0-9]+$/\n'
GET = step(1, "redis-cli GET {{ shard }}", keys='Expected output: "PONG"')


def advised(world: World, *answers: Advice | NoAdvice) -> FakeAdvisor:
    """The world with an advisor that says this."""
    advisor = FakeAdvisor(*answers, why_not_allowed=why_not_allowed)
    world.advisor = advisor
    return advisor


@pytest.fixture
def torn(world: World) -> World:
    for name in ("one", "two"):
        world.runbook(runbook(steps=PINGS), name)
    world.answers("redis-cli PING", "PONG")
    return world


@pytest.fixture
def open_value(world: World) -> World:
    """A runbook that wants a value that the alert does not carry."""
    world.runbook(runbook(steps=GET, more=SHARD))
    world.answers("redis-cli GET s7", "PONG")
    return world


def test_the_advisor_may_decide_between_equals_as_far_as_the_configuration_lets_it(torn: World) -> None:
    torn.configure(llm={"max_raise": 0.4, "min_confidence": 0.5}, matching={"min_confidence": 0.6})
    advised(torn, Advice("c2", 0.99, "it says so"))
    incident = torn.page()
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "two")
    assert any(
        text.startswith("💡 The advisor says two (0.99): it says so") for text in torn.told(incident.id)
    )


def test_what_the_advisor_says_is_held_to_its_own_least_confidence_too(torn: World) -> None:
    torn.configure(llm={"max_raise": 0.4, "min_confidence": 0.9}, matching={"min_confidence": 0.6})
    advised(torn, Advice("c2", 0.99, "it says so"))
    assert torn.page().status is Status.ESCALATED


def test_by_default_a_human_chooses_between_equals_whatever_the_advisor_says(torn: World) -> None:
    advised(torn, Advice("c2", 1.0, "surely"))
    incident = torn.page()
    assert incident.status is Status.ESCALATED
    assert torn.sandbox.commands() == []


def test_without_advice_rules_and_scores_stand_and_it_is_told(torn: World) -> None:
    advised(torn, NoAdvice(NoAdviceReason.TIMEOUT, "too slow"))
    incident = torn.page()
    assert "💡 No advice (timeout: too slow); rules and scores decide" in torn.told(incident.id)
    assert "More than one runbook matches" in incident.result


def test_where_nothing_is_open_nobody_is_asked(world: World) -> None:
    world.runbook(runbook(steps=PINGS))
    world.answers("redis-cli PING", "PONG")
    advisor = advised(world)
    assert world.page().status is Status.RESOLVED
    assert advisor.asked == []


def test_a_value_from_the_advisor_is_bound_and_the_plan_says_where_it_came_from(open_value: World) -> None:
    advised(open_value, Advice("c1", 0.95, "shard 7", {"shard": "s7"}))
    incident = open_value.page()
    assert incident.status is Status.RESOLVED
    assert any("shard = s7 (the advisor)" in text for text in open_value.told(incident.id))


@pytest.mark.parametrize("value", ["s7; redis-cli FLUSHALL", "../s7", "-s7", "x"])
def test_a_value_outside_its_declaration_is_no_advice(open_value: World, value: str) -> None:
    advised(open_value, Advice("c1", 0.95, "shard 7", {"shard": value}))
    incident = open_value.page()
    assert incident.status is Status.ESCALATED
    assert "parameter shard has no value" in incident.result
    assert open_value.sandbox.commands() == []


def test_an_advisor_that_finds_none_leaves_it_to_a_human(open_value: World) -> None:
    advised(open_value, Advice("", 0.9, "none of them"))
    incident = open_value.page()
    assert incident.status is Status.ESCALATED
    assert "It is not sure enough that redis-connection-timeout is the right runbook" in incident.result
