"""What one command was judged to need is what it gets: variables, ports, gateways, a script's very bytes."""

import contextlib
import hashlib
import os
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hostile_world import PYTHON

from agent.adapters.clock import SystemClock
from agent.adapters.sandbox.gateways import Opening
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.domain.access import Access, Network
from agent.domain.command import Connector, Link, Pipeline, PricedCommand, Script, SimpleCommand
from agent.safety.effects import TRUSTED_PATH


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="programs-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run(*argvs, access=(), marker="inc/steps/1/1", **settings):
    accesses = [*access, *[Access()] * len(argvs)]
    simple = tuple(SimpleCommand(argv) for argv in argvs)
    script = Script(tuple(Link(Connector.ALWAYS, Pipeline((command,))) for command in simple))
    commands = [PricedCommand(one.argv, access=its) for one, its in zip(simple, accesses, strict=False)]
    sandbox = LauncherSandbox(SystemClock(), grace_s=0.2, **settings)
    return sandbox.run(script, commands=commands, marker=marker, timeout_s=20, should_stop=lambda: False)


def environment(result):
    return dict(line.split("=", 1) for line in result.stdout.splitlines())


@dataclass
class OneDoor:
    """A gateway that opens the same way to each, and remembers for whom and whether it was closed."""

    opening: Opening
    opened: list = field(default_factory=list)
    closed: int = 0

    @contextlib.contextmanager
    def open(self, command, *, marker):
        self.opened.append((command.argv, marker))
        yield self.opening
        self.closed += 1


def test_a_variable_is_given_to_the_command_that_names_it_and_to_no_other(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "canary")
    monkeypatch.setenv("OTHER", "canary")
    result = run(("env",), ("env",), access=[Access(environment=("PGPASSWORD", "HOME", "NOT_SET"))])
    assert result.stdout.count("canary") == 1
    assert "PGPASSWORD=canary" in result.stdout
    assert f"HOME={os.environ['HOME']}\n" not in result.stdout


def test_names_are_looked_up_by_tcp_when_there_is_no_udp():
    access = Access(network=Network.DIRECT, hosts=("db.example.com:5432",))
    assert environment(run(("env",), access=[access]))["RES_OPTIONS"] == "use-vc"
    with_udp = Access(network=Network.DIRECT, hosts=("db.example.com:5432",), datagrams=True)
    assert "RES_OPTIONS" not in environment(run(("env",), access=[with_udp]))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Network.CLUSTER, "no Kubernetes cluster is configured: set kubernetes.kubeconfig"),
        (Network.EGRESS, "no egress proxy is running, and echo reaches the network through nothing else"),
    ],
)
def test_without_its_gateway_a_command_is_not_run(network, words):
    result = run(("echo", "a"), access=[Access(network=network)])
    assert (result.exit_code, result.stdout, result.problem) == (126, "", words)


@pytest.mark.parametrize("network", [Network.CLUSTER, Network.EGRESS])
def test_a_gateway_gives_a_port_files_and_variables_for_as_long_as_the_command_runs(network):
    door = OneDoor(
        Opening(
            port=18_080,
            environment={"KUBECONFIG": "$HOME/.kube/config", "PATH": "/nowhere"},
            files={".kube/config": b"server: http://127.0.0.1:18080/token"},
            told=lambda: ["PATCH deployments/api was refused"],
        )
    )
    result = run(
        ("sh", "-c", "cat $KUBECONFIG; echo; ls -ld .kube"), access=[Access(network=network)], gateways=door
    )
    assert result.stdout.startswith("server: http://127.0.0.1:18080/token\n")
    assert "drwx------" in result.stdout
    assert result.stderr == "oncall-agent: PATCH deployments/api was refused\n"
    assert door.opened == [(("sh", "-c", "cat $KUBECONFIG; echo; ls -ld .kube"), "inc/steps/1/1")]
    assert door.closed == 1


@pytest.mark.skipif(PYTHON is None, reason="no python3 in a trusted folder")
def test_only_the_gateways_port_is_connected_to():
    program = (
        "import socket,sys; [print(socket.socket().connect_ex(('127.0.0.1', int(p)))) for p in sys.argv[1:]]"
    )
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        ours, others = server.getsockname()[1], other.getsockname()[1]
        access = Access(network=Network.EGRESS, hosts=(f"127.0.0.1:{others}",))
        argv = (PYTHON, "-IS", "-c", program, str(ours), str(others))
        result = run(argv, access=[access], gateways=OneDoor(Opening(port=ours)))
    assert result.stdout.split() == ["0", "13"]


def test_a_gateway_with_a_problem_starts_nothing():
    door = OneDoor(Opening(problem="the API server does not answer"))
    result = run(("echo", "a"), access=[Access(network=Network.CLUSTER)], gateways=door)
    assert (result.exit_code, result.stdout, result.problem) == (126, "", "the API server does not answer")
    assert door.closed == 1


def test_a_gateway_cannot_write_outside_of_the_commands_home():
    door = OneDoor(Opening(files={"../x": b""}))
    with pytest.raises(ValueError, match="outside of the command's home"):
        run(("echo", "a"), access=[Access(network=Network.CLUSTER)], gateways=door)


def test_a_command_without_the_network_asks_no_gateway():
    door = OneDoor(Opening())
    assert run(("echo", "a"), access=[Access()], gateways=door).stdout == "a\n"
    assert door.opened == []


def test_a_declared_script_runs_from_the_bytes_that_were_judged(folder):
    script = folder / "restart-worker"
    script.write_text("#!/bin/sh\necho $(basename $0) $1\n")
    script.chmod(0o700)
    sha256 = hashlib.sha256(script.read_bytes()).hexdigest()
    result = run((str(script), "a b"), access=[Access(executable_sha256=sha256)])
    assert (result.stdout, result.problem) == ("restart-worker a b\n", "")


def test_a_script_that_was_changed_since_is_not_run(folder):
    script = folder / "restart-worker"
    script.write_text("#!/bin/sh\necho changed\n")
    script.chmod(0o755)
    result = run((str(script),), access=[Access(executable_sha256="0" * 64)])
    assert (result.exit_code, result.stdout) == (126, "")
    assert "is not the file that its entry's sha256 describes" in result.problem


def test_a_program_that_is_replaced_while_the_step_runs_is_not_run(folder):
    program = folder / "mine"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    replaced = "rm mine; echo '#!/bin/sh' > mine; echo 'echo other' >> mine; chmod 755 mine"
    argv = ("sh", "-c", f"cd {folder}; {replaced}")
    result = run(argv, ("mine",), mode="process", path=[*TRUSTED_PATH, str(folder)])
    assert result.exit_code == 126
    assert "was replaced after it was looked at" in result.problem


def test_a_wall_keeps_a_step_from_replacing_a_program(folder):
    program = folder / "mine"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    argv = ("sh", "-c", f"echo 'echo other' >> {program}")
    result = run(argv, ("mine",), path=[*TRUSTED_PATH, str(folder)])
    assert result.stdout == "mine\n"
