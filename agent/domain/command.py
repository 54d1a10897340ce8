"""A step's command as argvs: what is spawned is exactly this, never a shell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from agent.domain.access import NO_ACCESS, Access
from agent.domain.effects import Effect


@dataclass(frozen=True, slots=True)
class Filled:
    """Where a parameter's value stands: which word of the argv, from which character to which."""

    word: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One program with its arguments; `quiet_*` are redirections to /dev/null."""

    argv: tuple[str, ...]
    quiet_stdout: bool = False
    quiet_stderr: bool = False
    merge_stderr: bool = False
    filled: tuple[Filled, ...] = ()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Programs joined by `|`; its exit code is the last one's, as in bash without pipefail."""

    commands: tuple[SimpleCommand, ...]


class Connector(StrEnum):
    """What stands before a pipeline: always run, run if the one before succeeded, or failed."""

    ALWAYS = ";"
    AND = "&&"
    OR = "||"


@dataclass(frozen=True, slots=True)
class Link:
    """A pipeline and the connector in front of it (the first one's is ALWAYS)."""

    connector: Connector
    pipeline: Pipeline

    def runs_after(self, exit_code: int) -> bool:
        """Whether it runs after this exit code: `&&` and `||` bind alike, from the left, as in bash."""
        match self.connector:
            case Connector.AND:
                return exit_code == 0
            case Connector.OR:
                return exit_code != 0
            case Connector.ALWAYS:
                return True
            case _ as never:
                assert_never(never)


@dataclass(frozen=True, slots=True)
class Script:
    """A whole step, parsed."""

    links: tuple[Link, ...]

    def commands(self) -> tuple[SimpleCommand, ...]:
        """Every simple command in order of appearance."""
        return tuple(command for link in self.links for command in link.pipeline.commands)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A guard said no: the reason, and what would have to change."""

    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.reason}; {self.hint}" if self.hint else self.reason


@dataclass(frozen=True, slots=True)
class PricedCommand:
    """One argv with its effects and what it may reach, or the reason why it is refused."""

    argv: tuple[str, ...]
    effects: tuple[Effect, ...] = ()
    refusal: Refusal | None = None
    access: Access = NO_ACCESS
