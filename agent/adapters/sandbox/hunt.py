"""Finds and ends processes that left their group: by the marker in their environment, or their directory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

MARKER_VARIABLE = "ONCALL_AGENT_ATTEMPT"
_ROUNDS = 64
_PROC = Path("/proc")
#: How long to look for one that forks faster than all of /proc can be read, and for one that was just seen.
_CHASE_S = 0.02
_CHASE_ON_S = 0.2
_CHASE_AT_MOST_S = 2.0


@dataclass(frozen=True, slots=True)
class Prey:
    """Whom to look for: who carries one of the markers, or stands in the directory."""

    markers: frozenset[bytes]
    directory: str = ""

    @classmethod
    def of(cls, markers: Sequence[str], *, directory: str = "") -> Prey:
        """Markers as they stand in an environment."""
        return cls(frozenset(f"{MARKER_VARIABLE}={marker}".encode() for marker in markers), directory)

    def is_at(self, pid: int) -> bool:
        """Whether this process is one of them; one that is gone, or not ours to see, is not."""
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes()
            if not self.markers.isdisjoint(environment.split(b"\0")):
                return True
            place = str((_PROC / str(pid) / "cwd").readlink())
            return bool(self.directory) and place.startswith(self.directory)
        except OSError:
            return False


def end_all(prey: Prey) -> int:
    """Stop them first, so that none can fork away, then kill; how many there were."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        newest = _newest()
        found = _stop(prey, _numbers(), stopped)
        # Somebody forks: it may be one of ours that is always a process ahead of a look at all of them.
        if _newest() > newest + 1:
            found += _chase(prey, stopped)
        if not found:
            break
    return sum(_signal(pid, signal.SIGKILL, prey) for pid in stopped)


def _stop(prey: Prey, pids: Iterable[int], stopped: set[int]) -> int:
    """Stop those that are prey, each as soon as it is seen; how many."""
    before = len(stopped)
    own = os.getpid()
    for pid in pids:
        if pid != own and pid not in stopped and prey.is_at(pid) and _signal(pid, signal.SIGSTOP, prey):
            stopped.add(pid)
    return len(stopped) - before


def _chase(prey: Prey, stopped: set[int]) -> int:
    """Look at the newest processes only, for a moment, and on for as long as prey is among them."""
    found = 0
    last = _newest()
    now = time.monotonic()
    until, at_most = now + _CHASE_S, now + _CHASE_AT_MOST_S
    while time.monotonic() < min(until, at_most):
        newest = _newest()
        caught = _stop(prey, range(min(last, newest), newest + 3), stopped)
        if caught:
            found += caught
            until = time.monotonic() + _CHASE_ON_S
        last = newest
    return found


def _newest() -> int:
    """The number that was given to the newest process (proc(5), /proc/loadavg); 0 if it is not told."""
    try:
        return int((_PROC / "loadavg").read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def _numbers() -> list[int]:
    try:
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _signal(pid: int, number: signal.Signals, prey: Prey) -> bool:
    """Signal through a descriptor of the process, looked at again: its number may be another's by now."""
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(pid)
        try:
            if prey.is_at(pid):
                signal.pidfd_send_signal(fd, number)
                return True
        finally:
            os.close(fd)
    return False
