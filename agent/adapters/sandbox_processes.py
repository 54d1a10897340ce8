"""Spawns the argvs of one pipeline, each in its own session, and ends them with all their group."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.sandbox_output import Capture
from agent.domain.command import SimpleCommand

#: No core files; no file larger than this (kubectl's cache is a few MB).
_RLIMITS = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 64 * 1024 * 1024))
_KILL_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every process of an attempt gets: its environment and its directory."""

    environment: Mapping[str, str]
    directory: Path


class RunningPipeline:
    """Started processes; they are reaped only after their groups are ended, so no number is used twice."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._pidfds: dict[int, int] = {}

    def start(
        self,
        commands: Sequence[SimpleCommand],
        *,
        executables: Mapping[str, str],
        surroundings: Surroundings,
        capture: Capture,
    ) -> None:
        """Spawn from left to right; OSError when one cannot be started."""
        read_fd = subprocess.DEVNULL
        for at, command in enumerate(commands):
            next_read, write_fd = os.pipe() if at + 1 < len(commands) else (-1, capture.stdout_fd)
            ours = [fd for fd in (read_fd, write_fd if next_read >= 0 else -1) if fd >= 0]
            try:
                self._spawn(command, executables[command.argv[0]], surroundings, (read_fd, write_fd, capture))
            except OSError:
                ours += [next_read] if next_read >= 0 else []
                raise
            finally:
                for fd in ours:
                    os.close(fd)
            read_fd = next_read

    def _spawn(
        self,
        command: SimpleCommand,
        executable: str,
        surroundings: Surroundings,
        streams: tuple[int, int, Capture],
    ) -> None:
        read_fd, write_fd, capture = streams
        stdout = subprocess.DEVNULL if command.quiet_stdout else write_fd
        stderr = stdout if command.merge_stderr else capture.stderr_fd
        process = subprocess.Popen(
            command.argv,
            executable=executable,
            stdin=read_fd,
            stdout=stdout,
            stderr=subprocess.DEVNULL if command.quiet_stderr else stderr,
            env=surroundings.environment,
            cwd=surroundings.directory,
            start_new_session=True,
        )
        self._processes.append(process)
        for which, limit in _RLIMITS:
            with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
                resource.prlimit(process.pid, which, (limit, limit))
        # Without it (an old kernel, a seccomp profile) the end is seen at the next look instead.
        with contextlib.suppress(OSError):
            self._pidfds[process.pid] = os.pidfd_open(process.pid)

    def wake_fds(self) -> list[int]:
        """Descriptors that wake a poll when a process ends."""
        return [fd for pid, fd in self._pidfds.items() if not _has_ended(pid)]

    def has_ended(self) -> bool:
        """Whether every process has ended (bash waits for all of a pipeline too)."""
        return all(_has_ended(process.pid) for process in self._processes)

    def signal(self, number: signal.Signals) -> None:
        """Signal every process and all of its group."""
        for process in self._processes:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, number)

    def finish(self) -> int | None:
        """End what is left of the groups, reap, and give the last one's exit code as a shell counts it."""
        self.signal(signal.SIGKILL)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_WAIT_S)
        for fd in self._pidfds.values():
            os.close(fd)
        self._pidfds = {}
        code = self._processes[-1].returncode if self._processes else None
        return 128 - code if code is not None and code < 0 else code


def _has_ended(pid: int) -> bool:
    """Look without reaping."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
