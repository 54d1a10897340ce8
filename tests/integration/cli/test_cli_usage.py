from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.cli.conftest import HELLO, Shell, words

COMMANDS = (
    ("lint",),
    ("test",),
    ("plan", "hello", "--alert", "hello.json"),
    ("match", "--alert", "hello.json"),
    ("run", "hello", "--alert", "hello.json", "--yes"),
    ("incidents",),
    ("show", "inc-0"),
    ("escalations",),
    ("approve", "inc-0"),
    ("reject", "inc-0"),
    ("audit", "verify"),
    ("doctor",),
    ("serve",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_wrong_configuration_is_told_with_key_path_and_fix(shell: Shell, command: tuple[str, ...]) -> None:
    shell.configure(server={"prot": 1}, limits={"per_hour": {"pod": 1}})
    result = shell(*command)
    assert result.code == 2
    assert result.out == ""
    assert "error: config.yaml cannot be used:" in result.err
    assert "server.prot: is not a known key; did you mean port?" in result.err
    assert "limits.per_hour: pod is no effect class" in result.err


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_configuration_that_is_not_there_is_told(shell: Shell, command: tuple[str, ...]) -> None:
    result = shell(*command, "--config", "nowhere.yaml")
    assert result.code == 2
    assert "nowhere.yaml cannot be used:" in result.err
    assert "(file): does not exist" in result.err


@pytest.mark.parametrize("command", [each for each in COMMANDS if each[0] != "serve"], ids=" ".join)
def test_every_command_speaks_json_too(shell: Shell, command: tuple[str, ...]) -> None:
    shell.runbook("hello", HELLO)
    result = shell(*command, "--json")
    assert "No such option" not in result.err
    assert result.code in (0, 1) or "there is no" in result.err


def test_without_a_config_file_the_defaults_are_in_force(shell: Shell) -> None:
    (shell.directory / "config.yaml").unlink()
    shell.runbook("hello", HELLO)
    assert shell("lint").code == 0


@pytest.mark.parametrize("arguments", [("nothing",), ("plan",), ("plan", "hello"), ("lint", "--jsno")])
def test_wrong_usage_is_exit_code_2(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert shell(*arguments).code == 2


def test_help_names_every_command(shell: Shell) -> None:
    told = words(shell("--help").out)
    for command in {command[0] for command in COMMANDS} | {"demo", "simulate"}:
        assert f" {command} " in told


def test_the_module_is_the_command(shell: Shell) -> None:
    result = shell.process("show", "inc-0")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: there is no incident inc-0; `oncall-agent incidents` lists them\n"


def test_a_reader_that_hangs_up_sees_no_stack(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    command = [sys.executable, "-m", "agent", "lint", "--json"]
    with subprocess.Popen(
        command, cwd=shell.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
