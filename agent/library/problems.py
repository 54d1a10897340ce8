"""What is wrong in a file, collected, so that its author sees all of it at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.domain.errors import RunbookProblem


class NotUnderstoodError(ValueError):
    """A value in a runbook is not understood; caught within the library, where the line is known."""

    def __init__(self, message: str, fix: str = "") -> None:
        self.message = message
        self.fix = fix
        super().__init__(message)


@dataclass(slots=True)
class Problems:
    """The problems of one file, in the order they were found."""

    path: str
    found: list[RunbookProblem] = field(default_factory=list)

    def add(self, line: int, message: str, *, fix: str = "") -> None:
        """Note a problem; a file with any problem is not run."""
        problem = RunbookProblem(self.path, line, message, fix)
        if problem not in self.found[-20:]:
            self.found.append(problem)

    def add_error(self, line: int, error: NotUnderstoodError) -> None:
        """Note a value that was not understood."""
        self.add(line, error.message, fix=error.fix)

    def in_order(self) -> tuple[RunbookProblem, ...]:
        """All problems by line."""
        return tuple(sorted(self.found, key=lambda problem: problem.line))
