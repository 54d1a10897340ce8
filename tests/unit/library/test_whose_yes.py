"""Whose yes a runbook takes, and what follows where none comes: read strictly, with the line and the fix."""

from __future__ import annotations

import pytest

from agent.domain.approvals import Demand, Lapse
from agent.domain.runbook import Autonomy, Runbook
from agent.library import Broken, Parsed, parse
from agent.library.lint import lint
from tests.unit.pipeline.conftest import runbook, step

STEPS = step(1, "redis-cli PING")


def read(limits: str, more: str = "", head: str = "") -> Runbook:
    parsed = parse(head + runbook(limits=limits, steps=STEPS, more=more), path="a.md")
    assert isinstance(parsed, Parsed), parsed
    return parsed.runbook


def problem(limits: str, more: str = "") -> str:
    broken = parse(runbook(limits=limits, steps=STEPS, more=more), path="a.md")
    assert isinstance(broken, Broken)
    return str(broken.problems[0])


def test_how_many_who_and_four_eyes_are_read() -> None:
    limits = "- **Approvals:** 2\n- approvers: team:governance, alice\n- four_eyes: true"
    assert read(limits).blast_radius.demand == Demand(2, ("team:governance", "alice"), four_eyes=True)


def test_a_runbook_that_says_nothing_demands_nothing() -> None:
    assert read("- four_eyes: false").blast_radius.demand is None


def test_whose_yes_it_takes_means_that_it_waits_for_one() -> None:
    found = read("- approvals: 1", head="---\nautonomy: auto\n---\n")
    assert found.autonomy_or(Autonomy.AUTO) is Autonomy.APPROVE
    assert found.bound is Autonomy.APPROVE
    assert "it says whose yes it takes; it will ask" in " ".join(each.message for each in lint(found))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("- approvals: 0", "0 people cannot be asked"),
        ("- approvals: 11", "write 1 to 10"),
        ("- approvals: two", "not a whole number"),
        ("- approvers: two words", "neither a person nor a team"),
        ("- four_eyes: maybe", "neither yes nor no"),
        ("- approvals: 2\n- requires_human_approval: false", "whose yes it takes"),
        ("- approval: 2", "did you mean approvals?"),
    ],
)
def test_what_is_not_understood_is_an_error(limits: str, words: str) -> None:
    assert words in problem(limits)


def test_what_follows_where_no_yes_comes_is_read() -> None:
    notes = read(
        "- approvals: 1", "## Escalation\n- If rejected: stand down\n- **If expired:** escalate\n"
    ).escalation
    assert (notes.if_rejected, notes.if_expired) == (Lapse.STAND_DOWN, Lapse.ESCALATE)


def test_what_follows_is_one_of_two() -> None:
    assert "write escalate or stand down" in problem(
        "- approvals: 1", "## Escalation\n- If expired: ignore\n"
    )


def test_prose_about_it_stays_prose() -> None:
    notes = read("- approvals: 1", "## Escalation\nIf it is rejected, call the team.\n").escalation
    assert notes.prose == "If it is rejected, call the team."
