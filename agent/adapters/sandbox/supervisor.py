"""Runs one attempt at a time in a process of its own: starts its pipelines, waits, leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from agent.adapters.sandbox import child, kernel, landlock
from agent.adapters.sandbox.reaper import Reaper
from agent.adapters.sandbox.wire import (
    CAPABILITIES,
    HELLO,
    Outcome,
    Request,
    Spawn,
    receive_request,
    receive_streams,
    send,
)

_LOOK_S = 0.1
#: Without process descriptors (an old kernel) the end of a program is looked for so often.
_BLIND_LOOK_S = 0.01
#: After so many a fresh fork takes over: nothing that grows a little each time grows without end.
_MOST_ATTEMPTS = 200
STUCK = "a process could not be ended: it is stuck in the kernel"


class _Ended(Enum):
    """Why a wait ended; LOST: nobody is left to run for."""

    BY_ITSELF = auto()
    TIMED_OUT = auto()
    STOPPED = auto()
    LOST = auto()
    BROKEN = auto()


@dataclass(frozen=True, slots=True)
class Streams:
    """The descriptors that the agent handed in."""

    control: socket.socket
    stdout: int
    stderr: int


def supervise(control: socket.socket) -> bool:
    """Read a request, run it, answer, again and again; False if a process is left that could not be ended.

    It goes on only after an attempt inside the walls that ended by itself, and left nobody: the next one
    finds what it would find in a fresh fork. After any other end this process ends too.
    """
    kernel.do((kernel.become_subreaper(), kernel.hide()))
    scoped: bool | None = None
    for left in reversed(range(_MOST_ATTEMPTS)):
        handed_in = _handed_in(control)
        if handed_in is None:
            return True
        request, streams = handed_in
        if request.layers and scoped is None:
            scoped = _prepare(request)
        attempt = Attempt(request, streams, Reaper(scoped=scoped is True))
        outcome = attempt.run()
        # Before the answer: what is read from these then ends at once, not when this process has ended.
        os.close(streams.stdout)
        os.close(streams.stderr)
        stays = bool(left and request.layers) and outcome.exit_code is not None and not outcome.problem
        with contextlib.suppress(OSError):
            send(control, replace(outcome, stays=stays))
        if not stays:
            return attempt.is_clean
    return True


def _prepare(request: Request) -> bool:
    """What holds for all that is started from here on; whether signals reach only what we start."""
    kernel.do([kernel.no_new_privileges()])
    if request.uid is not None:
        with contextlib.suppress(OSError):  # then each program drops all of them
            kernel.drop_bounding_set(CAPABILITIES)
    return landlock.scope_signals()


def _handed_in(control: socket.socket) -> tuple[Request, Streams] | None:
    """The next request, which is answered from here on; None if the agent has gone."""
    try:
        outputs = receive_streams(control)
        request = receive_request(control) if outputs is not None else None
        if outputs is None or request is None:
            return None
        control.sendall(HELLO)
    except ConnectionError:
        return None
    return request, Streams(control, *outputs)


class Attempt:
    """One request being carried out."""

    def __init__(self, request: Request, streams: Streams, reaper: Reaper) -> None:
        self._request = request
        self._streams = streams
        self._reaper = reaper
        self._deadline = time.monotonic() + request.timeout_s
        self._pidfds: dict[int, int] = {}
        self._running: set[int] = set()
        self._codes: dict[int, int] = {}
        self._is_blind = False
        self._errors = -1
        self.is_clean = True

    def run(self) -> Outcome:
        """Every pipeline whose turn comes; the last exit code is the attempt's."""
        code = 0
        for chained in self._request.chain:
            if not (chained.after_failure if code else chained.after_success):
                continue
            outcome = self._run_pipeline(chained.spawns)
            if outcome.exit_code is None or outcome.problem:
                return outcome
            code = outcome.exit_code
        return Outcome(code)

    def _run_pipeline(self, spawns: Sequence[Spawn]) -> Outcome:
        errors, errors_in = os.pipe()
        # The end of one that is alone tells enough; where others may wait for it, it is heard at once.
        self._errors = errors if len(spawns) > 1 else -1
        last, problem = self._start(spawns, errors_in)
        os.close(errors_in)
        ended = _Ended.BROKEN if problem else self._wait()
        if ended is _Ended.TIMED_OUT or ended is _Ended.STOPPED:
            self._ask_to_end()
        self.is_clean = self._reaper.end_all(self._reap)
        if ended is _Ended.LOST and self._request.directory:
            _remove(self._request.directory)
        if not self.is_clean:
            return Outcome(None, problem=STUCK)
        problem = problem or os.read(errors, 4096).decode(errors="replace")
        os.close(errors)
        if problem:
            return Outcome(126, problem=f"a command could not be started: {problem}")
        return self._outcome(ended, last)

    def _outcome(self, ended: _Ended, last: int) -> Outcome:
        if ended is _Ended.BY_ITSELF:
            code = self._codes[last]
            return Outcome(128 - code if code < 0 else code)
        return Outcome(
            None, timed_out=ended is _Ended.TIMED_OUT, interrupted=ended in (_Ended.STOPPED, _Ended.LOST)
        )

    def _start(self, spawns: Sequence[Spawn], errors: int) -> tuple[int, str]:
        """From left to right; the process id of the last one, or why there is none."""
        pid = 0
        read_fd = os.open(os.devnull, os.O_RDONLY)
        for at, spawn in enumerate(spawns):
            next_read, write_fd = os.pipe() if at + 1 < len(spawns) else (-1, self._streams.stdout)
            try:
                pid = self._fork(spawn, (read_fd, write_fd), errors)
            except child.NOT_STARTED as error:
                return 0, child.in_words(spawn, error)
            os.close(read_fd)
            if next_read >= 0:
                os.close(write_fd)
            read_fd = next_read
        return pid, ""

    def _fork(self, spawn: Spawn, ends: tuple[int, int], errors: int) -> int:
        nowhere = os.open(os.devnull, os.O_WRONLY) if spawn.quiet_stdout or spawn.quiet_stderr else -1
        streams = self._streams_of(spawn, ends, nowhere)
        plan = child.plan(spawn, self._request, streams=streams, errors=errors)
        pid = os.fork()
        if not pid:
            child.become(spawn, plan)
        for fd in (*plan.held, *([nowhere] if nowhere >= 0 else [])):
            os.close(fd)
        self._running.add(pid)
        try:
            self._pidfds[pid] = os.pidfd_open(pid)
        except OSError:
            self._is_blind = True
        return pid

    def _streams_of(self, spawn: Spawn, ends: tuple[int, int], nowhere: int) -> tuple[int, int, int]:
        read_fd, write_fd = ends
        stdout = nowhere if spawn.quiet_stdout else write_fd
        stderr = stdout if spawn.merge_stderr else self._streams.stderr
        return read_fd, stdout, nowhere if spawn.quiet_stderr else stderr

    def _wait(self) -> _Ended:
        """Until every program of the pipeline has ended (bash waits for all of them too)."""
        while self._running:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return _Ended.TIMED_OUT
            ended = self._look(min(left, _BLIND_LOOK_S if self._is_blind else _LOOK_S))
            if ended is not None:
                return ended
        return _Ended.BY_ITSELF

    def _look(self, timeout_s: float) -> _Ended | None:
        """Wait for a word from the agent, for a program's end, or so long."""
        control = self._streams.control.fileno()
        poll = select.poll()
        for fd in (control, *self._pidfds.values(), *([self._errors] if self._errors >= 0 else [])):
            poll.register(fd, select.POLLIN)
        ready = dict(poll.poll(timeout_s * 1000))
        if control in ready:
            return _Ended.STOPPED if self._heard() else _Ended.LOST
        if self._errors in ready:
            if ready[self._errors] & select.POLLIN:
                return _Ended.BROKEN
            self._errors = -1  # closed by all: every program has been started
        self._reap()
        return None

    def _heard(self) -> bool:
        """Whether the agent is there at all: its end of the socket closes with it."""
        try:
            return bool(self._streams.control.recv(16))
        except OSError:
            return False

    def _ask_to_end(self) -> None:
        """TERM, and a little time; what is left then is killed."""
        self._reaper.signal_all(signal.SIGTERM)
        self._deadline = time.monotonic() + self._request.grace_s
        while self._running and time.monotonic() < self._deadline and self._wait() is _Ended.STOPPED:
            pass

    def _reap(self) -> bool:
        """Collect who has ended, strays too; False if no child is left at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid in self._running:
                self._running.discard(pid)
                self._codes[pid] = os.waitstatus_to_exitcode(status)
                fd = self._pidfds.pop(pid, -1)
                if fd >= 0:
                    os.close(fd)


def _remove(directory: str) -> None:
    """What the agent would have removed, had it lived; nothing runs there any more."""
    for folder, folders, files in os.walk(directory, topdown=False):
        for name in (*files, *folders):
            _discard(f"{folder}/{name}")
    _discard(directory)


def _discard(path: str) -> None:
    with contextlib.suppress(OSError):
        try:
            os.rmdir(path)  # noqa: PTH106
        except NotADirectoryError:
            os.unlink(path)  # noqa: PTH108
