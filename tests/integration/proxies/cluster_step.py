"""A step's surroundings as the gateways make them, and the real programs in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.proxies.gateways import KUBECONFIG, LiveGateways
from agent.adapters.sandbox.gateways import Opening
from agent.domain.access import Access
from agent.domain.command import PricedCommand
from agent.simulators.kubernetes.simulator import ContainerPrograms

#: What the pods of these tests can run.
PROGRAMS = ContainerPrograms(programs={"say": ("/bin/echo",), "echo": ("/bin/echo",)})


@dataclass(frozen=True, slots=True)
class Step:
    """A step's surroundings: its HOME with the kubeconfig that it was given."""

    home: Path
    opening: Opening

    @property
    def url(self) -> str:
        config = json.loads((self.home / KUBECONFIG).read_text(encoding="utf-8"))
        return str(config["clusters"][0]["cluster"]["server"])

    def start(self, *argv: str) -> subprocess.Popen[str]:
        environment = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", **self.opening.environment}
        return subprocess.Popen(
            argv, env=environment, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*argv)
        out, err = process.communicate(timeout=40)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("kubectl", *arguments)


OpenStep = Callable[[Access], AbstractContextManager[Step]]


@contextmanager
def step_with(gateways: LiveGateways, access: Access, home: Path) -> Iterator[Step]:
    with gateways.open(PricedCommand(("a-step",), access=access), marker="marker") as opening:
        for name, content in opening.files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Step(home, opening)
