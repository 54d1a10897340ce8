"""Between fork and exec: a launcher's child gives up what its program must not have, and becomes it."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from agent.adapters.sandbox import kernel, landlock, probe, seccomp
from agent.adapters.sandbox.ground import OWN_PROCESS, ground
from agent.adapters.sandbox.wire import Request, Spawn

_MOST_DESCRIPTORS = 65_536
#: Where a child's errors and its rule set stand; whoever forks it has nothing of its own down there.
_ERRORS, _RULESET = 3, 4
RESERVED = 5


#: What a program's own particulars, or the host, may be wrong with.
NOT_STARTED = (OSError, ValueError, LookupError, TypeError)


def in_words(spawn: Spawn, error: Exception) -> str:
    """Which program was not started, and why."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
    return f"{spawn.argv[0]}: {words}"


@dataclass(frozen=True, slots=True)
class Walls:
    """What is ready before the fork: a child pays for every page of memory that it touches.

    `limits` are (resource, value) pairs; `ruleset` is Landlock's, `filter` the system calls'. None: the host
    has no such layer, or none is wanted.
    """

    limits: tuple[tuple[int, int], ...]
    ruleset: int | None = None
    filter: kernel.Filter | None = None


def walls(spawn: Spawn, request: Request) -> Walls:
    """Look up what this program may open and call. OSError if that cannot be enforced and must be."""
    limits = tuple((which, _at_most(which, value)) for which, value in request.limits)
    if not request.layers:
        return Walls(limits)
    laid_out: kernel.Filter | None = None
    try:
        laid_out = kernel.in_memory(seccomp.program(doors(spawn, request)))
    except OSError:
        if not request.tolerant:
            raise
    return Walls(limits, landlock.open_ruleset(ground(spawn), local_sockets=spawn.local_sockets), laid_out)


def _at_most(which: int, value: int) -> int:
    """What is inherited is never raised."""
    hard = resource.getrlimit(which)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def become(spawn: Spawn, request: Request, ready: Walls, *, streams: Sequence[int], errors: int) -> NoReturn:
    """Confine, and exec; what went wrong is written to `errors`, which a program that starts closes."""
    try:
        parent = os.getppid()
        errors = _take(streams, errors, ready.ruleset)
        _surroundings(spawn, ready)
        if request.layers:
            _confine(spawn, request, ready)
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            raise ProcessLookupError(errno.ESRCH, "the launcher has gone")
        _start(spawn)
    except NOT_STARTED as error:
        os.write(errors, in_words(spawn, error).encode(errors="replace")[:4096])
    finally:
        os._exit(126)


def _take(streams: Sequence[int], errors: int, ruleset: int | None) -> int:
    """0, 1, 2 are the command's, 3 is where errors go, 4 the rule set; nothing else stays open."""
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    os.dup2(errors, _ERRORS, False)
    if ruleset is not None:
        os.dup2(ruleset, _RULESET, False)
    os.closerange(_RULESET if ruleset is None else RESERVED, _MOST_DESCRIPTORS)
    return _ERRORS


def _surroundings(spawn: Spawn, ready: Walls) -> None:
    os.setsid()
    os.umask(0o077)
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    for which, most in ready.limits:
        resource.setrlimit(which, (most, most))
    os.chdir(spawn.directory)


def _confine(spawn: Spawn, request: Request, ready: Walls) -> None:
    """Every layer, in the order in which each still may be put on; the filter comes last."""
    put_up = _tolerant if request.tolerant else _strict
    ruleset = None if ready.ruleset is None else _RULESET
    laid_out = ready.filter
    if ruleset is not None:
        landlock.allow_reading(ruleset, OWN_PROCESS)
    put_up(kernel.no_new_privileges)
    # Without Landlock a right to read files of every owner would be one to read all of them.
    kept = spawn.capabilities if ruleset is not None or spawn.keeps_user else ()
    if request.uid is not None:
        put_up(lambda: kernel.drop_bounding_set(kept))
    put_up(lambda: _limit_processes(request) if spawn.keeps_user else change_user(request, kept=kept))
    put_up(lambda: kernel.drop_capabilities(kept))
    if ruleset is not None:
        put_up(lambda: landlock.restrict(ruleset))
    if laid_out is not None:
        put_up(lambda: kernel.install(laid_out))


def _strict(layer: Callable[[], None]) -> None:
    layer()


def _tolerant(layer: Callable[[], None]) -> None:
    """A host that is known to lack it; the self-test found what that means."""
    with contextlib.suppress(OSError):
        layer()


def change_user(request: Request, *, kept: Sequence[int] = ()) -> None:
    """Its processes are counted against the limit from here on: for an unused user, these alone."""
    uid = request.uid
    if uid is not None:
        if kept:
            kernel.take_along_capabilities()
        os.setgroups([])
        os.setresgid(uid, uid, uid)
    _limit_processes(request)
    if uid is not None:
        os.setresuid(uid, uid, uid)


def _limit_processes(request: Request) -> None:
    """For root the kernel counts none (kernel/fork.c): its commands are bound by `alone`, or by time only."""
    if request.processes:
        resource.setrlimit(resource.RLIMIT_NPROC, (request.processes, request.processes))


def doors(spawn: Spawn, request: Request) -> seccomp.Doors:
    """What its filter leaves open; an unused user owns nothing outside, so its modes are its own affair."""
    owns_nothing_outside = request.uid is not None and not spawn.keeps_user and not spawn.capabilities
    return seccomp.Doors(
        internet=spawn.internet,
        datagrams=spawn.datagrams,
        local_sockets=spawn.local_sockets,
        ownership=bool(spawn.writes) or owns_nothing_outside,
        processes=not spawn.alone,
    )


def identity_of(path: str) -> tuple[int, ...]:
    """What tells one executable from another that was put in its place."""
    seen = os.stat(path)  # noqa: PTH116
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def _start(spawn: Spawn) -> None:
    if spawn.probe is not None:
        probe.run(spawn.probe)
        sys.stdout.flush()
        os._exit(0)
    if identity_of(spawn.executable) != tuple(spawn.identity):
        raise OSError(errno.ETXTBSY, "the program was replaced after it was looked at; nothing was run")
    os.execve(spawn.executable, spawn.argv, dict(spawn.environment))  # noqa: S606  (never a shell)
