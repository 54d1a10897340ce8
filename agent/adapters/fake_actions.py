"""Typed actions that change nothing: each name has its answers prepared. Held to the real one's contract."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.domain.command import PricedCommand
from agent.domain.runbook import Action
from agent.ports import CommandResult


@dataclass(frozen=True, slots=True)
class Carried:
    """One action as it was carried out."""

    action: Action
    command: PricedCommand
    marker: str
    timeout_s: float


class FakeActions:
    """Implements ports.Actions; several answers are given one after the other, the last one stays."""

    def __init__(self, answers: Mapping[str, CommandResult | Sequence[CommandResult]] | None = None) -> None:
        self._answers = {
            name: [answer] if isinstance(answer, CommandResult) else list(answer)
            for name, answer in (answers or {}).items()
        }
        self.carried: list[Carried] = []

    def prepare(self, name: str, *answers: CommandResult) -> None:
        """Answer this action so from now on; with no answer, with a plain success."""
        self._answers[name] = list(answers) or [done(name)]

    def run(
        self,
        action: Action,
        *,
        command: PricedCommand,
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        """Answer as prepared, unless it must not be done."""
        answers = self._answers.get(action.name)
        if answers is None:
            return _failed(f"the action {action.name} is not known here")
        if command.refusal is not None:
            return _failed(f"refused before anything was changed: {command.refusal}")
        if should_stop():
            return CommandResult(None, stdout=_told(action.name), interrupted=True)
        if timeout_s <= 0:
            return CommandResult(None, stdout=_told(action.name), timed_out=True)
        self.carried.append(Carried(action, command, marker, timeout_s))
        return answers.pop(0) if len(answers) > 1 else answers[0]


def done(name: str, *changed: Mapping[str, object]) -> CommandResult:
    """What an action that succeeded answers."""
    return CommandResult(0, stdout=_told(name, *changed))


def _failed(words: str) -> CommandResult:
    return CommandResult(1, stderr=words, problem=words)


def _told(name: str, *changed: Mapping[str, object]) -> str:
    return json.dumps({"action": name, "changed": list(changed)}, ensure_ascii=False)
