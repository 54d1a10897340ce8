"""Opens what a command was judged to need without being led elsewhere by somebody's symbolic link.

Who may write to a folder of logs could put a link there to a file that only root may read, and have the agent
read it. So a link of anybody but root and ourselves leads only to what is its owner's own.
"""

from __future__ import annotations

import errno
import os
import stat

_MOST_LINKS = 40


def open_path(path: str) -> int:
    """A descriptor (O_PATH) of exactly what was looked at; OSError if it is not there, or a link misleads."""
    here = os.open("/", os.O_PATH | os.O_CLOEXEC)
    left = _parts(path)
    owners: set[int] = set()
    links = 0
    try:
        while left:
            here, target = _step(here, left.pop(), owners)
            left += _parts(target)
            links += bool(target)
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, "too many links", path)
        if owners - {os.fstat(here).st_uid}:
            raise OSError(errno.EPERM, "a link of another user leads to what is not theirs", path)
    except OSError:
        os.close(here)
        raise
    return here


def _step(here: int, name: str, owners: set[int]) -> tuple[int, str]:
    """One name further: where that is, and what a link there says."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    seen = os.fstat(found)
    if not stat.S_ISLNK(seen.st_mode):
        os.close(here)
        return found, ""
    target = os.readlink("", dir_fd=found)
    os.close(found)
    if seen.st_uid not in (0, os.geteuid()):
        owners.add(seen.st_uid)
    if not target.startswith("/"):
        return here, target
    os.close(here)
    return os.open("/", os.O_PATH | os.O_CLOEXEC), target


def _parts(path: str) -> list[str]:
    """Its names, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
