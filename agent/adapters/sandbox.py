"""Runs a step's commands: exactly the argvs that were judged, no shell, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from agent.adapters.sandbox_hunt import MARKER_VARIABLE, Prey, end_all
from agent.adapters.sandbox_output import Capture
from agent.adapters.sandbox_processes import RunningPipeline, Surroundings
from agent.domain.command import Link, PricedCommand, Script
from agent.ports import Clock, CommandResult
from agent.safety.effects import TRUSTED_PATH

DEFAULT_OUTPUT_LIMIT = 64 * 1024
_LOOK_S = 0.1
_DRAIN_S = 1.0


class _Ended(Enum):
    """Why an attempt was ended by us."""

    TIMED_OUT = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one attempt runs with."""

    executables: dict[str, str]
    surroundings: Surroundings
    capture: Capture
    deadline: float
    should_stop: Callable[[], bool]


class ProcessSandbox:
    """Implements ports.Sandbox with process groups, a clean environment and limits on time and output.

    `pass_through` names variables that the commands may have from our own environment.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        pass_through: Sequence[str] = (),
        path: Sequence[str] = TRUSTED_PATH,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
        grace_s: float = 2.0,
    ) -> None:
        self._clock = clock
        self._passed = {name: os.environ[name] for name in pass_through if name in os.environ}
        self._path = tuple(path)
        self._output_limit = output_limit
        self._grace_s = grace_s

    def run(
        self,
        script: Script,
        *,
        commands: Sequence[PricedCommand],
        marker: str,
        timeout_s: float,
        should_stop: Callable[[], bool],
    ) -> CommandResult:
        """Run to the end, to the timeout, or until should_stop says so."""
        started = self._clock.monotonic()
        executables = {command.argv[0]: self._find(command.argv[0]) for command in script.commands()}
        missing = [name for name, found in executables.items() if not found]
        if missing:
            return CommandResult(127, problem=f"{missing[0]} is not installed")
        directory = Path(tempfile.mkdtemp(prefix="oncall-agent-"))
        capture = Capture(self._output_limit)
        surroundings = Surroundings(self._environment(marker, directory), directory)
        attempt = _Attempt(executables, surroundings, capture, started + timeout_s, should_stop)
        try:
            result = self._run_links(script, attempt)
        finally:
            end_all(Prey.of([marker], directory=str(directory)))
            self._drain(capture)
            shutil.rmtree(directory, ignore_errors=True)
        return replace(
            result,
            stdout=capture.stdout.text(),
            stderr=capture.stderr.text(),
            duration_s=self._clock.monotonic() - started,
        )

    def end_orphans(self, markers: Sequence[str]) -> int:
        """End every process that carries one of the markers; how many there were."""
        return end_all(Prey.of(markers)) if markers else 0

    def describe(self) -> tuple[str, ...]:
        """What this sandbox does not enforce, for `doctor`."""
        gaps = [
            "no Landlock and seccomp layer yet: command analysis and process limits only",
            "files, network and memory of a command are not limited",
            "a process that leaves its group, its directory and its environment is not found",
        ]
        if not Path("/proc/self/environ").exists():
            gaps.append("no /proc here: processes that leave their group are not found at all")
        return tuple(gaps)

    def _find(self, name: str) -> str:
        """The absolute path of an executable, or "" if it is not there."""
        places = [Path(name)] if name.startswith("/") else [Path(folder) / name for folder in self._path]
        found = (str(place) for place in places if place.is_file() and os.access(place, os.X_OK))
        return "" if "/" in name and not name.startswith("/") else next(found, "")

    def _environment(self, marker: str, directory: Path) -> dict[str, str]:
        # curl looks into the home directory of /etc/passwd when HOME has no .curlrc (tool_findfile.c):
        # an empty one keeps a user's file from changing what the judged argv does.
        (directory / ".curlrc").touch()
        return {
            **self._passed,
            "PATH": ":".join(self._path),
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "LANG": "C.UTF-8",
            MARKER_VARIABLE: marker,
        }

    def _run_links(self, script: Script, attempt: _Attempt) -> CommandResult:
        code = 0
        for link in script.links:
            if not link.runs_after(code):
                continue
            if attempt.should_stop():
                return CommandResult(None, interrupted=True)
            outcome = self._run_link(link, attempt)
            if isinstance(outcome, CommandResult):
                return outcome
            code = outcome
        return CommandResult(code)

    def _run_link(self, link: Link, attempt: _Attempt) -> int | CommandResult:
        pipeline = RunningPipeline()
        try:
            pipeline.start(
                link.pipeline.commands,
                executables=attempt.executables,
                surroundings=attempt.surroundings,
                capture=attempt.capture,
            )
            ended = self._wait(pipeline, attempt)
            if ended is not None:
                self._end(pipeline, attempt)
        except OSError as error:
            return CommandResult(126, problem=f"a command could not be started: {error}")
        finally:
            code = pipeline.finish()
        if ended is None and code is not None:
            return code
        return CommandResult(None, timed_out=ended is _Ended.TIMED_OUT, interrupted=ended is _Ended.STOPPED)

    def _wait(self, pipeline: RunningPipeline, attempt: _Attempt) -> _Ended | None:
        """Read output until the pipeline has ended; None if it ended by itself."""
        next_look = self._clock.monotonic()
        while not pipeline.has_ended():
            now = self._clock.monotonic()
            if now >= attempt.deadline:
                return _Ended.TIMED_OUT
            if now >= next_look:
                next_look = now + _LOOK_S
                if attempt.should_stop():
                    return _Ended.STOPPED
            attempt.capture.pump(pipeline.wake_fds(), min(_LOOK_S, attempt.deadline - now))
        return None

    def _end(self, pipeline: RunningPipeline, attempt: _Attempt) -> None:
        """Ask to end, and wait a little; `finish` then ends what did not."""
        pipeline.signal(signal.SIGTERM)
        until = self._clock.monotonic() + self._grace_s
        while not pipeline.has_ended() and (left := until - self._clock.monotonic()) > 0:
            attempt.capture.pump(pipeline.wake_fds(), min(_LOOK_S, left))

    def _drain(self, capture: Capture) -> None:
        """Read what is still in the pipes; nobody who is left can hold us up."""
        capture.end_writing()
        until = self._clock.monotonic() + _DRAIN_S
        while not capture.is_over and (left := until - self._clock.monotonic()) > 0:
            capture.pump((), left)
        capture.close()
