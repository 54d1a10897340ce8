"""What the sandbox asks for beside a command that needs the network: a way that only this command may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from agent.domain.command import PricedCommand


def _nothing_to_tell() -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Opening:
    """The one loopback port that a command may connect to, and what it must be told about it.

    `files` are contents by their path below the command's HOME; variables may speak of "$HOME". A `problem`
    says why there is no way: the command is then not to be started. `told` gives a line for each change that
    was forwarded and each request that was refused so far.
    """

    port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    problem: str = ""
    told: Callable[[], Sequence[str]] = _nothing_to_tell


class Gateways(Protocol):
    """Opens the metering proxy or the egress proxy for one command, for as long as it runs."""

    def open(self, command: PricedCommand, *, marker: str) -> AbstractContextManager[Opening]:
        """Open what the command's `access.network` needs; nothing for one that needs none."""
        ...
