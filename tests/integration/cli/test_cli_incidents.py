from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from agent.adapters.audit_log import AuditLog
from agent.domain.incident import Status
from tests.integration.cli.conftest import SECRETS, Result, Shell, words
from tests.unit.pipeline.conftest import World, runbook, step

#: Where a user's name is looked for.
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")

APPROVE = runbook(steps=step(1, "redis-cli PING"), limits="- requires_human_approval: true")


@pytest.fixture
def story(world: World) -> World:
    """One incident that was resolved and, a minute later, one that needs a human."""
    world.runbook(runbook(steps=step(1, "redis-cli PING")))
    world.answers("redis-cli PING", "PONG")
    world.page()
    world.clock.sleep(60)
    world.page(title="Disk [bold]full[/bold]", source_id="P2")
    return world


def ids(world: World) -> tuple[str, str]:
    newest, oldest = world.store.incidents()
    return oldest.id, newest.id


def test_without_incidents_it_says_so(shell: Shell) -> None:
    assert shell("incidents").out == "no incidents\n"
    assert shell("incidents", "--json").json == []
    assert shell("escalations").out == "nothing waits for a human\n"
    assert shell("escalations", "--json").json == []


def test_incidents_are_listed_newest_first(shell: Shell, story: World) -> None:
    resolved, escalated = ids(story)
    result = shell("incidents")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].split() == ["id", "received", "status", "runbook", "title"]
    assert words(lines[1]).startswith(f"{escalated} ")
    assert "Disk [bold]full[/bold]" in lines[1]
    assert "resolved redis-connection-timeout Redis connection timeout" in words(lines[2])
    told = shell("incidents", "--json").json
    assert [each["id"] for each in told] == [escalated, resolved]


def test_incidents_are_filtered_and_limited(shell: Shell, story: World) -> None:
    resolved, escalated = ids(story)
    assert [each["id"] for each in shell("incidents", "--status", "resolved", "--json").json] == [resolved]
    assert [each["id"] for each in shell("incidents", "--limit", "1", "--json").json] == [escalated]
    assert shell("incidents", "--status", "done").code == 2
    assert shell("incidents", "--limit", "0").code == 2


def test_an_incident_is_shown_by_either_of_its_ids(shell: Shell, story: World) -> None:
    resolved, _ = ids(story)
    result = shell("show", resolved)
    assert result.code == 0
    assert f"{resolved}  pagerduty P1  runbook redis-connection-timeout" in result.out
    assert "✅ Incident resolved automatically" in result.out
    assert shell("show", "P1").out == result.out
    assert shell("show", "P1", "--json").json["id"] == resolved


def test_an_unknown_incident_is_told_with_words(shell: Shell, story: World) -> None:
    for command in ("show", "approve", "reject"):
        result = shell(command, "inc-0")
        assert result.code == 2
        assert result.err == "error: there is no incident inc-0; `oncall-agent incidents` lists them\n"


def test_what_waits_for_a_human_is_listed_with_why(shell: Shell, story: World) -> None:
    _, escalated = ids(story)
    result = shell("escalations")
    assert result.code == 0
    assert escalated in result.out
    assert "No matching runbook found" in result.out
    (row,) = shell("escalations", "--json").json
    assert (row["incident_id"], row["trigger"], row["status"]) == (escalated, "no_match", "open")


def awaiting(world: World, shell: Shell, *commands: tuple[str, ...]) -> tuple[str, list[Result]]:
    """An incident that waits for an approval while the commands are typed; its id and what they said."""
    world.runbook(APPROVE)
    world.answers("redis-cli PING", "PONG")
    incident_id = world.receive()
    results: list[Result] = []

    def decide(_: str) -> bool:
        results.extend(shell(*command) for command in commands)
        return True

    world.on_wait = decide
    world.handle(incident_id)
    return incident_id, results


def test_an_approved_plan_runs(shell: Shell, world: World) -> None:
    incident_id, (approved,) = awaiting(world, shell, ("approve", "P1"))
    assert (approved.code, approved.err) == (0, "")
    assert approved.out.startswith(f"approved: {incident_id}, plan ")
    assert world.store.incident(incident_id).status is Status.RESOLVED
    assert any("Approved by" in text and "(command line)" in text for text in world.told(incident_id))


def test_a_rejected_plan_does_not_run(shell: Shell, world: World) -> None:
    incident_id, (rejected,) = awaiting(world, shell, ("reject", "P1", "--json"))
    assert rejected.code == 0
    assert (rejected.json["incident"], rejected.json["decision"]) == (incident_id, "rejected")
    assert world.store.incident(incident_id).status is Status.ESCALATED
    assert world.sandbox.commands() == []


