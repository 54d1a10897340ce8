# ruff: noqa: PTH123, T201
"""A stand-in for the agent in a process of its own: runs what it reads as JSON lines, as whichever user."""

import errno
import json
import os
import struct
import sys

from agent.adapters.clock import SystemClock
from agent.adapters.sandbox import kernel as sandbox_kernel
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.domain.access import Access, Network
from agent.domain.command import Connector, Link, Pipeline, PricedCommand, Script, SimpleCommand
from agent.domain.effects import Effect, EffectClass


def access(fields):
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return Access(**{**values, "network": Network(values.get("network", "none"))})


def run(sandbox, asked):
    links = [
        Link(Connector.ALWAYS, Pipeline(tuple(SimpleCommand(tuple(argv)) for argv in pipeline)))
        for pipeline in asked["pipelines"]
    ]
    script = Script(tuple(links))
    effects = tuple(Effect(EffectClass(name), "it") for name in asked.get("effects", []))
    commands = [
        PricedCommand(one.argv, effects, access=access(asked.get("access", {}))) for one in script.commands()
    ]
    result = sandbox.run(
        script,
        commands=commands,
        marker=asked["marker"],
        timeout_s=asked.get("timeout_s", 20),
        should_stop=lambda: False,
    )
    return {name: getattr(result, name) for name in type(result).__slots__}


def peak_kb():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def hide_landlock():
    """An older kernel: from here on its three system calls do not exist."""
    lines = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (0x06, 0, 0, 0x00050000 | errno.ENOSYS)]
    program = b"".join(struct.pack("=HBBI", *line) for line in [*lines, (0x06, 0, 0, 0x7FFF0000)])
    laid_out = sandbox_kernel.in_memory(program)
    sandbox_kernel.do((sandbox_kernel.no_new_privileges(), sandbox_kernel.installed(laid_out)))


def main():
    settings = json.loads(sys.argv[1])
    if settings.pop("without_landlock", False):
        hide_landlock()
    sandbox = LauncherSandbox(SystemClock(), grace_s=0.2, **settings)
    report = sandbox.describe()
    answer = {"pid": os.getpid(), "grade": report.grade, "findings": [one.seen for one in report.findings]}
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        result = run(sandbox, json.loads(line))
        print(json.dumps({**result, "peak_kb": peak_kb()}), flush=True)


if __name__ == "__main__":
    main()
