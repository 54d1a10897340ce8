"""An agent in a process of its own, as root and as an unprivileged user, and what it runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from agent.safety.effects import TRUSTED_PATH

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
UNPRIVILEGED = 12345
SECRET = "canary-5b1f7f0c"
PYTHON = shutil.which("python3", path=os.pathsep.join(TRUSTED_PATH))


def until(condition, *, timeout_s=10.0):
    """Look again and again; whether it came true in time."""
    end = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (found := condition()) and time.monotonic() < end:
        pause.wait(0.02)
    return found


def running_with(token):
    """Numbers of the processes that have this word in their command line; one that has ended has none."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and token.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


class Agent:
    """The stand-in's process: runs hostile programs in its sandbox, one after the other."""

    def __init__(self, user, folder, *, prefix=(), temporary=None, **settings):
        path = [str(folder), *TRUSTED_PATH]
        as_user = {"user": user, "group": user, "extra_groups": []} if user is not None and not prefix else {}
        self.folder = folder
        self.process = subprocess.Popen(
            [
                *prefix,
                interpreter(user),
                str(HERE / "daemon_driver.py"),
                json.dumps({"path": path, **settings}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PYTHONPATH": module_path(),
                "AGENT_SECRET": SECRET,
                "PYTHONDONTWRITEBYTECODE": "1",
                **({"TMPDIR": str(temporary)} if temporary is not None else {}),
            },
            cwd="/",
            text=True,
            **as_user,
        )
        self.seen = json.loads(self.process.stdout.readline())
        self.pid = self.seen["pid"]

    def start(self, *arguments, token=None, pipeline=None, **asked):
        token = token or f"token-{uuid.uuid4().hex}"
        argvs = pipeline or [["hostile", token, *(str(argument) for argument in arguments)]]
        asked = {"marker": f"inc/{token}", "pipelines": [argvs], **asked}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return token

    def answer(self, token):
        """The result; nothing of it runs any more, and the agent is well."""
        result = json.loads(self.process.stdout.readline())
        assert running_with(token) == []
        assert self.process.poll() is None
        return result

    def run(self, *arguments, **asked):
        return self.answer(self.start(*arguments, **asked))

    def tries(self, *arguments, **asked):
        """What the hostile program printed."""
        result = self.run(*arguments, **asked)
        assert result["problem"] == ""
        return (result["stdout"] + result["stderr"]).strip()

    def launcher(self):
        """The launcher's process number."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return int(children.read_text().split()[0])

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate()


def module_path():
    import yaml

    return f"{ROOT}{os.pathsep}{Path(yaml.__file__).parent.parent}"


def interpreter(user):
    """A Python that this user can start, with what the agent needs; skips if there is none."""
    if user is None:
        return sys.executable
    for candidate in (sys.executable, PYTHON):
        with contextlib.suppress(OSError):
            probe = subprocess.run(
                [candidate, "-c", "import agent.adapters.sandbox"],
                env={"PYTHONPATH": module_path(), "PYTHONDONTWRITEBYTECODE": "1"},
                cwd="/",
                user=user,
                group=user,
                extra_groups=[],
                capture_output=True,
            )
            if probe.returncode == 0:
                return candidate
    return pytest.skip("an unprivileged user can reach neither this interpreter nor the checkout")


def users():
    """Who the agent runs as in these tests: root and an unprivileged user if we may, else ourselves."""
    if os.geteuid() == 0:
        return [pytest.param(None, id="root"), pytest.param(UNPRIVILEGED, id="unprivileged")]
    return [pytest.param(None, id="own-user")]
