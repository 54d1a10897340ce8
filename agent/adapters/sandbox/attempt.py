"""Watches one attempt from the agent's side: reads its output, asks whether to stop, takes its outcome."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

from agent.adapters.floor import step_aside
from agent.adapters.sandbox.output import Capture
from agent.adapters.sandbox.process import LauncherProcess
from agent.adapters.sandbox.wire import HELLO, Inbox, Outcome, Request, read_outcome, send, send_streams
from agent.ports import Clock

_LOOK_S = 0.1
_DRAIN_S = 1.0
_SEND_S = 5.0
#: The launcher ends an attempt at its timeout by itself; so much later it is taken for broken.
_BACKSTOP_S = 10.0
_CHUNK = 4096
LOST = "the launcher ended before it told how the command ended"
_NOBODY = Outcome(None, problem="nothing was started")


@dataclass(frozen=True, slots=True)
class Watch:
    """How an attempt is watched."""

    clock: Clock
    should_stop: Callable[[], bool]
    idle_timeout_s: float | None = None


def carry_out(launcher: LauncherProcess, request: Request, *, capture: Capture, watch: Watch) -> Outcome:
    """Hand over, and watch to the end; whatever happens here, the socket's end makes the launcher end all."""
    try:
        # What is outside of the walls leaves no trace in a process that another attempt meets.
        outcome = _handed_over(launcher, request, capture, watch, fresh=not request.layers)
        if outcome is None:
            # A supervisor or launcher that was killed meanwhile: nothing was started, and there is a new one.
            outcome = _handed_over(launcher, request, capture, watch, fresh=True)
        return outcome or Outcome(126, problem=LOST)
    finally:
        _drain(capture, watch.clock)


def _handed_over(
    launcher: LauncherProcess, request: Request, capture: Capture, watch: Watch, *, fresh: bool
) -> Outcome | None:
    """None if no supervisor ever answered."""
    try:
        supervisor = launcher.take(fresh=fresh)
    except OSError as error:
        return Outcome(126, problem=f"the launcher could not be started: {error}")
    connection, stays = supervisor.control, False
    try:
        connection.settimeout(_SEND_S)
        with contextlib.suppress(OSError):  # one that has gone is noticed when it does not answer
            send_streams(connection, capture.stdout_fd, capture.stderr_fd)
            send(connection, request)
        connection.setblocking(False)
        watcher = _Watcher(connection, request, capture, watch)
        step_aside()
        outcome = watcher.to_the_end()
        stays = outcome is not None and outcome.stays and not watcher.asked_to_stop
        return outcome
    finally:
        if stays:
            launcher.give_back(supervisor)
        else:
            connection.close()


class _Watcher:
    """One attempt while it runs."""

    def __init__(self, connection: socket.socket, request: Request, capture: Capture, watch: Watch) -> None:
        self._connection = connection
        self._capture = capture
        self._watch = watch
        self._inbox = Inbox()
        now = watch.clock.monotonic()
        self._give_up_at = now + request.timeout_s + request.grace_s + _BACKSTOP_S
        self._heard_at = now
        self._received = 0
        self._is_answered = False
        self._is_idle = False
        self.asked_to_stop = False

    def to_the_end(self) -> Outcome | None:
        """Until the launcher tells the outcome; None if nobody was there to start anything."""
        next_look = self._watch.clock.monotonic() + _LOOK_S
        while True:
            self._capture.pump((self._connection.fileno(),), _LOOK_S)
            told = self._told()
            if told is _NOBODY:
                return None
            if told is not None:
                return self._with_idleness(told)
            now = self._watch.clock.monotonic()
            if now >= self._give_up_at:
                return Outcome(None, timed_out=True, problem=LOST)
            if now >= next_look:
                next_look = now + _LOOK_S
                self._look(now)

    def _told(self) -> Outcome | None:
        """What has arrived, if it is whole."""
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            return Outcome(None, problem=LOST) if self._is_answered else _NOBODY
        body = data if self._is_answered else data[len(HELLO) :]
        self._is_answered = True
        return read_outcome(self._inbox, body)

    def _look(self, now: float) -> None:
        """Whether anybody, or silence, ends it; the launcher is told once."""
        if self.asked_to_stop:
            return
        if self._capture.received != self._received:
            self._received, self._heard_at = self._capture.received, now
        idle_s = self._watch.idle_timeout_s
        self._is_idle = idle_s is not None and now - self._heard_at >= idle_s
        if self._is_idle or self._watch.should_stop():
            self.asked_to_stop = True
            with contextlib.suppress(OSError):
                self._connection.send(b"stop")

    def _with_idleness(self, told: Outcome) -> Outcome:
        if not self._is_idle or not told.interrupted:
            return told
        words = f"it printed nothing for {self._watch.idle_timeout_s:g} s"
        return Outcome(None, timed_out=True, problem=words)


def _drain(capture: Capture, clock: Clock) -> None:
    """Read what is still in the pipes; nobody who is left can hold us up."""
    capture.end_writing()
    until = clock.monotonic() + _DRAIN_S
    while not capture.is_over and (left := until - clock.monotonic()) > 0:
        capture.pump((), left)
    capture.close()
