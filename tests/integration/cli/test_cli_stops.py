"""`stop`, `resume`, `stops`, `stand-down`; and what other commands say of what is stopped or frozen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from agent.cli import approvals
from agent.domain.incident import Status
from agent.domain.outbox import Channel
from agent.pipeline.stops import StopsClerk
from tests.integration.cli.conftest import FLUSH, HELLO, Shell, words
from tests.unit.pipeline.conftest import World, runbook, step

FREEZE = {"name": "year end", "starts": "2020-01-01 00:00", "ends": "2099-01-01 00:00", "timezone": "UTC"}


def stop(shell: Shell, *more: str) -> str:
    """The id of what was stopped."""
    result = shell("stop", "--reason", "bad deploy", *more, "--json")
    assert result.code == 0, result.err
    return str(result.json["id"])


def test_everything_is_stopped_and_says_how_to_go_on(shell: Shell, world: World) -> None:
    result = shell("stop", "--reason", "bad deploy", "--by", "alice")
    assert (result.code, result.err) == (0, "")
    (put,) = world.store.stops()
    assert (put.what, put.reason, put.ends_running) == ("everything", "bad deploy", False)
    assert put.by.startswith("alice (")
    assert put.by.endswith(", command line)")
    assert f"oncall-agent resume {put.id}" in result.out
    assert str(shell.directory / "oncall.db") in result.out
    assert world.page().status is Status.ESCALATED


def test_stopping_twice_is_one_stop_and_says_so(shell: Shell, world: World) -> None:
    first = shell("stop", "--reason", "x", "--json").json
    again = shell("stop", "--reason", "x", "--json").json
    assert (first["id"], first["again"], again["again"]) == (again["id"], False, True)
    assert "stopped, as before: everything" in shell("stop", "--reason", "x").out
    assert "what runs is ended" in shell("stop", "--reason", "x", "--end-running").out
    assert len(world.store.stops()) == 1


def test_one_service_or_one_runbook_is_stopped(shell: Shell, world: World) -> None:
    shell.runbook("flush", FLUSH)
    world.receive()
    service = shell("stop", "--service", "api-*", "--reason", "x", "--json")
    by_file = shell("stop", "--runbook", "runbooks/flush.md", "--reason", "x")
    assert (service.code, service.err, by_file.code, by_file.err) == (0, "", 0, "")
    assert [(each.scope, each.name) for each in world.store.stops()] == [
        ("service", "api-*"),
        ("runbook", "runbooks/flush.md"),
    ]


@pytest.mark.parametrize(
    ("option", "name", "hint"),
    [("--service", "api-gatewy", "did you mean api-gateway?"), ("--runbook", "flsh", "did you mean flush?")],
)
def test_a_name_that_nobody_knows_is_stopped_all_the_same_and_warned_of(
    shell: Shell, world: World, option: str, name: str, hint: str
) -> None:
    shell.runbook("flush", FLUSH)
    world.receive()
    result = shell("stop", option, name, "--reason", "x")
    assert result.code == 0
    assert result.err == f"warning: nothing here is called {name}; {hint}\n"
    assert len(world.store.stops()) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--service", "a", "--runbook", "b", "--reason", "x"], "give --service or --runbook, not both"),
        (["--reason", "  "], "say why"),
        (["--reason", "x", "--service", " "], "--service needs a name; leave it out to stop everything"),
        ([], "Missing option '--reason'"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_stops_nothing(
    shell: Shell, world: World, arguments: list[str], told: str
) -> None:
    result = shell("stop", *arguments)
    assert result.code == 2
    assert told in words(result.err)
    assert world.store.all_stops() == []


def test_in_the_wrong_directory_nothing_is_stopped_and_it_says_so(shell: Shell) -> None:
    shell.configure(database={"url": "sqlite:///elsewhere/oncall.db"})
    for command in (["stop", "--reason", "x"], ["resume"], ["stops"], ["stand-down", "P1"]):
        result = shell(*command)
        assert result.code == 2
        assert f"there is no database at {shell.directory}/elsewhere/oncall.db" in result.err
        assert result.out == ""
    assert "NOT stopped" in shell("stop", "--reason", "x").err
    assert not (shell.directory / "elsewhere").exists()


def test_a_database_without_our_tables_gets_them_and_is_stopped(shell: Shell) -> None:
    (shell.directory / "oncall.db").write_bytes(b"")
    assert shell("stop", "--reason", "x").code == 0
    assert [each["reason"] for each in shell("stops", "--json").json] == ["x"]


@pytest.fixture
def held(shell: Shell, world: World) -> Iterator[sqlite3.Connection]:
    """A process that hangs in the middle of a write."""
    connection = sqlite3.connect(shell.directory / "oncall.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_a_database_that_a_process_holds_is_stopped_all_the_same(
    shell: Shell, world: World, held: sqlite3.Connection
) -> None:
    result = shell("stop", "--reason", "it hangs", "--by", "alice")
    assert (result.code, result.err) == (0, "")
    assert "a process holds the database and may hang" in result.out
    (put,) = world.store.stops()
    assert shell("stops", "--json").json[0]["id"] == put.id
    held.rollback()
    clerk = StopsClerk(world.context)
    for _ in range(2):
        clerk.tick()
    assert list(world.store.stops()) == [put]
    assert list(world.store.set_aside()) == []
    assert [each.text for each in world.store.timeline(put.id)] == [f"⛔ S{str(put)[1:]}"]
    assert not (shell.directory / "oncall.db.stops").exists()
    assert shell("resume", put.id).code == 0
    assert list(world.store.stops()) == []


def test_what_was_put_aside_is_resumed_before_any_daemon_saw_it(
    shell: Shell, world: World, held: sqlite3.Connection
) -> None:
    shell("stop", "--reason", "it hangs")
    assert shell("resume").code == 2
    held.rollback()
    assert shell("resume").code == 0
    assert list(world.store.stops()) == []
    assert [each.key for each in world.store.timeline(world.store.all_stops()[0].id)] == [
        "stopped",
        "resumed",
    ]


def test_a_file_that_nobody_understands_stops_everything_until_it_is_removed(
    shell: Shell, world: World
) -> None:
    folder = shell.directory / "oncall.db.stops"
    folder.mkdir()
    (folder / "please").write_text("stop")
    assert world.page().status is Status.ESCALATED
    told = shell("resume")
    assert f"{folder}/please is no stop of ours; remove it to go on" in told.out
    (folder / "please").unlink()
    assert shell("stops").out == "nothing is stopped\n"


def test_a_database_that_cannot_be_written_is_told_as_not_stopped(shell: Shell) -> None:
    (shell.directory / "oncall.db").write_bytes(b"this is no database, " * 1000)
    result = shell("stop", "--reason", "x")
    assert result.code == 2
    assert result.err.startswith("error: NOT stopped: the database")
    assert "end the daemon's process" in result.err


def test_one_stop_is_resumed_without_a_name(shell: Shell, world: World) -> None:
    stop(shell)
    result = shell("resume")
    assert result.code == 0
    assert words(result.out).startswith("resumed: everything (stop-")
    assert shell("resume").out == "nothing is stopped\n"
    assert world.page(title="Nobody knows this").result.endswith("No matching runbook found")


def test_of_several_stops_one_must_be_named(shell: Shell, world: World) -> None:
    first, second = stop(shell), stop(shell, "--service", "billing")
    unnamed = shell("resume")
    assert unnamed.code == 1
    assert "2 stops are in force; name one, or say --all" in unnamed.err
    assert len(world.store.stops()) == 2
    named = shell("resume", first)
    assert f"still stopped: service billing ({second})" in words(named.out)
    assert shell("resume", first).out.startswith("nothing to resume: it was lifted before")
    assert shell("resume", "--service", "Billing", "--json").json == {"resumed": [second], "in_force": []}


def test_all_is_all(shell: Shell, world: World) -> None:
    for more in ((), ("--service", "billing"), ("--runbook", "flush")):
        stop(shell, *more)
    assert len(shell("resume", "--all", "--json").json["resumed"]) == 3
    assert list(world.store.stops()) == []


def test_what_is_not_stopped_by_itself_is_not_resumed_by_name(shell: Shell, world: World) -> None:
    stop(shell)
    result = shell("resume", "--service", "billing")
    assert result.code == 1
    assert "service billing is not stopped by itself; stopped are: everything" in result.err
    assert shell("resume", "stop-0").err.startswith("error: there is no stop stop-0")
    assert shell("resume", "stop-0", "--all").code == 2
    assert len(world.store.stops()) == 1


def test_stops_lists_what_is_in_force_and_with_all_what_was(shell: Shell, world: World) -> None:
    assert shell("stops").out == "nothing is stopped\n"
    stop_id = stop(shell, "--end-running")
    listed = shell("stops").out
    assert listed.startswith(stop_id)
    assert "bad deploy, and what ran was ended" in listed
    assert [each["id"] for each in shell("stops", "--json").json] == [stop_id]
    shell("resume")
    assert shell("stops", "--json").json == []
    assert "lifted" in shell("stops", "--all").out


def test_an_open_freeze_window_is_listed_with_the_stops(shell: Shell, world: World) -> None:
    shell.configure(freeze=[{**FREEZE, "mode": "notify"}])
    assert "freeze “year end” until 2099-01-01 00:00 UTC (notify)" in shell("stops").out


def test_the_channel_is_told_where_a_chat_is_configured_and_else_not(shell: Shell, world: World) -> None:
    first = stop(shell)
    assert list(world.store.next_letters(Channel.CHAT, 10)) == []
    shell("resume", first)
    shell.configure(slack={"bot_token": {"env": "SLACK_BOT_TOKEN"}})
    second = stop(shell)
    assert [each.incident_id for each in world.store.next_letters(Channel.CHAT, 10)] == [second]


def test_a_secret_in_a_reason_is_not_kept(shell: Shell, world: World) -> None:
    shell.configure(slack={"bot_token": {"env": "SLACK_BOT_TOKEN"}})
    assert shell("stop", "--reason", "leaked xoxb-canary-000000000000").code == 0
    assert "canary" not in world.store.stops()[0].reason


def test_a_reason_of_many_lines_becomes_one(shell: Shell, world: World) -> None:
    shell("stop", "--reason", "bad\ndeploy\t of \x1b[31m" + "x" * 5000)
    (put,) = world.store.stops()
    assert put.reason.startswith("bad deploy of ")
    assert len(put.reason) <= 1_000


def test_incidents_doctor_and_plan_say_that_it_is_stopped(shell: Shell, world: World) -> None:
    shell.runbook("hello", HELLO)
    stop_id = stop(shell)
    assert f"bad deploy ({stop_id})" in shell("incidents").out
    seen = [row for row in shell("doctor", "--json").json if row["name"] == "stops"]
    assert [(row["grade"], row["fix"]) for row in seen] == [("note", f"oncall-agent resume {stop_id}")]
    planned = shell("plan", "hello", "--alert", "hello.json")
    assert planned.code == 0
    assert "nothing would run, a human is paged" in planned.out
    assert "bad deploy" in shell("plan", "hello", "--alert", "hello.json", "--json").json["stopped"]


def test_doctor_and_plan_say_that_it_is_frozen(shell: Shell, world: World) -> None:
    shell.runbook("hello", HELLO)
    shell.configure(freeze=[{**FREEZE, "mode": "approve"}])
    seen = [row["seen"] for row in shell("doctor", "--json").json if row["name"] == "freeze"]
    assert seen == ["freeze “year end” until 2099-01-01 00:00 UTC (approve)"]
    assert "it would wait for a yes" in shell("plan", "hello", "--alert", "hello.json").out
    shown = shell("plan", "hello", "--alert", "hello.json", "--json").json
    assert (shown["stopped"], shown["freeze"]["mode"]) == (None, "approve")


def test_a_plan_makes_no_database_to_ask_it(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    assert shell("plan", "hello", "--alert", "hello.json", "--json").json["stopped"] is None
    path = shell.directory / "oncall.db"
    assert not path.exists() or path.stat().st_size == 0


CHANGE = runbook(title="Hello", triggers='- Alert contains: "hello"', steps=step(1, "redis-cli FLUSHDB"))


def test_a_stop_is_for_who_runs_a_runbook_by_hand_too(shell: Shell, world: World) -> None:
    shell.runbook("hello", HELLO)
    stop_id = stop(shell)
    result = shell("run", "hello", "--alert", "hello.json", "--yes")
    assert result.code == 1
    assert f"`oncall-agent resume {stop_id}` lifts that" in result.err
    assert world.store.incidents() == []


def test_a_freeze_stops_a_change_by_hand_unless_it_is_asked_for_by_name(shell: Shell, world: World) -> None:
    shell.runbook("hello", CHANGE)
    shell.configure(freeze=[{**FREEZE, "mode": "notify"}])
    refused = shell("run", "hello", "--alert", "hello.json", "--yes")
    assert refused.code == 1
    assert "--in-freeze runs it all the same" in refused.err
    assert world.store.incidents() == []
    shell("run", "hello", "--alert", "hello.json", "--yes", "--in-freeze")
    (incident,) = world.store.incidents()
    assert world.store.attempts(incident.id)[0].end != "frozen"


def test_a_freeze_lets_look_by_hand_and_a_window_of_mode_approve_takes_the_typed_yes(
    shell: Shell, world: World
) -> None:
    shell.runbook(
        "look", runbook(title="Look", triggers='- Alert contains: "hello"', steps=step(1, "echo hi"))
    )
    shell.configure(freeze=[{**FREEZE, "mode": "notify"}])
    assert shell("run", "look", "--alert", "hello.json", "--yes").code == 0
    shell.runbook("hello", CHANGE)
    shell.configure(freeze=[{**FREEZE, "mode": "approve"}])
    shell("run", "hello", "--alert", "hello.json", "--yes")
    assert world.store.attempts(world.store.incidents()[0].id)[0].end != "frozen"


def test_a_human_takes_an_incident_over(shell: Shell, world: World) -> None:
    incident_id = world.receive()
    result = shell("stand-down", "P1", "--by", "carol")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"stood down: {incident_id}, it is with carol (")
    assert shell("stand-down", "P1", "--by", "carol", "--json").json["again"] is True
    assert shell("stand-down", "P1", "--by", "dave").code == 1
    assert world.handle(incident_id).status is Status.STOOD_DOWN


def test_the_hurried_commands_work_as_a_process_of_their_own(shell: Shell, world: World) -> None:
    stopped = shell.process("stop", "--reason", "x")
    assert (stopped.code, stopped.err) == (0, "")
    assert shell.process("stops", "--json").json[0]["reason"] == "x"
    assert shell.process("resume").code == 0
    assert shell.process("stop", "--help").code == 0
    assert shell.process("--help").code == 0


def test_where_people_are_known_a_stop_is_anybodys_here_and_its_end_an_approvers(
    shell: Shell, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [{"name": "alice", "role": "approver"}, {"name": "rita", "role": "responder"}]
    shell.configure(people=people)
    typed_by = "mallory"
    monkeypatch.setattr(approvals, "operator", lambda: typed_by)
    put = stop(shell)
    unknown = shell("resume", put, "--by", "alice")
    assert unknown.code == 2
    assert "mallory is not in `people`" in unknown.err
    typed_by = "rita"
    less = shell("resume", put, "--by", "alice")
    assert less.code == 1
    assert "to resume takes the role approver" in less.err
    assert [each.id for each in world.store.stops()] == [put]
    typed_by = "alice"
    assert shell("resume", put).code == 0
    assert not world.store.stops()
