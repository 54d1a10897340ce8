"""What is said between the agent and its launcher: one request and one outcome per attempt, as JSON."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_LENGTH = struct.Struct("=I")
_CHUNK = 65_536
_OUTPUTS = 2
#: The first byte that a supervisor sends: there is one, and from here on a command may have been started.
HELLO = b"!"
#: All that a program can be given (include/uapi/linux/capability.h): CAP_CHOWN, CAP_DAC_OVERRIDE,
#: CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_SETGID, CAP_SETUID.
CAPABILITIES = (0, 1, 2, 3, 6, 7)


@dataclass(frozen=True, slots=True)
class Spawn:
    """One program to start: all that it gets is here.

    `identity` is what `identity_of` said of the executable when it was resolved. `runs` may be read and
    executed, `reads` read, `writes` changed, `lists` listed; `ports` connected to. All `capabilities` but
    these numbers are dropped. `probe` runs the self-test in its place.
    """

    argv: tuple[str, ...]
    executable: str
    identity: tuple[int, ...]
    environment: Mapping[str, str]
    directory: str
    quiet_stdout: bool = False
    quiet_stderr: bool = False
    merge_stderr: bool = False
    runs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    internet: bool = False
    datagrams: bool = False
    local_sockets: bool = False
    keeps_user: bool = False
    capabilities: tuple[int, ...] = ()
    alone: bool = False
    probe: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Chained:
    """A pipeline, and whether it runs after one that succeeded, or failed."""

    after_success: bool
    after_failure: bool
    spawns: tuple[Spawn, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One attempt.

    `directory` is removed by the launcher if the agent does not live to do it. `uid`: the unused user to
    become (None: stay). `layers`: whether to confine at all. `tolerant`: a wall that cannot be put up is left
    out; only where that is known and allowed. `limits` are (resource, value) pairs of setrlimit(2);
    `processes` how many the attempt may have at once.
    """

    chain: tuple[Chained, ...]
    timeout_s: float
    grace_s: float
    directory: str = ""
    uid: int | None = None
    layers: bool = True
    tolerant: bool = False
    limits: tuple[tuple[int, int], ...] = ()
    processes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `exit_code` is None when it was ended by us.

    `stays`: its supervisor waits for another request.
    """

    exit_code: int | None = None
    timed_out: bool = False
    interrupted: bool = False
    problem: str = ""
    stays: bool = False


@dataclass(slots=True)
class Inbox:
    """Bytes of a message that is still arriving."""

    data: bytearray = field(default_factory=bytearray)

    def add(self, chunk: bytes) -> bytes | None:
        """The whole message once all of it is there."""
        self.data += chunk
        if len(self.data) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self.data)[0]
        return bytes(self.data[_LENGTH.size : end]) if len(self.data) >= end else None


def send(connection: socket.socket, message: Request | Outcome) -> None:
    """Write it whole."""
    body = json.dumps(message, default=_as_fields, separators=(",", ":")).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def _as_fields(message: Any) -> dict[str, Any]:
    return {each.name: getattr(message, each.name) for each in fields(message)}


def send_streams(connection: socket.socket, stdout: int, stderr: int) -> None:
    """First of all: where what the commands print goes to."""
    socket.send_fds(connection, [HELLO], [stdout, stderr])


def receive_streams(connection: socket.socket) -> tuple[int, int] | None:
    """Both descriptors; None if the other side has gone."""
    _, found, _, _ = socket.recv_fds(connection, len(HELLO), _OUTPUTS, socket.MSG_CMSG_CLOEXEC)
    if len(found) == _OUTPUTS:
        return found[0], found[1]
    for fd in found:
        os.close(fd)
    return None


def receive_request(connection: socket.socket) -> Request | None:
    """Read it whole; None if the other side has gone."""
    inbox = Inbox()
    while chunk := connection.recv(_CHUNK):
        whole = inbox.add(chunk)
        if whole is not None:
            return _request(json.loads(whole))
    return None


def read_outcome(inbox: Inbox, chunk: bytes) -> Outcome | None:
    """The launcher's answer, once all of it is there."""
    whole = inbox.add(chunk)
    return Outcome(**json.loads(whole)) if whole is not None else None


def _request(values: dict[str, Any]) -> Request:
    chain = tuple(
        Chained(
            link["after_success"], link["after_failure"], tuple(_spawn(spawn) for spawn in link["spawns"])
        )
        for link in values["chain"]
    )
    limits = tuple((which, value) for which, value in values["limits"])
    return Request(**{**values, "chain": chain, "limits": limits})


def _spawn(arrived: dict[str, Any]) -> Spawn:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in arrived.items()
    }
    return Spawn(**values)
