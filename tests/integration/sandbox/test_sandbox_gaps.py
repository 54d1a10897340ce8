"""On a kernel without Landlock: what is missing is found, told, and decides what is run."""

import os
import shutil
import subprocess

import pytest
from hostile_world import PYTHON, UNPRIVILEGED, Agent

MANY_THREADS = """
import sys, threading
for _ in range(600):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def older(user, programs):
    agent = Agent(user, programs, without_landlock=True)
    yield agent
    agent.close()


@pytest.fixture(scope="module")
def accepting(user, programs, older):
    gaps = ["files", "network", "signals", "user"]
    agent = Agent(user, programs, without_landlock=True, accept_gaps=gaps)
    yield agent
    agent.close()


def test_the_self_test_finds_what_is_missing(older, user):
    assert older.seen["grade"] == "refuse"
    found = " ".join(older.seen["findings"])
    assert "write outside: it worked" in found
    assert "connect to another port: it worked" in found
    assert "UDP" not in found
    assert ("signal the agent: it worked" in found) is (user is not None or os.geteuid() != 0)


def test_a_command_that_changes_something_is_refused_with_words(older):
    result = older.run("escape", effects=["pod_restart"])
    assert (result["exit_code"], result["stdout"]) == (126, "")
    assert "this host cannot enforce files, network" in result["problem"]
    assert "execution.accept_gaps" in result["problem"]


def test_a_command_that_reads_is_run(older):
    assert older.run(pipeline=[["echo", "a"]], effects=["read"])["stdout"] == "a\n"


def test_an_accepted_gap_lets_commands_run_and_what_is_left_still_holds(accepting):
    assert accepting.seen["grade"] == "weak"
    result = accepting.run(pipeline=[["echo", "a"]], effects=["pod_restart"])
    assert (result["stdout"], result["problem"]) == ("a\n", "")
    assert accepting.tries("socket", "AF_INET", "SOCK_DGRAM", access={"datagrams": False}) == "refused EPERM"
    assert accepting.tries("trace", accepting.pid) == "refused EPERM"


def test_a_gap_that_is_not_the_accepted_one_still_refuses(user, programs):
    agent = Agent(user, programs, without_landlock=True, accept_gaps=["files"])
    result = agent.run(pipeline=[["echo", "a"]], effects=["pod_restart"])
    assert "cannot enforce network" in result["problem"]
    agent.close()


def test_without_a_signal_scope_nothing_is_left_running_either(older):
    assert older.run("escape")["exit_code"] == 0
    token = "token-older-kernel"
    pipeline = [["hostile", token, "escape"], ["hostile", token, "sleep"]]
    assert older.run(token=token, pipeline=pipeline, timeout_s=0.5)["timed_out"]
    assert older.run("forks", 3000)["stdout"].strip() == "refused EAGAIN"
    assert older.run("bomb", timeout_s=0.5)["timed_out"]


@pytest.fixture
def crowd(programs):
    """Many threads of the unprivileged user, as another container on the same machine would have them."""
    as_user = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
    argv = [PYTHON, "-c", MANY_THREADS]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", **as_user) as many:
        assert many.stdout.readline() == b"ready\n"
        yield
        many.stdin.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide processes from the agent")
@pytest.mark.skipif(not (shutil.which("unshare") and shutil.which("setpriv")), reason="needs util-linux")
def test_processes_that_another_container_has_of_the_same_user_do_not_use_up_the_limit(
    crowd, programs, walls
):
    hidden = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    become = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]
    agent = Agent(UNPRIVILEGED, programs, prefix=[*hidden, *become])
    assert (agent.seen["grade"], agent.seen["findings"]) == ("full", [])
    assert agent.run("forks", 100)["stdout"].strip() == "worked"
    assert agent.run("forks", 9000)["stdout"].strip() == "refused EAGAIN"
    agent.close()
