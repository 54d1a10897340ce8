"""The agent's end of its launcher: starts it, hands attempts over, starts it anew when it is gone."""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from agent.adapters.sandbox.output import Capture

_LAUNCHER = Path(__file__).with_name("launcher.py")
_END_WAIT_S = 5.0


class LauncherProcess:
    """One launcher for all attempts of this process, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Have it ready, so that the first attempt does not wait for it."""
        with self._lock:
            self._running()

    def attempt(self, capture: Capture) -> socket.socket:
        """A supervisor for one attempt: the socket to send its request to. OSError if there is none."""
        ours, theirs = socket.socketpair()
        fds = array.array("i", [theirs.fileno(), capture.stdout_fd, capture.stderr_fd])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        try:
            with self._lock:
                try:
                    self._running().sendmsg([b"\0"], ancillary)
                except ConnectionError:
                    self._forget()
                    self._running().sendmsg([b"\0"], ancillary)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def _running(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._forget()
        if self._socket is None:
            self._socket, self._process = _spawn()
        return self._socket

    def _forget(self) -> None:
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
    """Its environment is empty and its folder the root: what a step could see of it says nothing."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER)],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={},
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
