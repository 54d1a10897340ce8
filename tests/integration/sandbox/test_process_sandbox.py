"""The real sandbox with real processes, with and without its walls: what they get, and that none is left."""

import itertools
import os
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from hostile_world import PYTHON

from agent.adapters.clock import SystemClock
from agent.adapters.sandbox.hunt import MARKER_VARIABLE, Prey
from agent.adapters.sandbox.process import LauncherProcess
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.domain.command import Connector, Link, Pipeline, PricedCommand, Refusal, Script, SimpleCommand
from agent.safety.effects import TRUSTED_PATH

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")

CLOCK = SystemClock()
#: Long enough that a test which waits for it fails by its time, short enough to leave nothing for long.
LONG = "97"
MODE = {"mode": "auto"}


@pytest.fixture(params=["auto", "process"], autouse=True)
def mode(request):
    MODE["mode"] = request.param
    return request.param


@pytest.fixture
def folder():
    """A folder for programs that the user of an attempt can reach."""
    with tempfile.TemporaryDirectory(prefix="programs-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def script(*pipelines):
    """Scripts that the language would refuse (they run a shell) are built by hand."""
    links = []
    for pipeline in pipelines:
        commands = pipeline if isinstance(pipeline[0], tuple) else (pipeline,)
        links.append(Link(Connector.ALWAYS, Pipeline(tuple(SimpleCommand(argv) for argv in commands))))
    return Script(tuple(links))


def sh(text):
    return ("sh", "-c", text)


def run(*pipelines, timeout_s=10.0, should_stop=lambda: False, marker="inc/steps/1/1", **settings):
    sandbox = LauncherSandbox(CLOCK, grace_s=0.2, **{**MODE, **settings})
    return sandbox.run(
        script(*pipelines), commands=(), marker=marker, timeout_s=timeout_s, should_stop=should_stop
    )


def carriers(marker):
    prey = Prey.of([marker])
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and prey.is_at(int(entry.name))
    ]


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def open_descriptors():
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


def test_arguments_arrive_as_they_are():
    result = run(("printf", "%s|", "a b", "$HOME", "`id`", "*", "'\"", "", "{{ x }}", "a\nb"))
    assert result.stdout == "a b|$HOME|`id`|*|'\"||{{ x }}|a\nb|"


def test_the_environment_is_clean_and_carries_the_marker():
    result = run(("env",), marker="inc-9/steps/2/1")
    found = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert set(found) == {"PATH", "HOME", "TMPDIR", "LANG", MARKER_VARIABLE}
    assert found["PATH"] == ":".join(TRUSTED_PATH)
    assert found[MARKER_VARIABLE] == "inc-9/steps/2/1"
    assert not Path(found["HOME"]).exists()


