"""Finds and ends processes that left their group: by the marker in their environment, or their directory."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MARKER_VARIABLE = "ONCALL_AGENT_ATTEMPT"
_ROUNDS = 64
_PROC = Path("/proc")


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
            return bool(self.directory) and str((_PROC / str(pid) / "cwd").readlink()).startswith(
                self.directory
            )
        except OSError:
            return False


def end_all(prey: Prey) -> int:
    """Stop them first, so that none can fork away, then kill; how many there were."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        before = len(stopped)
        for pid in _find(prey):
            if pid not in stopped and _signal(pid, signal.SIGSTOP, prey):
                stopped.add(pid)
        if len(stopped) == before:
            break
    return sum(_signal(pid, signal.SIGKILL, prey) for pid in stopped)


def _find(prey: Prey) -> Iterator[int]:
    own = os.getpid()
    for pid in _numbers():
        if pid != own and prey.is_at(pid):
            yield pid


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
