"""System calls that Python has no function for: what a process gives up for good. OSError when refused."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Collection
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_SECCOMP = 22
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


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * len(_NO_ARGUMENTS)]
    libc.syscall.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * len(_NO_ARGUMENTS)]
    return libc


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Any system call of at most four arguments, by number."""
    return _checked(_libc().syscall(number, *arguments, *_NO_ARGUMENTS[len(arguments) :]))


def _prctl(option: int, *arguments: int) -> int:
    return _checked(_libc().prctl(option, *arguments, *_NO_ARGUMENTS[len(arguments) :]))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def die_with_parent(signal_number: int) -> None:
    """Get this signal when the parent ends; forgotten when the user changes, so to be said after that."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def hide() -> None:
    """Nobody of our own user reads our memory or environment, or traces us."""
    _prctl(_PR_SET_DUMPABLE, 0)


def become_subreaper() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """From here on no program has more rights than the one that starts it."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_bounding_set(kept: Collection[int] = ()) -> None:
    """No program started from here on can get a capability from a file, or by being root's, but these."""
    for capability in range(_MOST_CAPABILITIES):
        if capability in kept:
            continue
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            if not capability or error.errno != errno.EINVAL:
                raise
            return


def take_along_capabilities() -> None:
    """Root's permitted capabilities survive the next change of the user, not the next program."""
    _prctl(_PR_SET_KEEPCAPS, 1)


def drop_capabilities(kept: Collection[int] = ()) -> None:
    """Keep none but these, as far as we have them: ambient, inheritable, permitted or effective."""
    mine = [number for number in kept if _permitted() >> number & 1]
    mask = sum(1 << number for number in set(mine))
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _checked(_libc().capset(_OWN, _PERMITTED.pack(mask, mask, mask, 0, 0, 0)))
    for number in mine:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)


def _permitted() -> int:
    data = ctypes.create_string_buffer(_PERMITTED.size)
    _checked(_libc().capget(_OWN, data))
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


def install(laid_out: Filter) -> None:
    """Load a seccomp filter; it stays with every program started from here on."""
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, laid_out.address)


def install_filter(program: bytes) -> None:
    """Lay out a seccomp filter and load it."""
    install(in_memory(program))
