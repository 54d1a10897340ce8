"""Reads what commands print, keeps head and tail of it, and so never more than a fixed size."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence

DEFAULT_OUTPUT_LIMIT = 64 * 1024
_CHUNK = 65_536


class CappedOutput:
    """The first and the last bytes of a stream of any length."""

    def __init__(self, limit: int) -> None:
        self._room = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Take in more of the stream."""
        free = self._room - len(self._head)
        self._head += data[:free]
        self._tail += data[free:] if free < len(data) else b""
        excess = len(self._tail) - self._room
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def text(self) -> str:
        """What was kept, with a line in between that tells how much is missing."""
        if not self._dropped:
            return bytes(self._head + self._tail).decode(errors="replace")
        head, tail = self._head.decode(errors="replace"), self._tail.decode(errors="replace")
        return f"{head}\n… {self._dropped} bytes left out …\n{tail}"


class Capture:
    """The two pipes that the commands of one attempt write to, read without threads."""

    def __init__(self, limit: int) -> None:
        self.stdout = CappedOutput(limit)
        self.stderr = CappedOutput(limit)
        out_read, self.stdout_fd = os.pipe()
        err_read, self.stderr_fd = os.pipe()
        self._open = {out_read: self.stdout, err_read: self.stderr}
        self.received = 0

    def pump(self, wake_fds: Sequence[int], timeout_s: float) -> None:
        """Read what is there; wait for more or for another descriptor, at most so long."""
        poll = select.poll()
        for fd in (*self._open, *wake_fds):
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(max(0.0, timeout_s) * 1000):
            if fd in self._open:
                self._read(fd)

    def _read(self, fd: int) -> None:
        data = os.read(fd, _CHUNK)
        if data:
            self._open[fd].add(data)
            self.received += len(data)
        else:
            del self._open[fd]
            os.close(fd)

    def end_writing(self) -> None:
        """Close our own writing ends: what is read then ends when nobody else writes."""
        for fd in (self.stdout_fd, self.stderr_fd):
            if fd >= 0:
                os.close(fd)
        self.stdout_fd = self.stderr_fd = -1

    @property
    def is_over(self) -> bool:
        """Whether both pipes have ended."""
        return not self._open

    def close(self) -> None:
        """Give the descriptors back, whatever still writes."""
        self.end_writing()
        for fd in self._open:
            os.close(fd)
        self._open = {}
