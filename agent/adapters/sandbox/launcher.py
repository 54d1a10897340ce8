"""The launcher: forks a supervisor whenever none waits; started as `python -I -S` of this file.

Measured (bench/launcher.py): to start a fresh launcher for each attempt costs several times as much as to
fork this one, nearly all of it the interpreter and its imports. So there is one, started with the agent or at
the first attempt, which has imported everything and holds no threads. It does nothing but receive sockets
and fork: no request is read here, and what an attempt does to its supervisor does not touch this process.

It ends when the agent's end of its socket closes, and so does each supervisor when its own does.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_DESCRIPTORS = 1
#: Only root can; an unprivileged agent's launcher waits its turn like everybody.
_PRIORITY = -10


def main() -> None:
    """Fork a supervisor for each message until the agent has gone."""
    # -I keeps this folder out of the path, -S everything installed: only the package itself is added, last.
    sys.path.append(os.path.abspath(f"{__file__}/../../../.."))  # noqa: PTH100
    from agent.adapters.sandbox import child, kernel, landlock, reaper, seccomp, supervisor

    kernel.do((kernel.hide(), kernel.become_subreaper()))
    seccomp.prepare()
    landlock.abi()
    _go_first()
    agent = _take_socket(child.RESERVED)
    gc.disable()
    gc.freeze()
    Launcher(agent, supervisor.supervise, reaper.end_strays).serve()


def _go_first() -> None:
    """On a machine at its limit the one who can end a runaway must get its turn; programs start as usual."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)


def _take_socket(reserved: int) -> socket.socket:
    """It arrives as standard input, where a program that we start must not find it.

    The numbers below the reserved one are taken from here on, so that a child has them for itself.
    """
    while (nowhere := os.open(os.devnull, os.O_RDWR)) < reserved:
        pass
    fd = os.dup(0)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return socket.socket(fileno=fd)


class Launcher:
    """Holds the agent's socket and the supervisors that run."""

    def __init__(
        self,
        agent: socket.socket,
        supervise: Callable[[socket.socket], bool],
        end_strays: Callable[[list[int]], None],
    ) -> None:
        self._agent = agent
        self._supervise = supervise
        self._end_strays = end_strays
        self._supervisors: dict[int, int] = {}

    def serve(self) -> None:
        """Until the agent's end closes; the supervisors see the same at their own sockets."""
        while True:
            poll = select.poll()
            for fd in (self._agent.fileno(), *self._supervisors.values()):
                poll.register(fd, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(None if self._supervisors else 60_000)}
            if ready - {self._agent.fileno()}:
                self._reap()
            if self._agent.fileno() in ready and not self._take_control():
                return

    def _take_control(self) -> bool:
        room = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self._agent.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        if not data:
            return False
        fds = array.array("i")
        for _, _, received in ancillary:
            fds.frombytes(received[: len(received) - len(received) % fds.itemsize])
        if len(fds) == _DESCRIPTORS:
            self._fork(fds)
        for fd in fds:
            os.close(fd)
        return True

    def _fork(self, fds: Any) -> None:
        pid = os.fork()
        if pid:
            self._supervisors[pid] = os.pidfd_open(pid)
            return
        self._become_supervisor(fds)

    def _become_supervisor(self, fds: Any) -> NoReturn:
        try:
            self._agent.close()
            for fd in self._supervisors.values():
                os.close(fd)
            os.setsid()
            is_clean = self._supervise(socket.socket(fileno=fds[0]))
            os._exit(0 if is_clean else 1)
        finally:
            # Only a defect comes here: it is seen in the log, and the agent is told by the socket's end.
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _reap(self) -> None:
        """Collect supervisors; one that was killed leaves strays, which come to us and are ended here."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            fd = self._supervisors.pop(pid, -1)
            if fd >= 0:
                os.close(fd)
            if status:
                self._end_strays(list(self._supervisors))


def _hear_signals() -> None:
    """Whoever stops the agent may signal all of us: we end when it does, after ending what runs.

    A signal that is heard and let pass, unlike an ignored one, is back at its default in a program that we
    start; what whoever started the agent had ignored (nohup, a shell's background) is so here already.
    """
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, lambda *_: None)


if __name__ == "__main__":
    _hear_signals()
    main()
