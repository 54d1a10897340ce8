"""What of the host an attempt is given: an unused user, limits, how many processes."""

from __future__ import annotations

import contextlib
import math
import os
import random
import resource
import threading
from pathlib import Path

#: Users that nothing is given to: above all ranges that systemd hands out (systemd.io/UIDS-GIDS), else those
#: for services that exist while they run only.
_RANGES = ((0x7000_0000, 0x70FF_FFFF), (61_184, 65_519))
_MB = 1024 * 1024
_ADDRESS_SPACE = 4096 * _MB
_FILE_SIZE = 64 * _MB
_DESCRIPTORS = 1024
#: kubectl and the AWS CLI have fewer than 40 threads.
_PROCESSES = 256
_CPU_PER_SECOND = 4
#: A difference as small as this may be a thread that came while we counted.
_UNNOTICED = 16
_HIDDEN_ROOM = 1024


class Users:
    """Gives each running attempt a user number that no other has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()
        self._random = random.SystemRandom()
        self._range = _mapped_range()
        self.is_offered = os.geteuid() == 0 and self._range is not None

    def take(self) -> int | None:
        """An unused one; None if we are not root, or no range is mapped into our namespace."""
        if not self.is_offered or self._range is None:
            return None
        with self._lock:
            uid = self._random.randint(*self._range)
            while uid in self._taken:
                uid = self._random.randint(*self._range)
            self._taken.add(uid)
            return uid

    def give_back(self, uid: int | None) -> None:
        """Its attempt has ended."""
        with self._lock:
            self._taken.discard(uid or 0)


def _mapped_range() -> tuple[int, int] | None:
    with contextlib.suppress(OSError, ValueError):
        rows = [
            [int(word) for word in line.split()]
            for line in Path("/proc/self/uid_map").read_text().splitlines()
        ]
        for first, last in _RANGES:
            if any(inside <= first and last < inside + count for inside, _, count in rows):
                return first, last
    return None


def limits(timeout_s: float, *, layers: bool) -> tuple[tuple[int, int], ...]:
    """(resource, value) pairs; without layers only core files and huge files are refused."""
    always = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, _FILE_SIZE))
    if not layers:
        return always
    return (
        *always,
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_AS, _ADDRESS_SPACE),
        (resource.RLIMIT_CPU, max(10, math.ceil(timeout_s * _CPU_PER_SECOND))),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 64 * 1024),
    )


def process_limit(uid: int | None, *, hidden: int, most: int = _PROCESSES) -> int:
    """RLIMIT_NPROC counts all threads of a user: an unused one has none, our own has ours and hidden ones."""
    return most if uid is not None else most + threads_of(os.getuid()) + hidden


def room_for_hidden(counted: int) -> int:
    """Processes of our user number in other containers count too, and come and go unseen: twice those."""
    hidden = max(0, counted - threads_of(os.getuid()))
    return 2 * hidden + _HIDDEN_ROOM if hidden > _UNNOTICED else 0


def threads_of(uid: int) -> int:
    """How many threads this user has, as far as /proc shows."""
    total = 0
    with contextlib.suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == uid:
                    total += Path(entry.path, "task").stat().st_nlink - 2
    return total