def test_named_variables_are_passed_through(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/etc/agent/kubeconfig")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "canary")
    result = run(("env",), pass_through=["KUBECONFIG", "NOT_SET"])
    assert "KUBECONFIG=/etc/agent/kubeconfig" in result.stdout
    assert "canary" not in result.stdout
    assert "NOT_SET" not in result.stdout


def test_a_passed_variable_cannot_replace_the_fixed_ones(monkeypatch):
    monkeypatch.setenv("HOME", "/root")
    assert "HOME=/root" not in run(("env",), pass_through=["HOME", "PATH"]).stdout


def test_it_runs_in_an_empty_directory_that_is_removed():
    result = run(("pwd",), ("ls",), sh("touch x; mkdir y; touch y/z"))
    directory = result.stdout.splitlines()[0]
    assert result.stdout.splitlines()[1:] == []
    assert not Path(directory).exists()


def test_curl_finds_no_file_of_a_user_that_changes_what_it_does():
    result = run(("ls", "-a"))
    assert ".curlrc" in result.stdout.split()


def test_the_input_is_empty():
    assert run(("cat",)).exit_code == 0


def test_a_pipeline_hands_on_data_and_ends_early_readers_well():
    result = run((("yes",), ("head", "-c", "100000"), ("wc", "-c")))
    assert (result.exit_code, result.stdout.strip()) == (0, "100000")


def test_the_exit_code_is_the_last_ones_and_signals_count_as_in_a_shell():
    assert run((sh("exit 3"), sh("exit 4"))).exit_code == 4
    assert run(sh("kill -9 $$")).exit_code == 137


def test_a_sandbox_only_finds_programs_in_its_path(folder):
    program = folder / "mine"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert run(("mine",)).problem == "mine is not installed"
    assert run(("mine",), path=[*TRUSTED_PATH, str(folder)]).stdout == "found\n"
    assert run((str(program),)).stdout == "found\n"
    assert run(("./mine",)).problem == "./mine is not installed"
    program.chmod(0o644)
    assert run((str(program),)).exit_code == 127


@pytest.mark.parametrize("before", [(), (("yes",),), (("sleep", LONG),)])
@pytest.mark.parametrize("after", [(), (("cat",),)])
def test_a_program_that_cannot_be_started_is_a_problem_not_a_crash(folder, before, after):
    broken = folder / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    result = run((*before, (str(broken),), *after), timeout_s=5)
    assert result.exit_code == 126
    assert "could not be started" in result.problem


def test_the_timeout_ends_it():
    result = run(("sleep", LONG), timeout_s=0.2)
    assert result.exit_code is None
    assert result.timed_out
    assert 0.2 <= result.duration_s < 2


def test_the_timeout_is_for_the_whole_script():
    result = run(("sleep", "0.15"), ("sleep", "0.15"), ("echo", "late"), timeout_s=0.2)
    assert result.timed_out
    assert "late" not in result.stdout


def test_one_that_ignores_the_polite_signal_is_killed():
    result = run(sh(f"trap '' TERM; echo $$; sleep {LONG}; sleep {LONG}"), timeout_s=0.3)
    assert result.timed_out
    assert result.duration_s < 3
    assert not is_running(int(result.stdout.split()[0]))


def test_output_before_the_end_is_kept():
    result = run(sh(f"echo first; echo second >&2; exec sleep {LONG}"), timeout_s=0.3)
    assert (result.stdout, result.stderr) == ("first\n", "second\n")


def test_a_stop_ends_the_running_command():
    asked = threading.Event()
    answers = iter([False, False])

    def should_stop():
        asked.set()
        return next(answers, True)

    result = run(("sleep", LONG), should_stop=should_stop)
    assert asked.is_set()
    assert result.exit_code is None
    assert result.interrupted
    assert not result.timed_out
    assert result.duration_s < 2


def test_a_stop_is_asked_for_at_least_five_times_a_second():
    times = []

    def should_stop():
        times.append(CLOCK.monotonic())
        return False

    run(("sleep", "0.6"), should_stop=should_stop)
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.2


def test_much_output_keeps_head_and_tail_and_harms_nobody():
    result = run(sh("echo HEAD; head -c 30000000 /dev/zero | tr '\\0' x; echo TAIL"), output_limit=1000)
    assert result.stdout.startswith("HEAD\n")
    assert result.stdout.endswith("TAIL\n")
    assert "bytes left out" in result.stdout
    assert len(result.stdout) < 1200


def test_output_without_end_is_ended_by_the_timeout():
    result = run(("yes",), timeout_s=0.3)
    assert result.timed_out
    assert len(result.stdout) < 70_000
    assert result.duration_s < 2


def test_output_that_is_not_text_is_shown_as_far_as_it_is():
    assert run(("printf", r"a\377b")).stdout == "a\ufffdb"


@pytest.mark.parametrize(
    "background",
    [
        f"sleep {LONG} &",
        f"setsid sleep {LONG} &",
        f"(setsid sh -c 'sleep {LONG} & sleep {LONG}' &) ;",
        f"env -i sleep {LONG} &",
        f"env -i setsid sleep {LONG} &",
        f"cd /; setsid sleep {LONG} &",
        f"trap '' TERM HUP; (trap '' TERM HUP; sleep {LONG}) &",
    ],
)
def test_children_left_in_the_background_are_ended_and_hold_nobody_up(background):
    result = run(sh(f"{background} echo $!; echo done"), marker="inc/left-behind")
    assert result.stdout.endswith("done\n")
    assert result.exit_code == 0
    assert result.duration_s < 3
    assert carriers("inc/left-behind") == []
    first = result.stdout.split()[0]
    assert not (first.isdigit() and is_running(int(first)))


@pytest.mark.skipif(PYTHON is None, reason="no python3 in a trusted folder")
def test_one_that_is_always_a_process_ahead_is_ended():
    # It ends by itself after a while, should nobody catch it.
    forker = """
import os, time
end = time.monotonic() + 5
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
os.write(1, b"escaped")
"""
    result = run((PYTHON, "-c", forker), marker="inc/forker", timeout_s=0.3)
    assert carriers("inc/forker") == []
    assert "escaped" not in result.stdout
    assert result.duration_s < 4


def test_orphans_of_an_earlier_life_are_found_by_their_marker():
    environment = {**os.environ, MARKER_VARIABLE: "inc/steps/7/1"}
    other = {**os.environ, MARKER_VARIABLE: "inc/steps/7/10"}
    with (
        subprocess.Popen(["sleep", LONG], env=environment, start_new_session=True) as orphan,
        subprocess.Popen(["sleep", LONG], env=other, start_new_session=True) as stranger,
    ):
        assert LauncherSandbox(CLOCK).end_orphans(["inc/steps/7/1", "inc/steps/8/1"]) == 1
        assert orphan.wait(5) == -9
        assert stranger.poll() is None
        stranger.kill()


def test_two_attempts_at_once_do_not_touch_each_other():
    results = {}

    def attempt(name):
        results[name] = run(sh(f"sleep 0.2; echo {name}"), marker=f"inc/{name}")

    threads = [threading.Thread(target=attempt, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: result.stdout for name, result in results.items()} == {"a": "a\n", "b": "b\n", "c": "c\n"}


def test_no_descriptor_is_left_open():
    launcher = LauncherProcess()
    run(("true",), launcher=launcher)
    before = open_descriptors()
    run(("true",), (("yes",), ("head", "-c", "10")), launcher=launcher)
    run(("sleep", LONG), timeout_s=0.05, launcher=launcher)
    run(("no-such-program",), launcher=launcher)
    run(("true",), launcher=launcher)
    assert len(open_descriptors()) == len(before)
    launcher.close()


def test_core_files_and_huge_files_are_not_written():
    assert run(sh("ulimit -c")).stdout.strip() == "0"


def test_silence_can_end_a_command():
    result = run(sh(f"echo a; sleep {LONG}"), idle_timeout_s=0.2, timeout_s=20)
    assert (result.exit_code, result.timed_out, result.stdout) == (None, True, "a\n")
    assert result.problem == "it printed nothing for 0.2 s"
    assert result.duration_s < 3


def test_a_program_that_anybody_can_change_is_not_run(folder):
    program = folder / "mine"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o757)
    result = run((str(program),))
    assert (result.exit_code, result.stdout) == (126, "")
    assert "can be changed by any user" in result.problem
    program.chmod(0o755)
    folder.chmod(0o777)
    assert "can be changed by any user" in run((str(program),)).problem


def test_other_argvs_than_those_that_were_judged_are_not_run():
    sandbox = LauncherSandbox(CLOCK, **MODE)
    judged = [PricedCommand(("echo", "a"))]
    result = sandbox.run(
        script(("echo", "b")), commands=judged, marker="m", timeout_s=5, should_stop=lambda: False
    )
    assert (result.exit_code, result.stdout) == (126, "")
    assert "not what is to be run" in result.problem


def test_a_command_that_was_refused_is_not_run():
    sandbox = LauncherSandbox(CLOCK, **MODE)
    judged = [PricedCommand(("echo", "a"), refusal=Refusal("echo is not known"))]
    result = sandbox.run(
        script(("echo", "a")), commands=judged, marker="m", timeout_s=5, should_stop=lambda: False
    )
    assert (result.problem, result.stdout) == ("echo is not known", "")


def test_without_walls_it_says_so():
    report = LauncherSandbox(CLOCK, mode="process").describe()
    assert (report.grade, report.refused_for) == ("weak", ())
    assert report.gaps == ("files", "network", "sockets", "signals", "user", "processes")
