"""An accepted script does in the sandbox what it does in bash: same output, same exit code."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.adapters.clock import SystemClock
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.safety import language

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="bash is not installed")

STUB = """#!/bin/sh
case $0 in */upper) exec tr a-z A-Z ;; */lines) exec wc -l ;; esac
echo "err: $*" >&2
echo "out: $*"
case $0 in */bad) exit 3 ;; esac
"""

COMMANDS = st.tuples(
    st.sampled_from(["good a", "bad b", "good 'c d'", "upper", "lines", 'bad ""']),
    st.sampled_from(["", "", " >/dev/null", " 2>/dev/null", " 2>&1", " &>/dev/null", " >/dev/null 2>&1"]),
).map("".join)
JOINTS = st.sampled_from(["; ", " && ", " || ", "\n", " | "])
SCRIPTS = st.lists(st.tuples(JOINTS, COMMANDS), min_size=1, max_size=5).map(
    lambda pieces: pieces[0][1] + "".join(joint + command for joint, command in pieces[1:])
)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="stubs-", dir="/tmp") as place:
        folder = Path(place)
        folder.chmod(0o755)
        for name in ("good", "bad", "upper", "lines"):
            (folder / name).write_text(STUB)
            (folder / name).chmod(0o755)
        yield folder


@pytest.mark.parametrize("mode", ["auto", "process"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=SCRIPTS)
@example(text="good a 2>&1 | upper && bad b || good c | lines; bad d")
@example(text="upper && good a >/dev/null | upper")
def test_the_sandbox_does_what_bash_does(folder, mode, text):
    path = [str(folder), "/usr/bin", "/bin"]
    by_us = LauncherSandbox(SystemClock(), mode=mode, path=path).run(
        language.bind(language.parse(text), {}),
        commands=(),
        marker="inc/as-bash",
        timeout_s=20,
        should_stop=lambda: False,
    )
    by_bash = subprocess.run(
        [BASH, "--norc", "--noprofile", "-c", text],
        env={"PATH": ":".join(path), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert by_us.exit_code == by_bash.returncode
    # Programs of one pipeline run at once: the order of their lines is nobody's promise.
    assert sorted(by_us.stdout.splitlines()) == sorted(by_bash.stdout.splitlines())
    ours, theirs = (sorted(errors.splitlines()) for errors in (by_us.stderr, by_bash.stderr))
    assert ours == theirs
