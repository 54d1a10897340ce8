"""Every error the agent raises, drawn as one tree.

    AgentError                      anything this product raises on purpose
    ├── ConfigError                 config.yaml cannot be used: file, key path, fix
    ├── ServiceError                a vendor did not do what we asked: service, Reason, retryable
    │   └── OutcomeUnknownError         a change was sent; whether it was made is not known (live_job)
    ├── CorpusError                 a folder of documentation or its alerts cannot be read (ranking.corpus)
    ├── ListenError                 the address to listen on cannot be taken
    └── StoreError                  our own database cannot be used
        ├── StoreAwayError               not now; asked again later, it may be back
        ├── ExecutorBusyError            another process already works under this executor id
        ├── TakenOverError               another process took this one's work over
        ├── StatementRefusedError        it can be used, and does not take what it was given
        └── UnknownIncidentError         it can be used, and has no such incident

Decisions (no match, refused, stopped) are values, never exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class AgentError(Exception):
    """Something the operator can act upon; the message says what, where and how to mend it."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong in the configuration."""

    key_path: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        fix = f"; {self.fix}" if self.fix else ""
        return f"{self.key_path}: {self.message}{fix}"


class ConfigError(AgentError):
    """The configuration cannot be used; all problems are told at once."""

    def __init__(self, path: str, problems: Sequence[ConfigProblem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{path} cannot be used:\n{lines}")


@dataclass(frozen=True, slots=True)
class RunbookProblem:
    """One thing wrong in a runbook, with the line to look at and what to write instead."""

    path: str
    line: int
    message: str
    fix: str = ""

    def __str__(self) -> str:
        fix = f" (fix: {self.fix})" if self.fix else ""
        return f"{self.path}:{self.line}: {self.message}{fix}"


class Reason(StrEnum):
    """Why a vendor call failed: a closed list, also the label of the metric."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    BAD_ANSWER = "bad_answer"


class ServiceError(AgentError):
    """A vendor did not do what we asked; says whether asking again can help."""

    def __init__(
        self,
        service: str,
        reason: Reason,
        message: str,
        *,
        retryable: bool,
        retry_after_s: float | None = None,
    ) -> None:
        self.service = service
        self.reason = reason
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        super().__init__(f"{service}: {message}")


class ListenError(AgentError):
    """The address to listen on cannot be taken."""


class StoreError(AgentError):
    """Our own database cannot be used."""


class StoreAwayError(StoreError):
    """It cannot be used now, and nothing is wrong with what was asked: later it may be back."""


class ExecutorBusyError(StoreError):
    """Another process already works under this executor id; two would run a step twice."""


class TakenOverError(StoreError):
    """Another process took this one's work over: it begins nothing any more, and ends."""


class StatementRefusedError(StoreError):
    """Our own database does not take what it was given; asked again it would say the same."""


class UnknownIncidentError(StoreError):
    """There is no incident with this id."""
