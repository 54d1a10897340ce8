"""Real processes of the agent that need not import it first.

Importing takes a process a second of a core, and hundreds of them are started by the tests. A server that has
imported everything (multiprocessing's) forks them: each has its own pid, environment, folder and files, is
killed and stopped by real signals, and gives its real exit code. Whoever needs what an interpreter does as it
starts, starts one: `python -m agent`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_IMPORTED = ("agent.cli.app", "agent.wiring")

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(list(_IMPORTED))

_LOOK_S = 0.01


def preload(module: str) -> None:
    """Have the server import this too, unless it runs already: then each process imports it for itself."""
    _server.set_forkserver_preload([*_IMPORTED, module])


class Forked:
    """As much of `subprocess.Popen` as the tests need."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stderr: Path,
        stdout: Path | None = None,
        change: Callable[[], None] | None = None,
    ) -> None:
        self._process = _server.Process(
            target=_become,
            args=(list(arguments), dict(env), str(cwd), str(stdout or os.devnull), str(stderr), change),
            daemon=True,  # whoever is left over ends with the tests
        )
        self._process.start()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("the agent", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stderr: Path,
    stdout: Path | None = None,
    script: Path | None = None,
    change: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes] | Forked:
    """The agent; by a `script` that changes it before it is imported, in an interpreter of its own.

    `change` is called in the forked process before the agent begins: it may alter what was imported.
    """
    if script is None:
        return Forked(arguments, env=env, cwd=cwd, stdout=stdout, stderr=stderr, change=change)
    command, root = [sys.executable, str(script), *arguments], Path(__file__).parents[1]
    with (stdout or Path(os.devnull)).open("ab") as out, stderr.open("ab") as err:
        return subprocess.Popen(
            command, env={**env, "PYTHONPATH": str(root)}, cwd=cwd, stdout=out, stderr=err
        )


def run(arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """One command, and what it said."""
    place = cwd / f".said-{time.monotonic_ns()}"
    out, err = place.with_suffix(".out"), place.with_suffix(".err")
    process = Forked(arguments, env=env, cwd=cwd, stdout=out, stderr=err)
    code = process.wait(timeout=120)
    said = subprocess.CompletedProcess(list(arguments), code, out.read_text(), err.read_text())
    out.unlink()
    err.unlink()
    return said


def _become(
    arguments: list[str],
    env: dict[str, str],
    cwd: str,
    stdout: str,
    stderr: str,
    change: Callable[[], None] | None,
) -> None:
    """The agent's command line, in a process that was just forked."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for number, path in ((0, os.devnull), (1, stdout), (2, stderr)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in enumerate("rww"))
    if "TZ" in env:
        time.tzset()
    if change is not None:
        change()
    sys.argv = ["oncall-agent", *arguments]
    from agent.__main__ import main

    main()
