"""The agent's end of its launcher: starts it, hands attempts over, starts it anew when it is gone."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launcher.py")
_END_WAIT_S = 5.0
#: Supervisors that wait for an attempt; more at once are forked and end with theirs.
_MOST_WAITING = 4


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The socket of a process that carries out one attempt at a time, and the launcher it belongs to."""

    control: socket.socket
    launcher: socket.socket


class LauncherProcess:
    """One launcher for all attempts of this process, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._waiting: list[Supervisor] = []

    def start(self) -> None:
        """Have it ready, so that the first attempt does not wait for it."""
        with self._lock:
            self._running()

    def take(self, *, fresh: bool) -> Supervisor:
        """A supervisor for one attempt, one that waits if it need not be fresh. OSError if there is none."""
        with self._lock:
            launcher = self._running()
            if self._waiting and not fresh:
                return self._waiting.pop()
            ours, theirs = socket.socketpair()
            try:
                try:
                    socket.send_fds(launcher, [b"\0"], [theirs.fileno()])
                except ConnectionError:
                    self._forget()
                    launcher = self._running()
                    socket.send_fds(launcher, [b"\0"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            return Supervisor(ours, launcher)

    def give_back(self, supervisor: Supervisor) -> None:
        """Its attempt is over, and it waits for another; one too many, or of an earlier launcher, ends."""
        with self._lock:
            if supervisor.launcher is self._socket and len(self._waiting) < _MOST_WAITING:
                self._waiting.append(supervisor)
                return
        supervisor.control.close()

    def _running(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._forget()
        if self._socket is None:
            self._socket, self._process = _spawn()
        return self._socket

    def _forget(self) -> None:
        while self._waiting:
            self._waiting.pop().control.close()
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            _wait(self._process)
        self._socket = self._process = None

    def close(self) -> None:
        """End it; attempts that still run are ended by their supervisors when their own sockets close."""
        with self._lock:
            self._forget()


def _spawn() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Its environment is as good as empty and its folder the root: what a step could see of it says nothing.

    It binds every function of its libraries once (ld.so(8)), where each of its forks would bind them anew.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER)],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={"LD_BIND_NOW": "1"},
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours, process


def _wait(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_WAIT_S)
        return
    process.kill()
    process.wait()


@functools.cache
def _of_process(_pid: int) -> LauncherProcess:
    launcher = LauncherProcess()
    atexit.register(launcher.close)
    return launcher


def shared() -> LauncherProcess:
    """This process's launcher; a fork of it gets its own."""
    return _of_process(os.getpid())
