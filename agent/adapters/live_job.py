"""One typed action while it is carried out: its arguments, its time, what it changed, and how it may end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from agent.domain.command import PricedCommand
from agent.domain.effects import EffectClass
from agent.domain.errors import Reason, ServiceError
from agent.domain.runbook import Action
from agent.ports import Clock, CommandResult

T = TypeVar("T")
#: What an answer to a write leaves open: it was sent, and nobody can say whether it was done.
_OPEN = frozenset({Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.BAD_ANSWER})
_LOOK_S = 0.25


class OutcomeUnknownError(ServiceError):
    """A change was asked for and nobody can say whether it was made: never to be asked for again."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.service, error.reason, "", retryable=False)
        self.args = (f"{error}; the change may have been made, look before doing it again",)


@dataclass(slots=True)
class Job:
    """What an action works with. `changed` is told on stdout, also when it ended halfway."""

    action: Action
    command: PricedCommand
    marker: str
    deadline: float
    should_stop: Callable[[], bool]
    clock: Clock
    changed: list[Mapping[str, object]] = field(default_factory=list)
    has_sent: bool = False

    def text(self, name: str, default: str | None = None) -> str:
        """A text argument."""
        value = self.action.arguments.get(name, default)
        if value is None:
            raise ServiceError(
                self.action.name, Reason.REJECTED, f"the argument {name} is missing", retryable=False
            )
        return str(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """An argument that is a list of texts."""
        value = self.action.arguments.get(name, ())
        return tuple(str(item) for item in value) if isinstance(value, list | tuple) else (str(value),)

    def number(self, name: str, default: int | None = None) -> int:
        """An argument that is a whole number."""
        value = self.action.arguments.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ServiceError(
                self.action.name, Reason.REJECTED, f"{name} is not a whole number", retryable=False
            )
        return value

    def flag(self, name: str) -> bool:
        """An argument that is yes or no."""
        return self.action.arguments.get(name) is True

    def has(self, name: str) -> bool:
        """Whether the argument was given."""
        return self.action.arguments.get(name) is not None

    def charged(self) -> int:
        """How many pods, tasks or instances were charged for it at most."""
        return max(
            (e.count for e in self.command.effects if e.effect_class is not EffectClass.READ), default=0
        )

    def left_s(self) -> float:
        """How much of its time is left."""
        return max(0.0, self.deadline - self.clock.monotonic())

    def ended(self) -> CommandResult | None:
        """How it has to end now, if a human took over or its time is over; asked before each request."""
        if self.should_stop():
            return CommandResult(None, stdout=self.told(), interrupted=True)
        if self.left_s() <= 0:
            return CommandResult(None, stdout=self.told(), timed_out=True)
        return None

    def pause(self, seconds: float) -> CommandResult | None:
        """Wait, and look often enough whether it has to end."""
        until = self.clock.monotonic() + seconds
        while (ended := self.ended()) is None and (left := until - self.clock.monotonic()) > 0:
            self.clock.sleep(min(_LOOK_S, left, max(self.left_s(), 0.001)))
        return ended

    def changing(self, call: Callable[[], T]) -> T:
        """Send a change; an answer that leaves it open whether it was made is an OutcomeUnknownError."""
        self.has_sent = True
        try:
            return call()
        except ServiceError as error:
            if error.reason in _OPEN:
                raise OutcomeUnknownError(error) from error
            raise

    def done(self, **facts: object) -> CommandResult:
        """It did what was asked."""
        return CommandResult(0, stdout=self.told(**facts))

    def failed(self, words: str) -> CommandResult:
        """It did not do what was asked, or not all of it; `changed` tells how far it came."""
        return CommandResult(1, stdout=self.told() if self.changed else "", stderr=words, problem=words)

    def refused(self, words: str) -> CommandResult:
        """What is there now is more than what was charged: nothing was changed."""
        return self.failed(f"refused before anything was changed: {words}")

    def unknown(self, error: OutcomeUnknownError) -> CommandResult:
        """A change was sent and its outcome is not known."""
        return CommandResult(
            None, stdout=self.told(), stderr=str(error), timed_out=True, problem=f"outcome unknown: {error}"
        )

    def misunderstood(self, error: Exception) -> CommandResult:
        """An answer had another form than its API documents."""
        words = f"an answer is not understood: {error!r}"
        problem = ServiceError(self.action.name, Reason.BAD_ANSWER, words, retryable=False)
        return self.unknown(OutcomeUnknownError(problem)) if self.has_sent else self.failed(str(problem))

    def told(self, **facts: object) -> str:
        """What was done, as JSON."""
        return json.dumps({"action": self.action.name, "changed": self.changed, **facts}, ensure_ascii=False)


def still_running(ended: CommandResult, what: str) -> CommandResult:
    """It was started and goes on without us: nobody knows how it ends."""
    return replace(ended, problem=f"outcome unknown: {what} may still be running")


Handler = Callable[[Job], CommandResult]
