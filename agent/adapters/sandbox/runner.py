"""Runs a step's commands: exactly the argvs that were judged, each inside its own walls, and nothing left."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.adapters.sandbox import executables, host, selftest
from agent.adapters.sandbox.attempt import Watch, carry_out
from agent.adapters.sandbox.executables import Executable, Unusable
from agent.adapters.sandbox.gateways import Gateways, Opening
from agent.adapters.sandbox.hunt import Prey, end_all
from agent.adapters.sandbox.output import DEFAULT_OUTPUT_LIMIT, Capture
from agent.adapters.sandbox.process import LauncherProcess, shared
from agent.adapters.sandbox.request import (
    Place,
    changes_something,
    discard_home,
    make_home,
    paired,
    spawn_of,
)
from agent.adapters.sandbox.selftest import SandboxReport
from agent.adapters.sandbox.wire import Chained, Outcome, Request, Spawn
from agent.domain.access import Network
from agent.domain.command import PricedCommand, Script, SimpleCommand
from agent.ports import Clock, CommandResult
from agent.safety.effects import TRUSTED_PATH

_NO_GATEWAY = {
    Network.CLUSTER: "no Kubernetes cluster is configured: set kubernetes.kubeconfig",
    Network.EGRESS: "no egress proxy is running, and {program} reaches the network through nothing else",
}


@dataclass(frozen=True, slots=True)
class _Ready:
    """A command whose program is found and whose gateway is open."""

    command: SimpleCommand
    priced: PricedCommand
    executable: Executable
    opening: Opening


class LauncherSandbox:
    """Implements ports.Sandbox over the launcher process.

    `mode` "process" puts no walls up at all. `accept_gaps` names what this host may lack. `gateways` opens
    the proxies that cluster and egress commands need. `pass_through` names variables of our own environment
    that every command may have. `idle_timeout_s` ends a command that has printed nothing for so long.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        mode: Literal["auto", "process"] = "auto",
        accept_gaps: Sequence[str] = (),
        gateways: Gateways | None = None,
        pass_through: Sequence[str] = (),
        path: Sequence[str] = TRUSTED_PATH,
        output_limit: int = DEFAULT_OUTPUT_LIMIT,
        grace_s: float = 2.0,
        idle_timeout_s: float | None = None,
        launcher: LauncherProcess | None = None,
    ) -> None:
        self._clock = clock
        self._layers = mode != "process"
        self._accepted = frozenset(accept_gaps)
        self._gateways = gateways
        self._passed = {name: os.environ[name] for name in pass_through if name in os.environ}
        self._path = tuple(path)
        self._output_limit = output_limit
        self._grace_s = grace_s
        self._idle_timeout_s = idle_timeout_s
        self._launcher = launcher or shared()
        self._users = host.Users()
        self._hidden = 0
        self._report_lock = threading.Lock()
        self._report: SandboxReport | None = None

    def start(self) -> None:
        """Start the launcher and test the walls now, so that the first attempt does not wait for it."""
        self._launcher.start()
        self.describe()

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
        priced = paired(script, commands)
        if priced is None:
            return CommandResult(126, problem="what was judged is not what is to be run; nothing was started")
        refused = self._refusal(priced)
        if refused:
            return CommandResult(126, problem=refused)
        with ExitStack() as stack:
            ready = self._prepare(script, priced, marker, stack)
            if isinstance(ready, CommandResult):
                return ready
            if should_stop():
                return CommandResult(None, interrupted=True)
            watch = Watch(self._clock, should_stop, self._idle_timeout_s)
            return self._run_ready(script, ready, marker=marker, timeout_s=timeout_s, watch=watch)

    def end_orphans(self, markers: Sequence[str]) -> int:
        """End every process that carries one of the markers; how many there were."""
        return end_all(Prey.of(markers)) if markers else 0

    def describe(self) -> SandboxReport:
        """What holds on this host, as tried in a launched child; tried once."""
        with self._report_lock:
            if self._report is None:
                self._report = self._tested()
            return self._report

    def _tested(self) -> SandboxReport:
        if not self._layers:
            words = "not tried: execution.sandbox is process"
            findings = tuple(selftest.Finding(gap, words) for gap in selftest.ALL_GAPS)
            return SandboxReport(findings, self._accepted, without_layers=True)
        findings = self._try_walls(self._users.take())
        if any(finding.gap == "user" for finding in findings) and self._users.is_offered:
            # Root that may not change its user (a container without capabilities): the rest still holds.
            self._users.is_offered = False
            without = self._try_walls(None)
            findings = without if len(without) < len(findings) else findings
        return SandboxReport(findings, self._accepted)

    def _try_walls(self, uid: int | None) -> tuple[selftest.Finding, ...]:
        home = Path(tempfile.mkdtemp(prefix="oncall-agent-"))
        try:
            if uid is None:
                self._hidden = host.room_for_hidden(
                    selftest.counted(self._probe(selftest.count_request(home))[0])
                )
            with selftest.target() as target:
                stdout, problem = self._probe(target.request(home, uid, hidden=self._hidden))
        finally:
            _remove(home)
            self._users.give_back(uid)
        return selftest.judge(stdout, problem)

    def _probe(self, request: Request) -> tuple[str, str]:
        capture = Capture(self._output_limit)
        outcome = carry_out(self._launcher, request, capture=capture, watch=Watch(self._clock, lambda: False))
        return capture.stdout.text(), outcome.problem

    def _refusal(self, priced: Sequence[PricedCommand]) -> str:
        """Why these commands must not run here."""
        judged = next((command.refusal for command in priced if command.refusal is not None), None)
        if judged is not None:
            return str(judged)
        lacking = self.describe().refused_for
        if lacking and any(changes_something(command) for command in priced):
            return selftest.missing(self.describe(), lacking)
        return ""

    def _prepare(
        self, script: Script, priced: Sequence[PricedCommand], marker: str, stack: ExitStack
    ) -> list[_Ready] | CommandResult:
        """Find every program, then open what they need; nothing is opened for a script that cannot run."""
        found = []
        for one in priced:
            executable = executables.resolve(one.argv[0], self._path)
            if isinstance(executable, Unusable):
                return CommandResult(executable.exit_code, problem=executable.reason)
            found.append(executable)
        ready = []
        for command, one, program in zip(script.commands(), priced, found, strict=True):
            opening = self._open(one, marker, stack)
            if opening.problem:
                return CommandResult(126, problem=opening.problem)
            ready.append(_Ready(command, one, program, opening))
        return ready

    def _open(self, command: PricedCommand, marker: str, stack: ExitStack) -> Opening:
        network = command.access.network
        if network not in _NO_GATEWAY:
            return Opening()
        if self._gateways is None:
            return Opening(problem=_NO_GATEWAY[network].format(program=command.argv[0]))
        return stack.enter_context(self._gateways.open(command, marker=marker))

    def _run_ready(
        self, script: Script, ready: Sequence[_Ready], *, marker: str, timeout_s: float, watch: Watch
    ) -> CommandResult:
        started = self._clock.monotonic()
        capture = Capture(self._output_limit)
        directory = Path(tempfile.mkdtemp(prefix="oncall-agent-"))
        uid = self._users.take() if self._layers else None
        try:
            spawns = self._spawns(ready, directory, marker=marker, uid=uid)
            if isinstance(spawns, CommandResult):
                return spawns
            request = self._request(script, spawns, timeout_s, directory=directory, uid=uid)
            outcome = carry_out(self._launcher, request, capture=capture, watch=watch)
            if outcome.exit_code is None and outcome.problem:
                end_all(Prey.of([marker], directory=str(directory)))
        except OSError as error:
            return CommandResult(126, problem=f"the command's folder could not be made: {error}")
        finally:
            capture.close()
            _remove(directory)
            self._users.give_back(uid)
        return self._result(outcome, capture, ready, self._clock.monotonic() - started)

    def _spawns(
        self, ready: Sequence[_Ready], directory: Path, *, marker: str, uid: int | None
    ) -> list[Spawn] | CommandResult:
        if uid is not None:
            os.chown(directory, -1, uid)
            directory.chmod(0o710)
        spawns = []
        for at, one in enumerate(ready):
            access, executable = one.priced.access, one.executable
            if access.executable_sha256:
                folder, sha256 = directory / f"program-{at}", access.executable_sha256
                copy = executables.copy_of(executable, sha256, folder=folder, uid=uid)
                if isinstance(copy, Unusable):
                    return CommandResult(copy.exit_code, problem=copy.reason)
                executable = copy
            place = Place(directory / str(at), marker, self._path, self._passed)
            make_home(place, None if access.keeps_user else uid, one.opening.files)
            spawns.append(
                spawn_of(one.command, access, executable=executable, opening=one.opening, place=place)
            )
        return spawns

    def _request(
        self, script: Script, spawns: Sequence[Spawn], timeout_s: float, *, directory: Path, uid: int | None
    ) -> Request:
        left = list(spawns)
        chain = []
        for link in script.links:
            count = len(link.pipeline.commands)
            chain.append(Chained(link.runs_after(0), link.runs_after(1), tuple(left[:count])))
            left = left[count:]
        return Request(
            tuple(chain),
            timeout_s,
            self._grace_s,
            directory=str(directory),
            uid=uid,
            layers=self._layers,
            tolerant=self._layers and bool(self.describe().gaps),
            limits=host.limits(timeout_s, layers=self._layers),
            processes=host.process_limit(uid, hidden=self._hidden) if self._layers else 0,
        )

    def _result(
        self, outcome: Outcome, capture: Capture, ready: Sequence[_Ready], duration_s: float
    ) -> CommandResult:
        told = [f"oncall-agent: {line}\n" for one in ready for line in one.opening.told()]
        return CommandResult(
            outcome.exit_code,
            stdout=capture.stdout.text(),
            stderr=capture.stderr.text() + "".join(told),
            timed_out=outcome.timed_out,
            interrupted=outcome.interrupted,
            duration_s=duration_s,
            problem=outcome.problem,
        )


def _was_left_alone(directory: str) -> bool:
    """Most attempts are one command that leaves nothing: then three calls remove what was made for it."""
    with contextlib.suppress(OSError):
        discard_home(f"{directory}/0")
        os.rmdir(directory)  # noqa: PTH106
        return True
    return False


def _remove(directory: Path) -> None:
    """Everything below, though a command may have closed a folder to its own user, who we are too."""
    if _was_left_alone(str(directory)):
        return
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        for folder, names, _ in os.walk(directory):
            for name in names:
                if not Path(folder, name).is_symlink():
                    Path(folder, name).chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)
