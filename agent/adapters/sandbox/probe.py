"""The self-test's other half: inside the layers, in a program's place, try what must not work."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import socket
from collections.abc import Callable, Mapping
from typing import Any

_REFUSALS = frozenset({errno.EPERM, errno.EACCES})
_PTRACE_SEIZE = 0x4206
_MOST_COUNTED = 1 << 16


def run(targets: Mapping[str, Any]) -> None:
    """Print what was found, as JSON."""
    found = {"count": _count()} if "count" in targets else _attempts(targets)
    os.write(1, json.dumps(found).encode())


def _attempts(targets: Mapping[str, Any]) -> dict[str, str]:
    """Which attempts got through: name to words, "" for one that was refused."""
    attempts: dict[str, Callable[[], None]] = {
        "write outside": lambda: _open(targets["writable"], os.O_WRONLY),
        "read outside": lambda: _open(targets["readable"], os.O_RDONLY),
        "list a folder outside": lambda: os.close(os.open(targets["folder"], os.O_RDONLY | os.O_DIRECTORY)),
        "make a file outside": lambda: _open(targets["folder"] + "/made", os.O_WRONLY | os.O_CREAT),
        "read the agent's environment": lambda: _open(f"/proc/{targets['agent']}/environ", os.O_RDONLY),
        "signal the agent": lambda: os.kill(targets["agent"], 0),
        "trace the agent": lambda: _trace(targets["agent"]),
        "connect to another port": lambda: _connect(targets["port"]),
        "open a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
        "open a UNIX socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close(),
        "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close(),
        "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
        "start processes without end": lambda: _fork(targets["processes"]),
    }
    found = {name: _tried(attempt) for name, attempt in attempts.items()}
    return {**found, "be the agent's user": _privileges(targets)}


def _count() -> int:
    """How many processes and threads our user has as the kernel counts them, found by trying limits."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    low, high = 0, _MOST_COUNTED if hard == resource.RLIM_INFINITY else min(hard, _MOST_COUNTED)
    while low < high:
        middle = (low + high) // 2
        resource.setrlimit(resource.RLIMIT_NPROC, (middle, hard))
        if _can_fork():
            high = middle
        else:
            low = middle + 1
    return low


def _can_fork() -> bool:
    try:
        pid = os.fork()
    except BlockingIOError:
        return False
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


def _tried(attempt: Callable[[], None]) -> str:
    """A refusal is what it should be; "connection refused" is not one: the packet was sent."""
    try:
        attempt()
    except OSError as error:
        is_refused = error.errno in _REFUSALS or isinstance(error, BlockingIOError)
        return "" if is_refused else f"not refused, but failed: {error.strerror}"
    return "it worked"


def _open(path: str, flags: int) -> None:
    fd = os.open(path, flags, 0o600)
    with contextlib.suppress(OSError):
        os.read(fd, 1)
    os.close(fd)


def _trace(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(_PTRACE_SEIZE, pid, None, None) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _connect(port: int) -> None:
    # Not create_connection: it looks for a codec in files that are closed to us by now.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        connection.connect(("127.0.0.1", port))


def _fork(most: int) -> None:
    """Up to so many at once; BlockingIOError (EAGAIN) at the limit."""
    hold_read, hold_write = os.pipe()
    children = []
    try:
        for _ in range(most):
            pid = os.fork()
            if not pid:
                os.close(hold_write)
                os.read(hold_read, 1)
                os._exit(0)
            children.append(pid)
    finally:
        os.close(hold_write)
        for pid in children:
            os.waitpid(pid, 0)


def _privileges(targets: Mapping[str, Any]) -> str:
    with open("/proc/self/status") as file:  # noqa: PTH123
        fields = dict(line.split(":", 1) for line in file.read().splitlines())
    held = [name for name in ("CapPrm", "CapEff", "CapAmb", "CapInh") if int(fields[name], 16)]
    if held or fields["NoNewPrivs"].strip() != "1":
        return "it keeps capabilities"
    return "it keeps root's number" if targets["agent_uid"] == 0 and os.getuid() == 0 else ""
