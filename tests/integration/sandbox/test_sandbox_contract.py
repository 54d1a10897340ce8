"""What every sandbox promises: run over the real one and the fake one, so that the fake cannot drift."""

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.fake_sandbox import FakeSandbox
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.domain.command import Connector, Link, Pipeline, PricedCommand, Script, SimpleCommand
from agent.ports import CommandResult
from agent.safety import language

ANSWERS = {
    ("true",): CommandResult(0),
    ("false",): CommandResult(1),
    ("echo", "a"): CommandResult(0, stdout="a\n"),
    ("echo", "b"): CommandResult(0, stdout="b\n"),
    ("ls", "/nonexistent"): CommandResult(2, stderr="ls: cannot access '/nonexistent'\n"),
}


@pytest.fixture(params=["auto", "process", "fake"])
def sandbox(request):
    if request.param == "fake":
        return FakeSandbox(ANSWERS)
    return LauncherSandbox(SystemClock(), mode=request.param)


def run(sandbox, text, *, should_stop=lambda: False):
    script = language.bind(language.parse(text), {})
    return sandbox.run(
        script,
        commands=[PricedCommand(command.argv) for command in script.commands()],
        marker="inc/steps/1/1",
        timeout_s=10,
        should_stop=should_stop,
    )


@pytest.mark.parametrize(
    ("text", "exit_code", "stdout"),
    [
        ("true", 0, ""),
        ("false", 1, ""),
        ("echo a", 0, "a\n"),
        ("echo a; echo b", 0, "a\nb\n"),
        ("true && echo a", 0, "a\n"),
        ("false && echo a", 1, ""),
        ("false || echo a", 0, "a\n"),
        ("true || echo a", 0, ""),
        ("false && echo a || echo b", 0, "b\n"),
        ("true || echo a && echo b", 0, "b\n"),
        ("false; echo a", 0, "a\n"),
        ("echo a; false", 1, "a\n"),
        ("echo a | false", 1, ""),
        ("false | true", 0, ""),
        ("echo a >/dev/null", 0, ""),
        ("ls /nonexistent 2>/dev/null", 2, ""),
    ],
)
def test_connectors_mean_what_they_mean_to_bash(sandbox, text, exit_code, stdout):
    result = run(sandbox, text)
    assert (result.exit_code, result.stdout) == (exit_code, stdout)
    assert not result.timed_out
    assert not result.interrupted
    assert result.problem == ""


def test_stderr_is_kept_apart(sandbox):
    result = run(sandbox, "ls /nonexistent; echo a")
    assert "cannot access" in result.stderr
    assert result.stdout == "a\n"


def test_stderr_can_be_merged_into_stdout(sandbox):
    result = run(sandbox, "ls /nonexistent 2>&1")
    assert "cannot access" in result.stdout
    assert result.stderr == ""


def test_a_program_that_is_not_there_is_named_and_nothing_is_started(sandbox):
    result = run(sandbox, "echo a; no-such-program x")
    assert (result.exit_code, result.problem) == (127, "no-such-program is not installed")
    assert result.stdout == ""


def test_a_stop_before_the_start_starts_nothing(sandbox):
    result = run(sandbox, "echo a", should_stop=lambda: True)
    assert (result.exit_code, result.interrupted, result.stdout) == (None, True, "")


def test_there_are_no_orphans_of_an_unknown_marker(sandbox):
    assert sandbox.end_orphans(["nobody/steps/1/1"]) == 0
    assert sandbox.end_orphans([]) == 0


def test_the_fake_answers_one_after_the_other_and_remembers():
    fake = FakeSandbox({("x",): [CommandResult(1), CommandResult(0)]})
    script = Script((Link(Connector.ALWAYS, Pipeline((SimpleCommand(("x",)),))),))
    codes = [
        fake.run(script, commands=(), marker=f"m{turn}", timeout_s=5, should_stop=lambda: False).exit_code
        for turn in range(3)
    ]
    assert codes == [1, 0, 0]
    assert [ran.marker for ran in fake.ran] == ["m0", "m1", "m2"]
