"""Between fork and exec: a launcher's child gives up what its program must not have, and becomes it.

What it does is prepared before the fork, call by call: a child pays for every page of memory that it touches,
and it would touch many more if it had yet to find out what to do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from agent.adapters.sandbox import kernel, landlock, probe, seccomp
from agent.adapters.sandbox.ground import OWN_PROCESS, ground
from agent.adapters.sandbox.kernel import Call
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
class Plan:
    """All that a child does; `held` are descriptors that it alone needs, to be closed when it is forked."""

    calls: tuple[Call, ...]
    held: tuple[int, ...]


def plan(spawn: Spawn, request: Request, *, streams: Sequence[int], errors: int) -> Plan:
    """Look up what this program may open and call. OSError if that cannot be enforced and must be."""
    laid_out = _filter(spawn, request) if request.layers else None
    ruleset = _ruleset(spawn) if request.layers else None
    calls = (
        *_take(streams, errors, ruleset),
        *_surroundings(spawn, request),
        *(_confine(spawn, request, laid_out, is_landlocked=ruleset is not None) if request.layers else ()),
        kernel.die_with_parent(signal.SIGKILL),
        (_has_parent, (os.getpid(),)),
        *_start(spawn),
    )
    return Plan(calls, () if ruleset is None else (ruleset,))


def _filter(spawn: Spawn, request: Request) -> kernel.Filter | None:
    try:
        return kernel.in_memory(seccomp.program(doors(spawn, request)))
    except OSError:
        if not request.tolerant:
            raise
        return None


def _ruleset(spawn: Spawn) -> int | None:
    return landlock.open_ruleset(ground(spawn), local_sockets=spawn.local_sockets)


def become(spawn: Spawn, ready: Plan) -> NoReturn:
    """Confine, and exec; what went wrong is written where errors go, which a program that starts closes."""
    try:
        kernel.do(ready.calls)
    except NOT_STARTED as error:
        os.write(_ERRORS, in_words(spawn, error).encode(errors="replace")[:4096])
    finally:
        os._exit(126)


def _take(streams: Sequence[int], errors: int, ruleset: int | None) -> Iterator[Call]:
    """0, 1, 2 are the command's, 3 is where errors go, 4 the rule set; nothing else stays open."""
    yield os.dup2, (errors, _ERRORS, False)
    for number, fd in enumerate(streams):
        yield os.dup2, (fd, number)
    if ruleset is not None:
        yield os.dup2, (ruleset, _RULESET, False)
    yield os.closerange, (_RULESET if ruleset is None else RESERVED, _MOST_DESCRIPTORS)


def _surroundings(spawn: Spawn, request: Request) -> Iterator[Call]:
    yield os.setsid, ()
    yield os.umask, (0o077,)
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        yield os.setpriority, (os.PRIO_PROCESS, 0, 0)
    for which, value in request.limits:
        most = _at_most(which, value)
        yield resource.setrlimit, (which, (most, most))
    yield os.chdir, (spawn.directory,)


def _at_most(which: int, value: int) -> int:
    """What is inherited is never raised."""
    hard = resource.getrlimit(which)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _confine(
    spawn: Spawn, request: Request, laid_out: kernel.Filter | None, *, is_landlocked: bool
) -> Iterator[Call]:
    """Every layer, in the order in which each still may be put on; the filter comes last."""
    if is_landlocked:
        yield landlock.allow_reading, (_RULESET, OWN_PROCESS)
    for layer in _layers(spawn, request, laid_out, is_landlocked=is_landlocked):
        yield from [(_as_far_as_it_goes, (layer,))] if request.tolerant else layer


def _layers(
    spawn: Spawn, request: Request, laid_out: kernel.Filter | None, *, is_landlocked: bool
) -> Iterator[tuple[Call, ...]]:
    yield (kernel.no_new_privileges(),)
    # Without Landlock a right to read files of every owner would be one to read all of them.
    kept = spawn.capabilities if is_landlocked or spawn.keeps_user else ()
    if request.uid is not None:
        yield kernel.bounding_set_dropped(kept)
    yield _limited(request) if spawn.keeps_user else user_changed(request, kept=kept)
    yield kernel.capabilities_dropped(kept)
    if is_landlocked:
        yield landlock.restricted(_RULESET)
    if laid_out is not None:
        yield (kernel.installed(laid_out),)


def _as_far_as_it_goes(layer: Sequence[Call]) -> None:
    """A host that is known to lack it; the self-test found what that means."""
    with contextlib.suppress(OSError):
        kernel.do(layer)


def user_changed(request: Request, *, kept: Sequence[int] = ()) -> tuple[Call, ...]:
    """Its processes are counted against the limit from here on: for an unused user, these alone."""
    uid = request.uid
    if uid is None:
        return _limited(request)
    return (
        *([kernel.take_along_capabilities()] if kept else []),
        (os.setgroups, ([],)),
        (os.setresgid, (uid, uid, uid)),
        *_limited(request),
        (os.setresuid, (uid, uid, uid)),
    )


def _limited(request: Request) -> tuple[Call, ...]:
    """For root the kernel counts none (kernel/fork.c): its commands are bound by `alone`, or by time only."""
    most = request.processes
    return ((resource.setrlimit, (resource.RLIMIT_NPROC, (most, most))),) if most else ()


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


def _has_parent(pid: int) -> None:
    if os.getppid() != pid:
        raise ProcessLookupError(errno.ESRCH, "the launcher has gone")


def _start(spawn: Spawn) -> tuple[Call, ...]:
    if spawn.probe is not None:
        return ((_probe, (spawn.probe,)),)
    environment = {os.fsencode(name): os.fsencode(value) for name, value in spawn.environment.items()}
    argv = tuple(map(os.fsencode, spawn.argv))
    return (
        (_is_as_it_was, (spawn.executable, tuple(spawn.identity))),
        (os.execve, (spawn.executable, argv, environment)),  # never a shell
    )


def _probe(targets: Mapping[str, Any]) -> NoReturn:
    probe.run(targets)
    sys.stdout.flush()
    os._exit(0)


def _is_as_it_was(executable: str, identity: tuple[int, ...]) -> None:
    if identity_of(executable) != identity:
        raise OSError(errno.ETXTBSY, "the program was replaced after it was looked at; nothing was run")
