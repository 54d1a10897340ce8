"""Ends everything that an attempt started, whatever it did to get away."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

_AT_MOST_S = 5.0
_PAUSE_S = 0.001
_ROUNDS = 64


class Reaper:
    """Signals all descendants of this process, and waits until there is none.

    This process is their subreaper: whoever double-forks or starts a session stays below it, and no child
    left is proof that nothing is left. With a signal scope in force, `kill(-1)` reaches exactly what we
    started, under one lock of the kernel, so that not even a fork bomb is a process ahead; whether it is in
    force is tried on our parent first. Without it children are killed one generation after the other.
    """

    def __init__(self, *, scoped: bool) -> None:
        self._scoped = scoped and _is_out_of_reach(os.getppid())

    def signal_all(self, number: signal.Signals) -> None:
        """Signal every descendant."""
        if self._scoped:
            with contextlib.suppress(OSError):
                os.kill(-1, number)
        elif number is signal.SIGKILL:
            _stop_and_kill()
        else:
            _signal_each(_descendants(), number)

    def end_all(self, reap: Callable[[], bool]) -> bool:
        """Kill until `reap` says that no child is left; False if one could not be ended in time."""
        until = time.monotonic() + _AT_MOST_S
        while reap():
            if time.monotonic() > until:
                return False
            if self._scoped:
                self.signal_all(signal.SIGKILL)
                time.sleep(_PAUSE_S)
            else:
                _chase(reap)
        return True


def _chase(reap: Callable[[], bool]) -> None:
    """Kill our children, and who becomes our child by that, faster than one forks; then stop the tree."""
    for _ in range(_ROUNDS):
        children = _own_children()
        _signal_each(children, signal.SIGKILL)
        if not children or not reap():
            return
    _stop_and_kill()


def _own_children() -> set[int]:
    """In one read where the kernel tells it (CONFIG_PROC_CHILDREN)."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children") as file:  # noqa: PTH123
            return {int(word) for word in file.read().split()}
    except OSError:
        return _children_of(own, _parents())


def _is_out_of_reach(pid: int) -> bool:
    """Whether the harmless signal 0 is refused; a process outside must be, or `kill(-1)` would hit all."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def end_strays(known: Iterable[int]) -> None:
    """Kill our own children that are not among the known ones, with all that they started."""
    strays = _children_of(os.getpid(), _parents()) - set(known)
    if strays:
        _stop_and_kill(strays)


def _stop_and_kill(roots: set[int] | None = None) -> None:
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        new = (_descendants(roots) if roots else _descendants()) - stopped
        if not new:
            break
        _signal_each(new, signal.SIGSTOP)
        stopped |= new
    _signal_each(stopped, signal.SIGKILL)


def _descendants(roots: set[int] | None = None) -> set[int]:
    parents = _parents()
    found = set(roots) if roots else _children_of(os.getpid(), parents)
    newest = found
    while newest:
        newest = {pid for parent in newest for pid in _children_of(parent, parents)} - found
        found = found | newest
    return found


def _children_of(parent: int, parents: dict[int, int]) -> set[int]:
    return {pid for pid, its_parent in parents.items() if its_parent == parent}


def _parents() -> dict[int, int]:
    """The parent of every process, as /proc tells it."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  (the launcher does without pathlib: it starts faster)
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat") as file:  # noqa: PTH123
                found[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    return found


def _signal_each(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)
