"""Decision events on the command line: from Keeptrusts on loopback, from a file; tickets of action items."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.domain.outbox import Channel, OpenTicket
from agent.simulators.keeptrusts import KeeptrustsSimulator
from agent.simulators.server import Fault
from tests.integration.cli.conftest import Shell
from tests.unit.pipeline.conftest import World


@pytest.fixture(scope="module")
def served() -> Iterator[KeeptrustsSimulator]:
    with KeeptrustsSimulator() as simulator:
        yield simulator


@pytest.fixture
def keeptrusts(served: KeeptrustsSimulator) -> KeeptrustsSimulator:
    served.behave()
    served.state.events.clear()
    return served


@pytest.fixture
def story(world: World) -> str:
    """An incident that nobody has settled; its id."""
    return world.page(title="HighBlockRate", service="kt-gateway").id


def told(world: World, number: int, **more: Any) -> dict[str, Any]:
    at = world.clock.now() - timedelta(minutes=10) + timedelta(seconds=number)
    return {
        "id": f"evt_{number}",
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "decision": "blocked" if number % 2 else "allowed",
        "user_id": f"user-{number}@example.com",
        "policy_evaluations": [{"policy_name": "broad-filter", "result": "block" if number % 2 else "allow"}],
        "prompt": "what nobody else is to read",
        **more,
    }


def configured(shell: Shell, keeptrusts: KeeptrustsSimulator, **more: Any) -> None:
    (shell.directory / "token").write_text(keeptrusts.api_token)
    section = {"api_url": keeptrusts.url, "api_token": {"file": str(shell.directory / "token")}}
    shell.configure(keeptrusts=section, **more)


def test_what_keeptrusts_decided_is_taken_in_for_the_incidents_window(
    shell: Shell, world: World, story: str, keeptrusts: KeeptrustsSimulator
) -> None:
    long_ago = f"{world.clock.now() - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"
    keeptrusts.add_events(told(world, 99, timestamp=long_ago), *(told(world, number) for number in range(6)))
    configured(shell, keeptrusts)
    made = shell("postmortem", story, "--events")
    assert made.code == 0, made.err
    assert "Keeptrusts: 6 events, 6 of them new" in made.err
    assert "- Total events during window: 6\n- Blocked: 3 (50%)" in made.out
    assert "| broad-filter | 3 |" in made.out
    assert "Keeptrusts: 6 events, 0 of them new" in shell("postmortem", story, "--events").err
    entries = [each for each in world.told(story) if "decision events were taken in" in each]
    assert len(entries) == 1
    with world.store.database.reading() as connection:
        kept = str(connection.exec_driver_sql("SELECT * FROM decision_events").all())
    assert "nobody else" not in kept


@pytest.mark.parametrize(
    ("status", "words"), [(401, "answered 401"), (500, "answered 500"), (302, "answered 302")]
)
def test_a_keeptrusts_that_does_not_answer_is_told_and_the_token_is_not(
    shell: Shell, world: World, story: str, keeptrusts: KeeptrustsSimulator, status: int, words: str
) -> None:
    configured(shell, keeptrusts)
    keeptrusts.misbehave(Fault(status=status))
    made = shell("postmortem", story, "--events")
    assert made.code == 2
    assert words in made.err
    assert keeptrusts.api_token not in made.err + made.out


def test_without_a_token_it_says_what_else_can_be_done(shell: Shell, story: str) -> None:
    assert "--events-file" in shell("postmortem", story, "--events").err


def test_an_export_is_taken_in_line_by_line(shell: Shell, world: World, story: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    lines = [json.dumps(told(world, number, overturned=True)) for number in range(4)]
    bad = [
        "not json",
        "[]",
        '{"id": "x"}',
        '{"id": "x", "timestamp": "then", "decision": "blocked"}',
        "[" * 10_000,
    ]
    file.write_text("\n".join([*lines, "", *bad, lines[0]]))
    made = shell("postmortem", story, "--events-file", str(file))
    assert "events.jsonl: 5 events, 4 of them new; 5 lines are no events" in made.err
    assert "- Incorrectly blocked: 2 (50%), as reviewers said" in made.out
    out = tmp_path / "e.zip"
    again = shell("export", "--incident", story, "--events-file", str(file), "--out", str(out))
    assert "4 decision events" in again.out
    assert "cannot be read" in shell("postmortem", story, "--events-file", "none.jsonl").err


JIRA = {"url": "http://127.0.0.1:1", "email": "agent@example.com", "project": "AIGOV"}


def test_action_items_become_one_ticket_each_however_often(shell: Shell, world: World, story: str) -> None:
    (shell.directory / "jira").write_text("a-jira-token")
    shell.configure(jira={**JIRA, "api_token": {"file": str(shell.directory / "jira")}})
    made = shell("postmortem", story, "--tickets")
    assert made.code == 0, made.err
    assert f"a ticket is asked for: postmortem-{story}-1" in made.err
    assert "1 were asked for before" in shell("postmortem", story, "--tickets").err
    (letter,) = world.store.next_letters(Channel.TICKET, 10)
    assert isinstance(letter.message, OpenTicket)
    assert letter.message.key == f"postmortem-{story}-1"
    assert letter.message.summary == "Write a runbook for “HighBlockRate” on kt-gateway"
    assert letter.message.project == "AIGOV"
    assert any("has tickets opened for 1 action item" in each for each in world.told(story))


def test_without_a_tracker_no_ticket_is_promised(shell: Shell, world: World, story: str) -> None:
    made = shell("postmortem", story, "--tickets")
    assert made.code == 2
    assert "there is no tracker: add `jira` to config.yaml" in made.err
    assert world.store.next_letters(Channel.TICKET, 10) == []


def test_without_a_model_none_is_asked(shell: Shell, story: str) -> None:
    assert "there is no model to ask" in shell("postmortem", story, "--llm").err
