"""seccomp: which system calls a step's programs do not have, as a BPF program written by hand.

Landlock up to ABI 7 stops neither UDP nor UNIX sockets nor a connection by TCP Fast Open or MPTCP, and no
layer but this one stops tracing, mounting or a limit set on another process.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from agent.adapters.sandbox import kernel
from agent.adapters.sandbox import syscalls as calls

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

#: AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 (linux/audit.h), and the column of the tables.
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
#: CLONE_NEWTIME is a signal's bit to clone(2), so it is not here; clone3 and unshare are closed as a whole.
_NAMESPACE_FLAGS = 0x7E020000
_THREAD = 0x00010000
_FAST_OPEN = 0x20000000
_TYPE_MASK = 0xF
_TERMINAL_INPUT = (0x5412, 0x541C)
#: About the square root of how many numbers are refused.
_GROUP = 10

_Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Doors:
    """What this one command has that others have not."""

    internet: bool = False
    datagrams: bool = False
    local_sockets: bool = False
    ownership: bool = False
    processes: bool = True


def is_known_architecture() -> bool:
    """Whether there is a table for this machine."""
    return os.uname().machine in _ARCHITECTURES


def prepare() -> None:
    """Write every filter once, so that a fork of this process has them all."""
    if is_known_architecture():
        for choice in itertools.product((False, True), repeat=5):
            kernel.in_memory(program(Doors(*choice)))


@functools.cache
def program(doors: Doors, machine: str = "") -> bytes:
    """The filter for this machine, or the named one; OSError on an architecture without a table."""
    machine = machine or os.uname().machine
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}")
    architecture, column = _ARCHITECTURES[machine]
    instructions = [
        *_head(architecture),
        *_refused(column, doors),
        *_judged(column, doors),
        _return(_ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _head(architecture: int) -> list[_Instruction]:
    """Another architecture's calls (int 0x80, x32) and calls newer than the tables do not exist."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        _return(_KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_GREATER, 0, 1, calls.NEWEST),
        _return(_REFUSE | errno.ENOSYS),
    ]


def _refused(column: int, doors: Doors) -> list[_Instruction]:
    """In order and in groups: the kernel goes through it once for every number each time it is put up."""
    tables = [calls.FOREIGN_PROCESSES, calls.NAMESPACES, calls.KERNEL, calls.MACHINE, calls.SHARED]
    tables += [] if doors.ownership else [calls.OWNERSHIP]
    tables += [] if doors.processes else [calls.FORKS]
    rows = [row[column] for table in tables for row in table.values()]
    numbers = sorted(number for number in rows if number is not None)
    groups = [numbers[at : at + _GROUP] for at in range(0, len(numbers), _GROUP)]
    length = len(numbers) + len(groups)
    lines: list[_Instruction] = []
    for group in groups:
        past_all = group is groups[-1]
        lines.append((_JUMP_GREATER, len(group) + past_all, 0, group[-1]))
        for number in group:
            to_refusal = length - len(lines) - 1
            lines.append((_JUMP_EQUAL, to_refusal, to_refusal + 1 if number == group[-1] else 0, number))
    return [*lines, _return(_REFUSE | errno.EPERM)]


def _judged(column: int, doors: Doors) -> list[_Instruction]:
    bodies: dict[str, list[_Instruction]] = {
        "clone": [*_without_bits(0, _NAMESPACE_FLAGS), *([] if doors.processes else _with_bits(0, _THREAD))],
        "clone3": [_return(_REFUSE | errno.ENOSYS)],
        "socket": _socket(doors),
        "socketpair": [*_one_of(0, [socket.AF_UNIX])],
        "sendto": [*_without_bits(3, _FAST_OPEN)],
        "sendmsg": [*_without_bits(2, _FAST_OPEN)],
        "sendmmsg": [*_without_bits(3, _FAST_OPEN)],
        "ioctl": _none_of(1, _TERMINAL_INPUT),
        # Of itself only: limits and processors of another process of the same user are nobody's business.
        "prlimit64": [*_one_of(0, [0])],
        "sched_setaffinity": [*_one_of(0, [0])],
    }
    lines: list[_Instruction] = []
    for name, body in bodies.items():
        number = calls.JUDGED[name][column]
        if number is not None:
            closed = [*body, _return(_ALLOW)]
            lines += [(_JUMP_EQUAL, 0, len(closed), number), *closed]
    return lines


def _socket(doors: Doors) -> list[_Instruction]:
    local = (
        [_argument(0), (_JUMP_EQUAL, 0, 1, socket.AF_UNIX), _return(_ALLOW)] if doors.local_sockets else []
    )
    if not doors.internet:
        return [*local, _return(_REFUSE | errno.EPERM)]
    kinds = [socket.SOCK_STREAM, *([socket.SOCK_DGRAM] if doors.datagrams else [])]
    # 0 is the kind's own; not MPTCP (262) or SCTP, which Landlock does not see, nor ICMP.
    protocols = [0, socket.IPPROTO_TCP, *([socket.IPPROTO_UDP] if doors.datagrams else [])]
    return [
        *local,
        *_one_of(0, [socket.AF_INET, socket.AF_INET6]),
        _argument(1),
        (_AND, 0, 0, _TYPE_MASK),
        *_or_refuse(kinds),
        *_one_of(2, protocols),
    ]


def _argument(index: int) -> _Instruction:
    """Its low half: what is judged here are ints and flags of 32 bits (both machines are little-endian)."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _one_of(index: int, values: Sequence[int]) -> list[_Instruction]:
    return [_argument(index), *_or_refuse(values)]


def _or_refuse(values: Sequence[int]) -> list[_Instruction]:
    tests = [(_JUMP_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [*tests, _return(_REFUSE | errno.EPERM)]


def _none_of(index: int, values: Sequence[int]) -> list[_Instruction]:
    lines = [_argument(index)]
    for value in values:
        lines += [(_JUMP_EQUAL, 0, 1, value), _return(_REFUSE | errno.EPERM)]
    return lines


def _without_bits(index: int, bits: int) -> list[_Instruction]:
    return [_argument(index), (_JUMP_SET, 0, 1, bits), _return(_REFUSE | errno.EPERM)]


def _with_bits(index: int, bits: int) -> list[_Instruction]:
    return [_argument(index), (_JUMP_SET, 1, 0, bits), _return(_REFUSE | errno.EPERM)]


def _return(action: int) -> _Instruction:
    return (_RETURN, 0, 0, action)
