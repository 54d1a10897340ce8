"""What reading a Markdown file gives: a runbook, documentation, or problems. Nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.domain.errors import RunbookProblem
from agent.domain.runbook import Runbook


@dataclass(frozen=True, slots=True)
class Parsed:
    """The file is a runbook, understood whole."""

    runbook: Runbook


@dataclass(frozen=True, slots=True)
class Documentation:
    """The file has no runbook's sections: people read it, the agent never runs it."""

    path: str
    title: str
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Broken:
    """The file is meant as a runbook and is not understood; it is not run until it is mended."""

    problems: tuple[RunbookProblem, ...]
    path: str


ParseResult = Parsed | Documentation | Broken
