"""The system call filter, read as the kernel would read it, for both architectures."""

import errno
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.sandbox import syscalls as calls
from agent.adapters.sandbox.seccomp import Doors, program

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, ENOSYS = REFUSE | errno.EPERM, REFUSE | errno.ENOSYS
HEADERS = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h"))
TABLES = (
    *(calls.FOREIGN_PROCESSES, calls.NAMESPACES, calls.KERNEL, calls.MACHINE),
    *(calls.SHARED, calls.OWNERSHIP, calls.FORKS, calls.JUDGED),
)
REFUSED = {name: row for table in TABLES[:5] for name, row in table.items()}
INET, INET6, UNIX, NETLINK = 2, 10, 1, 16
STREAM, DGRAM, RAW, NONBLOCK = 1, 2, 3, 0x800


def verdict(code, number, arguments=(), *, architecture):
    """What a BPF program answers to one system call (classic BPF, as in kernel/seccomp.c)."""
    padded = [argument & (2**64 - 1) for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *padded)
    lines = list(struct.iter_unpack("=HBBI", code))
    at = accumulator = 0
    while True:
        operation, if_true, if_false, constant = lines[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("=I", data, constant)[0]
        elif operation == 0x54:
            accumulator &= constant
        elif operation == 0x06:
            return constant
        else:
            holds = {
                0x15: accumulator == constant,
                0x25: accumulator > constant,
                0x45: bool(accumulator & constant),
            }[operation]
            at += if_true if holds else if_false


@pytest.fixture(params=sorted(ARCHITECTURES))
def ask(request):
    number, column = ARCHITECTURES[request.param]

    def asked(name, *arguments, **doors):
        row = next(table[name] for table in TABLES if name in table)
        code = program(Doors(**doors), request.param)
        return verdict(code, row[column], arguments, architecture=number)

    asked.machine, asked.number, asked.column = request.param, number, column
    return asked


def test_every_refused_call_is_refused_whatever_doors_are_open(ask):
    everything = {"internet": True, "datagrams": True, "local_sockets": True, "ownership": True}
    names = [name for name, row in REFUSED.items() if row[ask.column] is not None]
    assert len(names) > 60
    assert {ask(name, **doors) for name in names for doors in ({}, everything)} == {EPERM}


def test_files_change_owner_and_mode_only_where_that_was_judged(ask):
    assert ask("fchmodat") == EPERM
    assert ask("fchmodat", ownership=True) == ALLOW


@pytest.mark.parametrize(
    ("socket", "doors", "answer"),
    [
        ((INET, STREAM), {}, EPERM),
        ((INET, STREAM), {"internet": True}, ALLOW),
        ((INET6, STREAM | NONBLOCK, 6), {"internet": True}, ALLOW),
        ((INET, STREAM, 262), {"internet": True}, EPERM),
        ((INET, STREAM, 132), {"internet": True}, EPERM),
        ((INET, DGRAM), {"internet": True}, EPERM),
        ((INET, DGRAM, 17), {"internet": True, "datagrams": True}, ALLOW),
        ((INET, DGRAM, 1), {"internet": True, "datagrams": True}, EPERM),
        ((INET, RAW, 1), {"internet": True, "datagrams": True}, EPERM),
        ((UNIX, STREAM), {"internet": True}, EPERM),
        ((UNIX, STREAM), {"local_sockets": True}, ALLOW),
        ((INET, STREAM), {"local_sockets": True}, EPERM),
        ((NETLINK, RAW), {"internet": True, "datagrams": True, "local_sockets": True}, EPERM),
        ((INET | 1 << 32, STREAM), {"internet": True}, ALLOW),
    ],
)
def test_sockets(ask, socket, doors, answer):
    assert ask("socket", *socket, **doors) == answer


def test_arguments_that_reach_further_than_the_process_are_refused(ask):
    assert ask("clone", 0x11) == ALLOW
    for namespace in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask("clone", namespace | 0x11) == EPERM
    assert ask("clone3") == ENOSYS
    assert (ask("prlimit64", 0), ask("prlimit64", 4711)) == (ALLOW, EPERM)
    assert (ask("sched_setaffinity", 0), ask("sched_setaffinity", 4711)) == (ALLOW, EPERM)
    assert (ask("socketpair", UNIX), ask("socketpair", INET)) == (ALLOW, EPERM)
    assert (ask("ioctl", 0, 0x5401), ask("ioctl", 0, 0x5412)) == (ALLOW, EPERM)
    for name, flags in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        assert ask(name, *[0] * flags, 0x4000, internet=True) == ALLOW
        assert ask(name, *[0] * flags, 0x20004000, internet=True) == EPERM


def test_a_command_that_works_alone_has_threads_and_no_further_process(ask):
    thread = 0x3D0F00
    assert (ask("clone", thread, processes=False), ask("clone", 0x11, processes=False)) == (ALLOW, EPERM)
    assert ask("clone", thread | 0x10000000, processes=False) == EPERM
    assert ask("clone3", processes=False) == ENOSYS
    if ask.column == 0:
        assert {ask(name, processes=False) for name in ("fork", "vfork")} == {EPERM}
        assert {ask(name) for name in ("fork", "vfork")} == {ALLOW}


def test_calls_of_another_architecture_end_the_process(ask):
    code = program(Doors(), ask.machine)
    for other in (0x40000003, 0x40000028, *(number for number, _ in ARCHITECTURES.values())):
        if other != ask.number:
            assert verdict(code, 1, architecture=other) == KILL


@given(number=st.integers(calls.NEWEST + 1, 2**32 - 1))
def test_a_call_that_nobody_looked_at_does_not_exist(number):
    for machine, (architecture, _) in ARCHITECTURES.items():
        assert verdict(program(Doors(), machine), number, architecture=architecture) == ENOSYS


def test_a_call_that_is_in_no_table_is_allowed(ask):
    named = {row[ask.column] for table in TABLES for row in table.values()}
    code = program(Doors(), ask.machine)
    others = [number for number in range(calls.NEWEST + 1) if number not in named]
    assert {verdict(code, number, architecture=ask.number) for number in others} == {ALLOW}


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_are_those_of_the_kernels_headers(column):
    if not HEADERS[column].exists():
        pytest.skip("the kernel's headers are not installed")
    found = dict(re.findall(r"__NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[column].read_text()))
    rows = {name: row[column] for table in TABLES for name, row in table.items()}
    known = {name: number for name, number in rows.items() if name in found}
    assert len(known) > 70
    assert known == {name: int(found[name]) for name in known}
    missing = {name for name, number in rows.items() if number is None}
    assert missing.isdisjoint(found)
