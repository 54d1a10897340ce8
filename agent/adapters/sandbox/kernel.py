"""System calls that Python has no function for: what a process gives up for good. OSError when refused.

What changes a process is prepared here and carried out by `do`, at once or in a fork.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_SECCOMP = 22
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
#: Of this process itself.
_OWN = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
#: Effective, permitted, inheritable of the first 32 capabilities, then of the others (capget(2)).
_PERMITTED = struct.Struct("=6I")
#: More than any kernel has; the first one that it does not know ends the loop (capabilities(7)).
_MOST_CAPABILITIES = 64
_NO_ARGUMENTS = (0, 0, 0, 0)


#: A function and its arguments: prepared in one process, carried out in a fork of it.
Call = tuple[Callable[..., object], tuple[object, ...]]


def do(calls: Iterable[Call]) -> None:
    """Carry them out, one after the other; what one raises ends it."""
    for function, arguments in calls:
        function(*arguments)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * len(_NO_ARGUMENTS)]
    libc.syscall.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * len(_NO_ARGUMENTS)]
    for function in (libc.prctl, libc.syscall, libc.capset, libc.capget):
        function.restype = _checked
    return libc


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Any system call of at most four arguments, by number."""
    result: int = _libc().syscall(number, *arguments, *_NO_ARGUMENTS[len(arguments) :])
    return result


def later(number: int, *arguments: int | bytes | None) -> Call:
    """The same, prepared."""
    return _libc().syscall, (number, *arguments, *_NO_ARGUMENTS[len(arguments) :])


def _prctl(option: int, *arguments: int) -> Call:
    return _libc().prctl, (option, *arguments, *_NO_ARGUMENTS[len(arguments) :])


def die_with_parent(signal_number: int) -> Call:
    """Get this signal when the parent ends; forgotten when the user changes, so to be said after that."""
    return _prctl(_PR_SET_PDEATHSIG, signal_number)


def hide() -> Call:
    """Nobody of our own user reads our memory or environment, or traces us."""
    return _prctl(_PR_SET_DUMPABLE, 0)


def become_subreaper() -> Call:
    """Become the parent of every descendant whose own parent has ended."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> Call:
    """From here on no program has more rights than the one that starts it."""
    return _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def bounding_set_dropped(kept: Collection[int] = ()) -> tuple[Call, ...]:
    """No program started from here on can get a capability from a file, or by being root's, but these."""
    return tuple(_prctl(_PR_CAPBSET_DROP, number) for number in _bounding_set() if number not in kept)


def drop_bounding_set(kept: Collection[int] = ()) -> None:
    """The same at once: each fork then has less to drop."""
    do(bounding_set_dropped(kept))
    _bounding_set.cache_clear()


@functools.cache
def _bounding_set() -> tuple[int, ...]:
    """What programs that this process starts could still get; nothing is ever added to it.

    Where it cannot be asked, all: then to drop the first one fails, and that is heard of.
    """
    found = []
    for number in range(_MOST_CAPABILITIES):
        read, arguments = _prctl(_PR_CAPBSET_READ, number)
        try:
            found += [number] if read(*arguments) else []
        except OSError as error:
            if not number or error.errno != errno.EINVAL:
                return tuple(range(_MOST_CAPABILITIES))
            break
    return tuple(found)


def take_along_capabilities() -> Call:
    """Root's permitted capabilities survive the next change of the user, not the next program."""
    return _prctl(_PR_SET_KEEPCAPS, 1)


def capabilities_dropped(kept: Collection[int] = ()) -> tuple[Call, ...]:
    """Keep none but these, as far as we have them: ambient, inheritable, permitted or effective."""
    if kept:
        return ((_keep_only, (kept,)),)
    return (_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL), _capset(0))


def _keep_only(kept: Collection[int]) -> None:
    mine = [number for number in kept if _permitted() >> number & 1]
    mask = sum(1 << number for number in set(mine))
    do((_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL), _capset(mask)))
    do(_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number) for number in mine)


def _capset(mask: int) -> Call:
    return _libc().capset, (_OWN, _PERMITTED.pack(mask, mask, mask, 0, 0, 0))


def _permitted() -> int:
    data = ctypes.create_string_buffer(_PERMITTED.size)
    _libc().capget(_OWN, data)
    held: int = _PERMITTED.unpack(data.raw)[1]
    return held


@dataclass(frozen=True, slots=True)
class Filter:
    """A seccomp filter in memory as the kernel takes it."""

    address: int
    held: tuple[ctypes.Array[ctypes.c_char], ...]


@functools.cache
def in_memory(program: bytes) -> Filter:
    """Laid out once: a fork of this process has it too."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    held = ctypes.create_string_buffer(header, len(header))
    return Filter(ctypes.addressof(held), (held, buffer))


def installed(laid_out: Filter) -> Call:
    """A seccomp filter loaded; it stays with every program started from here on."""
    return _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, laid_out.address)
