"""`choose`: a human says which of the offered runbooks answers an incident."""

from __future__ import annotations

import pytest

from agent.domain.incident import Status
from tests.integration.cli.conftest import Result, Shell
from tests.unit.pipeline.conftest import World, runbook, step


@pytest.fixture
def torn(world: World) -> World:
    """Two runbooks whose conditions hold and whose words are the same."""
    for name in ("one", "two"):
        world.runbook(runbook(steps=step(1, "redis-cli PING")), name)
    world.answers("redis-cli PING", "PONG")
    return world


def choosing(world: World, shell: Shell, *commands: tuple[str, ...]) -> tuple[str, list[Result]]:
    """What the commands answer while the incident waits for a choice."""
    results: list[Result] = []

    def decide(_: str) -> bool:
        if results:
            return False  # nothing more comes: the time runs out
        results.extend(shell(*command) for command in commands)
        return True

    world.on_wait = decide
    return world.page().id, results


def test_the_chosen_runbook_runs(shell: Shell, torn: World) -> None:
    incident_id, (chosen,) = choosing(torn, shell, ("choose", "P1", "two"))
    assert (chosen.code, chosen.out, chosen.err) == (0, f"chosen: two for {incident_id}\n", "")
    incident = torn.store.incident(incident_id)
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "two")
    assert any("(command line) chose two" in text for text in torn.told(incident_id))


def test_only_the_first_choice_counts(shell: Shell, torn: World) -> None:
    incident_id, (first, second) = choosing(
        torn, shell, ("choose", "P1", "two", "--json"), ("choose", "P1", "one")
    )
    assert (first.json["incident"], first.json["runbook"]) == (incident_id, "two")
    assert (second.code, second.err) == (1, f"error: somebody already chose for {incident_id}\n")


def test_what_is_not_offered_cannot_be_chosen(shell: Shell, torn: World) -> None:
    torn.runbook(runbook(steps=step(1, "redis-cli PING"), triggers='- Alert contains: "disk"'), "three")
    _, (refused, _) = choosing(torn, shell, ("choose", "P1", "three"), ("choose", "P1", "one"))
    assert (refused.code, refused.err) == (1, "error: three is not offered; choose one of one, two\n")


def test_what_waits_for_no_choice_gets_none(shell: Shell, torn: World) -> None:
    incident_id = torn.page().id
    refused = shell("choose", incident_id, "one")
    assert refused.code == 1
    assert refused.err == f"error: {incident_id} does not wait for a choice, it is escalated\n"


def test_after_its_time_a_choice_is_refused(shell: Shell, torn: World) -> None:
    torn.clock.sleep(-3_600)
    _, (refused,) = choosing(torn, shell, ("choose", "P1", "one"))
    assert refused.code == 1
    assert "the time to choose" in refused.err


def test_a_match_shows_probabilities_and_what_the_scores_say(shell: Shell, torn: World) -> None:
    result = shell("match", "--alert", shell.alert("redis", "Redis connection timeout"), "--json")
    assert result.json["decision"] == "ambiguous"
    assert [row["holds"] for row in result.json["ranked"]] == [True, True]
    assert all(0 < row["probability"] < 0.8 for row in result.json["ranked"])
    assert result.json["ranked"][0]["scores"]


def test_another_one_is_chosen_while_a_plan_is_asked_about(shell: Shell, torn: World) -> None:
    for name in ("one", "two"):
        asks = "- requires_human_approval: true"
        torn.runbook(runbook(limits=asks, steps=step(1, "redis-cli PING")), name)
    incident_id = torn.receive()
    commands = [
        ("choose", "P1", "one"),
        ("choose", "P1", "two"),
        ("choose", "P1", "three"),
        ("approve", "P1"),
    ]
    results: list[Result] = []

    def decide(_: str) -> bool:
        if not commands:
            return False
        results.append(shell(*commands.pop(0)))
        return True

    torn.on_wait = decide
    incident = torn.handle(incident_id)
    assert [each.code for each in results] == [0, 0, 1, 0]
    assert results[2].err == "error: three is not offered; choose one of one\n"
    assert (incident.status, incident.runbook_id) == (Status.RESOLVED, "two")
