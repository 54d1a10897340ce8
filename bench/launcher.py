"""What the sandbox adds to a bare spawn of the same command, and which of its parts costs how much.

python bench/launcher.py
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence

from agent.adapters.clock import SystemClock
from agent.adapters.sandbox import child as sandbox_child
from agent.adapters.sandbox import kernel as sandbox_kernel
from agent.adapters.sandbox import landlock as sandbox_landlock
from agent.adapters.sandbox import seccomp as sandbox_seccomp
from agent.adapters.sandbox.host import Users
from agent.adapters.sandbox.process import LauncherProcess
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.adapters.sandbox.wire import Request, Spawn
from agent.domain.access import Access
from agent.domain.command import Connector, Link, Pipeline, PricedCommand, Script, SimpleCommand

COMMANDS = {("true",): 300, ("kubectl", "version", "--client"): 60}
PARTS = 100


def timed(times: int, run: Callable[[], object]) -> list[float]:
    """Milliseconds of each turn, sorted."""
    run()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        found.append((time.perf_counter() - started) * 1000)
    return sorted(found)


def bare(argv: tuple[str, ...]) -> None:
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def sandboxed(sandbox: LauncherSandbox, argv: tuple[str, ...]) -> None:
    script = Script((Link(Connector.ALWAYS, Pipeline((SimpleCommand(argv),))),))
    commands = [PricedCommand(argv, access=Access())]
    result = sandbox.run(script, commands=commands, marker="bench", timeout_s=30, should_stop=lambda: False)
    assert result.exit_code == 0, result


def with_fresh_launcher(argv: tuple[str, ...], walls: LauncherSandbox) -> None:
    """A launcher for this attempt alone; the walls are not tested again."""
    launcher = LauncherProcess()
    walls._launcher = launcher
    sandboxed(walls, argv)
    launcher.close()


def overhead() -> None:
    walls = LauncherSandbox(SystemClock())
    print(f"walls: {walls.describe().grade}")
    print(f"{'command':<26} {'how':<28} {'p50 ms':>8} {'p99 ms':>8} {'over p50':>9}")
    ways: dict[str, Callable[[tuple[str, ...]], None]] = {
        "bare spawn": bare,
        "launcher, no walls": lambda argv: sandboxed(no_walls, argv),
        "launcher, all walls": lambda argv: sandboxed(walls, argv),
        "a launcher per attempt": lambda argv: with_fresh_launcher(argv, alone),
    }
    no_walls = LauncherSandbox(SystemClock(), mode="process")
    alone = LauncherSandbox(SystemClock())
    alone.describe()
    for argv, times in COMMANDS.items():
        base = 0.0
        for name, way in ways.items():
            try:
                found = timed(times, lambda way=way, argv=argv: way(argv))
            except FileNotFoundError:
                print(f"{argv[0]} is not installed")
                break
            middle, late = found[len(found) // 2], found[int(len(found) * 0.99)]
            base = base or middle
            print(f"{' '.join(argv):<26} {name:<28} {middle:8.2f} {late:8.2f} {middle - base:9.2f}")


def parts() -> None:
    """Each part by itself, in a child that has nothing else to do."""
    print(f"\n{'in the child, of all walls':<55} {'p50 ms':>8}")
    found: dict[str, list[float]] = {}
    for _ in range(PARTS):
        for line in _in_child():
            name, _, ms = line.rpartition(" ")
            found.setdefault(name, []).append(float(ms))
    for name, times in found.items():
        print(f"{name:<55} {sorted(times)[len(times) // 2]:8.3f}")


def _in_child() -> list[str]:
    read_fd, write_fd = os.pipe()
    sandbox_seccomp.prepare()
    started = time.perf_counter()
    pid = os.fork()
    if not pid:
        try:
            os.write(write_fd, "\n".join(_measured(started)).encode())
        finally:
            os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as file:
        lines = file.read().splitlines()
    os.waitpid(pid, 0)
    return lines


def _measured(started: float) -> list[str]:
    spawn = Spawn(("true",), "/usr/bin/true", (), {}, "/tmp")
    uid = Users().take()
    request = Request((), 1.0, 0.0, uid=uid, processes=1000)
    lines = [f"fork (of this bench, larger than the launcher) {(time.perf_counter() - started) * 1000:.4f}"]
    rulesets: list[int | None] = []

    def step(name: str, do: Callable[[], object]) -> None:
        at = time.perf_counter()
        do()
        lines.append(f"{name} {(time.perf_counter() - at) * 1000:.4f}")

    def put_up(name: str, calls: Sequence[sandbox_kernel.Call]) -> None:
        step(name, lambda: sandbox_kernel.do(calls))

    ground = sandbox_child.ground(spawn)
    step("Landlock: rules for files and ports", lambda: rulesets.append(_ruleset(ground)))
    put_up("no_new_privs", [sandbox_kernel.no_new_privileges()])
    if uid is not None:
        put_up("bounding set", sandbox_kernel.bounding_set_dropped())
    put_up("user and process limit", sandbox_child.user_changed(request))
    put_up("capabilities", sandbox_kernel.capabilities_dropped())
    if rulesets[0] is not None:
        put_up("Landlock: in force", sandbox_landlock.restricted(rulesets[0]))
    program = sandbox_seccomp.program(sandbox_child.doors(spawn, request))
    put_up("seccomp: in force", [sandbox_kernel.installed(sandbox_kernel.in_memory(program))])
    return lines


def _ruleset(ground: sandbox_landlock.Ground) -> int | None:
    return sandbox_landlock.open_ruleset(ground, local_sockets=False)


if __name__ == "__main__":
    overhead()
    parts()
