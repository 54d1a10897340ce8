"""Landlock: which files a process may open, which TCP ports it may connect to, whom it may signal.

A rule set only takes away, for good, and for all that the process starts. What a kernel of an earlier ABI
does not know is left out here and found missing by the self-test
(Documentation/userspace-api/landlock.rst).
"""

from __future__ import annotations

import functools
import os
import stat
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.adapters.sandbox import links
from agent.adapters.sandbox.kernel import Call, do, later, syscall

#: The three system calls have these numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
#: Removing and making: directories, files, sockets, pipes, links; never devices (bits 6 and 11).
_CHANGE_FOLDER = sum(1 << bit for bit in (4, 5, 7, 8, 9, 10, 12))
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE

READ = _READ_FILE | _READ_DIR
READ_ONE = _READ_FILE
LIST = _READ_DIR
RUN = READ | _EXECUTE
#: Without the right to run: what a command wrote there is not executed.
WRITE = READ | _WRITE_FILE | _TRUNCATE | _REFER | _CHANGE_FOLDER
DEVICE = _READ_FILE | _WRITE_FILE | _TRUNCATE

_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2

_RULE = struct.Struct("=Qi")

_ABI_NETWORK, _ABI_SCOPES = 4, 6
#: How many of the file rights each ABI knows.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_ALL_FILE_RIGHTS = 16


@functools.cache
def abi() -> int:
    """What this kernel can do, 0: nothing (absent, or not started with it)."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Ground:
    """All that a process may open: paths with rights on them (a folder stands for all below), and ports.

    The `named` paths are those of one command, in folders that others may write to; the rest is the system's.
    """

    paths: Sequence[tuple[str, int]]
    ports: Iterable[int]
    named: Sequence[tuple[str, int]] = ()


def scope_signals() -> bool:
    """From here on signals reach only what we start ourselves; False if this kernel cannot."""
    if abi() < _ABI_SCOPES:
        return False
    do(restricted(syscall(_CREATE_RULESET, struct.pack("=QQQ", 0, 0, _SCOPE_SIGNALS), 24, 0)))
    return True


def open_ruleset(ground: Ground, *, local_sockets: bool) -> int | None:
    """A rule set's descriptor, to be put in force with `restricted`, in a fork too; None without Landlock."""
    version = abi()
    if not version:
        return None
    handled = (1 << _FILE_RIGHTS.get(version, _ALL_FILE_RIGHTS)) - 1
    network = (_BIND_TCP | _CONNECT_TCP) if version >= _ABI_NETWORK else 0
    scopes = _SCOPE_SIGNALS | (0 if local_sockets else _SCOPE_ABSTRACT_SOCKETS)
    attributes = struct.pack("=QQQ", handled, network, scopes if version >= _ABI_SCOPES else 0)
    size = 24 if version >= _ABI_SCOPES else 16 if network else 8
    ruleset = syscall(_CREATE_RULESET, attributes, size, 0)
    for path, rights in ground.paths:
        _allow_path(ruleset, path, rights & handled, opener=_open)
    for path, rights in ground.named:
        _allow_path(ruleset, path, rights & handled, opener=links.open_path)
    for port in ground.ports if network else ():
        syscall(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
    return ruleset


def allow_reading(ruleset: int, folder: str) -> None:
    """One more folder that may be read; one that is not there gives no rule."""
    try:
        fd = _open(folder)
    except OSError:
        return
    syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _RULE.pack(READ, fd), 0)
    os.close(fd)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _allow_path(ruleset: int, path: str, rights: int, *, opener: Callable[[str], int]) -> None:
    """What is not there cannot be opened either: no rule."""
    try:
        fd = opener(path)
    except OSError:
        return
    if rights & ~_ON_FILES and not stat.S_ISDIR(os.fstat(fd).st_mode):
        rights &= _ON_FILES
    if rights:
        syscall(_ADD_RULE, ruleset, _PATH_BENEATH, _RULE.pack(rights, fd), 0)
    os.close(fd)


def restricted(ruleset: int) -> tuple[Call, ...]:
    """In force, and closed; needs no_new_privs."""
    return (later(_RESTRICT_SELF, ruleset, 0), (os.close, (ruleset,)))
