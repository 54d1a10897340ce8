"""Tries, in a launched child, what no step must be able to do on this host: what got through is a gap."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.adapters.sandbox.host import process_limit
from agent.adapters.sandbox.wire import Chained, Request, Spawn

#: How many processes the child may have, and how many it tries to have: few, so that it costs little.
_PROCESSES, _TRIED_PROCESSES = 8, 32
_TIMEOUT_S = 10.0

#: What was tried, and the name of the gap if it works.
_GAPS: Mapping[str, str] = {
    "write outside": "files",
    "read outside": "files",
    "list a folder outside": "files",
    "make a file outside": "files",
    "read the agent's environment": "user",
    "trace the agent": "user",
    "be the agent's user": "user",
    "signal the agent": "signals",
    "connect to another port": "network",
    "open a UDP socket": "sockets",
    "open a UNIX socket": "sockets",
    "open a raw socket": "sockets",
    "open a netlink socket": "sockets",
    "start processes without end": "processes",
}
ALL_GAPS = ("files", "network", "sockets", "signals", "user", "processes")


class Grade(StrEnum):
    """full: every layer holds. weak: the operator accepted what is missing. refuse: only reads are run."""

    FULL = "full"
    WEAK = "weak"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a step could do on this host, and the gap that this is."""

    gap: str
    seen: str


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What the sandbox holds on this host, for `doctor` and for the decision whether to run a command."""

    findings: tuple[Finding, ...]
    accepted: frozenset[str] = frozenset()
    without_layers: bool = False

    @property
    def gaps(self) -> tuple[str, ...]:
        """Names of the gaps, in their fixed order."""
        found = {finding.gap for finding in self.findings}
        return tuple(gap for gap in ALL_GAPS if gap in found)

    @property
    def refused_for(self) -> tuple[str, ...]:
        """Gaps that nobody has accepted: commands that change something are not run."""
        return () if self.without_layers else tuple(gap for gap in self.gaps if gap not in self.accepted)

    @property
    def grade(self) -> Grade:
        """In one word."""
        if self.refused_for:
            return Grade.REFUSE
        return Grade.WEAK if self.gaps or self.without_layers else Grade.FULL


@dataclass(frozen=True, slots=True)
class Target:
    """What the child is sent at."""

    folder: Path
    port: int

    def request(self, home: Path, uid: int | None, *, hidden: int) -> Request:
        """A command that may do as little as any, but has a port it may connect to: another one."""
        probe: dict[str, Any] = {
            "writable": str(self.folder / "writable"),
            "readable": str(self.folder / "readable"),
            "folder": str(self.folder),
            "agent": os.getpid(),
            "agent_uid": os.geteuid(),
            "port": self.port,
            "processes": _TRIED_PROCESSES + hidden,
        }
        spawn = Spawn(
            ("self-test",),
            "",
            (),
            {},
            str(home),
            ports=(1 if self.port != 1 else 2,),
            internet=True,
            probe=probe,
        )
        processes = process_limit(uid, hidden=hidden, most=_PROCESSES)
        return Request(
            (Chained(True, True, (spawn,)),), _TIMEOUT_S, 0.0, uid=uid, tolerant=True, processes=processes
        )


def count_request(home: Path) -> Request:
    """A child that counts the processes of our own user as the kernel does."""
    spawn = Spawn(("self-test",), "", (), {}, str(home), probe={"count": True})
    return Request((Chained(True, True, (spawn,)),), _TIMEOUT_S, 0.0, tolerant=True)


def counted(stdout: str) -> int:
    """What it found; 0 if it did not get so far."""
    try:
        return int(json.loads(stdout)["count"])
    except (ValueError, KeyError):
        return 0


@contextlib.contextmanager
def target() -> Iterator[Target]:
    """A folder and files that anybody may write to, and a port that anybody may connect to."""
    folder = Path(tempfile.mkdtemp(prefix="oncall-agent-selftest-"))
    try:
        folder.chmod(0o777)
        for name in ("writable", "readable"):
            (folder / name).write_text("canary")
            (folder / name).chmod(0o666)
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield Target(folder, server.getsockname()[1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judge(stdout: str, problem: str) -> tuple[Finding, ...]:
    """What the child printed, as findings; a child that did not get so far leaves every gap open."""
    try:
        seen = json.loads(stdout)
    except ValueError:
        words = problem or "the self-test did not end"
        return tuple(Finding(gap, words) for gap in ALL_GAPS)
    return tuple(Finding(_GAPS[name], f"{name}: {words}") for name, words in seen.items() if words)


def missing(report: SandboxReport, names: Sequence[str]) -> str:
    """Why commands are not run, and what to do, in a sentence."""
    seen = "; ".join(finding.seen for finding in report.findings if finding.gap in names)
    return (
        f"this host cannot enforce {', '.join(names)} for a command that changes something ({seen}): "
        "run it on a kernel with Landlock and seccomp, or accept it by name in execution.accept_gaps"
    )
