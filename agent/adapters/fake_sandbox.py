"""A sandbox that starts nothing: each argv has its answer prepared. Held to the real one's contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.domain.command import PricedCommand, Script, SimpleCommand
from agent.ports import CommandResult


@dataclass(frozen=True, slots=True)
class Ran:
    """One run as it was asked for."""

    argvs: tuple[tuple[str, ...], ...]
    marker: str
    timeout_s: float
    commands: tuple[PricedCommand, ...] = ()


class FakeSandbox:
    """Answers by argv; several answers for one argv are given one after the other, the last one stays."""

    def __init__(
        self, answers: Mapping[tuple[str, ...], CommandResult | Sequence[CommandResult]] | None = None
    ) -> None:
        self._answers = {
            argv: [answer] if isinstance(answer, CommandResult) else list(answer)
            for argv, answer in (answers or {}).items()
        }
        self.orphans: dict[str, int] = {}
        self.ran: list[Ran] = []

    def prepare(self, argv: tuple[str, ...], *answers: CommandResult) -> None:
        """Answer this argv so from now on."""
        self._answers[argv] = list(answers)

    def start(self) -> None:
        """There is nothing to start."""

    def run(
        self,
        script: Script,
        *,
        commands: Sequence[PricedCommand],
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        """Answer as prepared, with the connectors' meaning."""
        argvs = tuple(command.argv for command in script.commands())
        self.ran.append(Ran(argvs, marker, timeout_s, tuple(commands)))
        unknown = [argv for argv in argvs if argv not in self._answers]
        if unknown:
            return CommandResult(127, problem=f"{unknown[0][0]} is not installed")
        return self._run_links(script, should_stop)

    def _run_links(self, script: Script, should_stop: Callable[[], bool]) -> CommandResult:
        result = CommandResult(0)
        for link in script.links:
            if not link.runs_after(result.exit_code or 0):
                continue
            if should_stop():
                return replace(result, exit_code=None, interrupted=True)
            answers = [self._answer(command) for command in link.pipeline.commands]
            last = answers[-1]
            stderr = "".join(answer.stderr for answer in answers)
            result = replace(last, stdout=result.stdout + last.stdout, stderr=result.stderr + stderr)
            if last.exit_code is None:
                return result
        return result

    def _answer(self, command: SimpleCommand) -> CommandResult:
        answers = self._answers[command.argv]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        merged = answer.stdout + answer.stderr if command.merge_stderr else answer.stdout
        quiet = command.quiet_stderr or command.merge_stderr
        return replace(
            answer, stdout="" if command.quiet_stdout else merged, stderr="" if quiet else answer.stderr
        )

    def end_orphans(self, markers: Sequence[str]) -> int:
        """End the prepared orphans of these markers; how many there were."""
        return sum(self.orphans.pop(marker, 0) for marker in markers)
