"""Who carries out an attempt: one that has just ended one well, or a fresh one, and nothing passes on."""

import os
import signal
import threading
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.sandbox.process import LauncherProcess
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.domain.command import Connector, Link, Pipeline, Script, SimpleCommand

WHO = 'echo "$PPID"'
REFUSED = {"refused EPERM", "refused EACCES"}


@pytest.fixture
def launcher(walls):
    launcher = LauncherProcess()
    yield launcher
    launcher.close()


def run(launcher, text, *, timeout_s=10.0, should_stop=lambda: False, mode="auto"):
    sandbox = LauncherSandbox(SystemClock(), mode=mode, grace_s=0.2, launcher=launcher)
    script = Script((Link(Connector.ALWAYS, Pipeline((SimpleCommand(("sh", "-c", text)),))),))
    return sandbox.run(script, commands=(), marker="inc/who", timeout_s=timeout_s, should_stop=should_stop)


def waiting(agent):
    """The supervisors of a stand-in agent that runs nothing."""
    launcher = agent.launcher()
    return Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()


def supervisor(launcher, **settings):
    """Who started the command."""
    return int(run(launcher, WHO, **settings).stdout)


def test_an_attempt_that_ended_well_leaves_its_supervisor_to_the_next(launcher):
    first = supervisor(launcher)
    assert run(launcher, "exit 3").exit_code == 3
    assert supervisor(launcher) == first


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("sleep 97", {"timeout_s": 0.05}),
        ("sleep 97", {"should_stop": iter([False, True]).__next__}),
        ("trap '' TERM; sleep 97", {"timeout_s": 0.05}),
    ],
)
def test_one_whose_attempt_had_to_be_ended_ends_with_it(launcher, text, settings):
    first = supervisor(launcher)
    assert run(launcher, text, **settings).exit_code is None
    assert supervisor(launcher) != first


def test_without_walls_each_attempt_has_a_supervisor_of_its_own(launcher):
    seen = [supervisor(launcher, mode=mode) for mode in ("auto", "process", "process", "auto")]
    assert len(set(seen)) == 3
    assert seen[0] == seen[3]


def test_a_supervisor_that_was_killed_while_it_waited_is_replaced(launcher):
    waiting = set()
    together = threading.Barrier(3)

    def attempt():
        together.wait()
        waiting.add(int(run(launcher, f"{WHO}; sleep 0.2").stdout))

    threads = [threading.Thread(target=attempt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waiting) == 3
    for pid in waiting:
        os.kill(pid, signal.SIGKILL)
    result = run(launcher, "echo once >> log; cat log")
    assert (result.stdout, result.problem) == ("once\n", "")
    assert supervisor(launcher) not in waiting


def test_what_an_attempt_leaves_running_is_gone_before_the_next_begins(launcher):
    first = supervisor(launcher)
    left = int(run(launcher, "setsid sleep 97 & echo $!").stdout)
    assert not Path(f"/proc/{left}").exists()
    assert supervisor(launcher) == first


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a supervisor")
def test_a_supervisor_holds_no_more_after_many_attempts_than_after_the_first(launcher):
    first = supervisor(launcher)
    folder = Path(f"/proc/{first}/fd")
    before = sorted(str(fd.readlink()) for fd in folder.iterdir())
    for text in ("true", "exit 3", "yes | head -c 10", "no-such-program"):
        run(launcher, text)
    assert supervisor(launcher) == first
    assert sorted(str(fd.readlink()) for fd in folder.iterdir()) == before


@pytest.fixture
def without_quit():
    """As nohup or a shell's background starts an agent."""
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGQUIT, before)


def test_no_signal_is_ignored_or_held_back_in_a_command(without_quit, launcher):
    fields = dict(
        line.split(":\t") for line in run(launcher, "exec cat /proc/self/status").stdout.splitlines()
    )
    ours_to_say = ~(1 << 31 | 1 << 32)  # signals 32 and 33 are the C library's own
    masks = {name: int(fields[name], 16) & ours_to_say for name in ("SigIgn", "SigBlk", "SigCgt")}
    assert masks == {"SigIgn": 0, "SigBlk": 0, "SigCgt": 0}


def test_a_command_has_its_three_streams_and_no_other_descriptor(launcher):
    listed = run(launcher, "exec ls /proc/self/fd").stdout.split()
    assert listed == ["0", "1", "2", "3"]  # the last one is of `ls` itself


@pytest.mark.parametrize("access", [{}, {"keeps_user": True}])
def test_a_command_neither_touches_nor_reads_who_carries_out_the_next_attempt(agent, access):
    agent.run(pipeline=[["true"]])
    (pid,) = waiting(agent)
    for what in ("trace", "signal", "limit", "renice"):
        assert agent.tries(what, pid, access=access) == "refused EPERM"
    for file in ("environ", "mem", "maps"):
        assert agent.tries("read", f"/proc/{pid}/{file}", access=access) in REFUSED
    assert waiting(agent) == [pid]
