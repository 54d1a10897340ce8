"""Which file a command's first word names, whether it is still the one, and who may change it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import realpath
from pathlib import Path

from agent.adapters.sandbox.child import identity_of

_ANYBODY_WRITES = stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Executable:
    """A program on disk and what tells it from another put in its place."""

    path: str
    identity: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a command's program is not run."""

    exit_code: int
    reason: str


def resolve(name: str, path: Sequence[str]) -> Executable | Unusable:
    """Look in the trusted folders; a name with a slash in it must be an absolute path."""
    missing = Unusable(127, f"{name} is not installed")
    if "/" in name and not name.startswith("/"):
        return missing
    # Each attempt comes by here: pathlib takes several times as long.
    places = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in path]
    found = next((place for place in places if _is_program(place)), None)
    if found is None:
        return missing
    if _anybody_may_replace(found):
        reason = f"{found} can be changed by any user of this machine: close it to others (chmod o-w)"
        return Unusable(126, reason)
    return Executable(found, identity_of(found))


def _is_program(place: str) -> bool:
    try:
        mode = os.stat(place).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) and os.access(place, os.X_OK)


def _anybody_may_replace(place: str) -> bool:
    real = realpath(place, strict=True)
    folder = os.stat(real.rpartition("/")[0] or "/").st_mode  # noqa: PTH116
    is_open_folder = bool(folder & _ANYBODY_WRITES) and not folder & stat.S_ISVTX
    return is_open_folder or bool(os.stat(real).st_mode & _ANYBODY_WRITES)  # noqa: PTH116


def copy_of(executable: Executable, sha256: str, *, folder: Path, uid: int | None) -> Executable | Unusable:
    """A copy of exactly the bytes that were judged, which the attempt's user can read and run, not change."""
    content = Path(executable.path).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256.lower():
        reason = f"{executable.path} is not the file that its entry's sha256 describes; nothing was run"
        return Unusable(126, reason)
    folder.mkdir(mode=0o710)
    copy = folder / Path(executable.path).name
    copy.write_bytes(content)
    copy.chmod(0o550)
    if uid is not None:
        os.chown(folder, -1, uid)
        os.chown(copy, -1, uid)
    return Executable(str(copy), identity_of(str(copy)))
