"""A runbook to begin with."""

from __future__ import annotations


def test_a_new_runbook_is_one_on_which_nobody_has_a_remark(shell) -> None:
    made = shell("new", "Redis connection timeout", "--service", "api-gateway", "--team", "platform")
    assert made.code == 0, made.err
    path = shell.directory / "runbooks" / "redis-connection-timeout.md"
    assert "written: runbooks/redis-connection-timeout.md" in made.out
    text = path.read_text()
    assert "# Runbook: Redis connection timeout\n" in text
    assert "- Service: api-gateway\n" in text
    assert 'owner: "platform"' in text
    linted = shell("lint", "runbooks", "--json")
    assert (linted.code, linted.json["findings"]) == (0, [])
    assert shell("test", "runbooks").code == 0


def test_what_is_there_already_is_left_alone(shell) -> None:
    shell("new", "Redis connection timeout")
    path = shell.directory / "runbooks" / "redis-connection-timeout.md"
    path.write_text("mine")
    again = shell("new", "Redis connection timeout")
    assert again.code == 2
    assert "exists; finish that one, or give this one another title" in again.err
    assert path.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_told(shell) -> None:
    (shell.directory / "runbooks").rmdir()
    (shell.directory / "runbooks").write_text("a file")
    told = shell("new", "Redis connection timeout")
    assert told.code == 2
    assert "runbooks" in told.err


def test_it_says_where_for_programs(shell) -> None:
    made = shell("new", "Disk full on db", "--json")
    assert made.json == {"path": "runbooks/disk-full.md", "id": "disk-full"}
