"""A run without memory of its own: steps are done at once. For `oncall-agent run` and for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from agent.adapters import codec
from agent.ports import Clock

T = TypeVar("T")


class InlineRun:
    """Implements ports.Run; values still pass the codec, so that what works here works durably."""

    def __init__(self, clock: Clock, *, woken: Callable[[str], bool] = lambda _: False) -> None:
        self._clock = clock
        self._woken = woken
        self.steps: list[str] = []

    def step(self, name: str, do: Callable[[], T], returns: object) -> T:
        """Do it."""
        if name in self.steps:
            raise ValueError(f"two steps of one run are called {name!r}")
        self.steps.append(name)
        result: T = codec.from_data(codec.to_data(do(), returns), returns)
        return result

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._clock.sleep(seconds)

    def wait(self, topic: str, timeout_s: float) -> bool:
        """Ask whether it was woken; else the time is over."""
        if self._woken(topic):
            return True
        self._clock.sleep(timeout_s)
        return False

    def turn(self, topic: str, *, waiting: Callable[[], object]) -> bool:  # noqa: ARG002  (the port's)
        """Nobody else stands in line."""
        return True