def test_only_the_first_word_counts(shell: Shell, world: World) -> None:
    incident_id, (first, second) = awaiting(world, shell, ("approve", "P1", "--json"), ("reject", "P1"))
    assert first.json["decision"] == "approved"
    assert (second.code, second.err) == (1, f"error: somebody already decided on {incident_id}\n")


def test_what_waits_for_no_approval_cannot_be_approved(shell: Shell, story: World) -> None:
    resolved, _ = ids(story)
    for command in ("approve", "reject"):
        result = shell(command, resolved)
        assert result.code == 1
        assert result.err == f"error: {resolved} does not wait for an approval, it is resolved\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_may_decide_too() -> None:
    code = "import os, pwd; from agent.cli.incidents import operator; os.setuid(54321); print(operator())"
    nameless = {name: value for name, value in os.environ.items() if name not in NAMES}
    assert subprocess.run(
        [sys.executable, "-c", code], env=nameless, capture_output=True, text=True
    ).stdout == ("user 54321\n")


def test_an_untouched_audit_log_is_intact(shell: Shell, story: World) -> None:
    entries = AuditLog(shell.directory / "audit.jsonl", story.store).catch_up()
    result = shell("audit", "verify")
    assert result.code == 0
    assert result.out.startswith(f"intact: {entries} entries, head ")
    told = shell("audit", "verify", "--json").json
    assert (told["intact"], told["entries"]) == (True, entries)
    assert shell("audit", "verify", "--file", "audit.jsonl").code == 0


def test_a_changed_word_in_the_audit_log_is_a_finding(shell: Shell, story: World) -> None:
    path = shell.directory / "audit.jsonl"
    AuditLog(path, story.store).catch_up()
    path.write_text(path.read_text().replace("Redis connection timeout", "Nothing happened", 1))
    result = shell("audit", "verify")
    assert result.code == 1
    assert "broken at entry 1: entry 1 was changed" in result.out
    told = shell("audit", "verify", "--json", "--file", str(path))
    assert (told.code, told.json["intact"], told.json["seq"]) == (1, False, 1)


def test_a_changed_word_in_the_database_is_a_finding(shell: Shell, story: World) -> None:
    AuditLog(shell.directory / "audit.jsonl", story.store).catch_up()
    with sqlite3.connect(shell.directory / "oncall.db") as connection:
        connection.execute("UPDATE timeline SET text = 'nothing' WHERE seq = 2")
    connection.close()
    result = shell("audit", "verify")
    assert result.code == 1
    assert "broken at entry 2: in the database:" in result.out


def test_a_dropped_tail_is_found(shell: Shell, story: World) -> None:
    story.clock.step_back(600)
    story.page(title="Disk is full", source_id="P3")
    path = shell.directory / "audit.jsonl"
    AuditLog(path, story.store).catch_up()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    result = shell("audit", "verify")
    assert result.code == 1
    assert "missing in the file" in result.out


def test_without_an_audit_log_it_says_where_it_looked(shell: Shell) -> None:
    result = shell("audit", "verify", "--file", "nowhere.jsonl")
    assert (result.code, result.err) == (2, "error: there is no audit log at nowhere.jsonl\n")


def test_an_audit_log_whose_end_was_destroyed_is_told_and_stops_nobody(shell: Shell, story: World) -> None:
    path = shell.directory / "audit.jsonl"
    AuditLog(path, story.store).catch_up()
    path.write_text(path.read_text() + "[]\n")
    shell.runbook(
        "hello", runbook(title="Hello", triggers='- Alert contains: "hello"', steps=step(1, "echo hi"))
    )
    result = shell("run", "hello", "--alert", "hello.json", "--yes")
    assert result.code == 2
    assert "the last line of the audit log" in result.err
    assert "move the file away" in result.err
    path.rename(shell.directory / "old.jsonl")
    AuditLog(path, story.store).catch_up()
    assert shell("audit", "verify").code == 0


def test_show_prints_no_secret_that_an_incident_holds(shell: Shell, world: World) -> None:
    world.runbook(runbook(steps=step(1, "redis-cli PING", keys='Expected output: "PONG"')))
    world.answers("redis-cli PING", SECRETS["SLACK_BOT_TOKEN"], SECRETS["SLACK_BOT_TOKEN"])
    incident = world.page()
    assert json.dumps(shell("show", incident.id, "--json").json)
    assert shell("show", incident.id).code == 0
