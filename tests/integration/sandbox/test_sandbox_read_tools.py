"""The read tools of the shipped tables say behind the walls what they say without them."""

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.sandbox.output import DEFAULT_OUTPUT_LIMIT
from agent.adapters.sandbox.runner import LauncherSandbox
from agent.domain.command import Connector, Link, Pipeline, PricedCommand, Refusal, Script, SimpleCommand
from agent.safety.effects import TRUSTED_PATH, EffectTables

TABLES = EffectTables.load()
SANDBOX = LauncherSandbox(SystemClock(), grace_s=0.2)
#: Whatever the walls do, they say the same at any two moments.
STEADY = [
    *("hostname", "hostname -f", "hostname -i", "whoami", "id", "nproc", "lscpu", "lsblk", "uname -a"),
    *(
        "df --output=target,fstype",
        "df --output=source,fstype /",
        "du -s /etc/default",
        "ls -la /etc/ssl",
        "ls -l /root",
    ),
    *("stat -c %U:%a /etc/shadow", "ps -p 1 -o pid,user,comm", "pgrep -x no-such-program"),
    *("systemctl is-active no-such-unit", "systemctl is-system-running", "journalctl -n 3 --no-pager"),
    *("journalctl --disk-usage", "docker ps", "pg_isready -h localhost -p 1", "getent hosts localhost"),
    *("openssl version -a", "openssl x509 -noout -subject -in /etc/ssl/certs/ca-certificates.crt"),
    "openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
    *("redis-cli -h 127.0.0.1 -p 1 PING", 'psql -X -w -h localhost -p 1 -U postgres -c "select 1"'),
    *("head -n 3 /etc/os-release", "wc -l /etc/services", "sort /etc/hosts", "sha256sum /etc/hosts"),
    *("cat /proc/mounts", "cat /proc/swaps", "cat /proc/version", "cat /proc/sys/vm/swappiness"),
    *("cat /sys/class/net/lo/mtu", "cat /etc/resolv.conf", "grep -c root /etc/hosts", "tac /etc/hosts"),
    *("jq -n 1", "seq 3", "date -u +%Y", "timeout 3 cat /etc/hosts", "tail -n 1 /etc/services"),
]
#: Their numbers move; what they say first does not.
MOVING = [
    *(
        "uptime",
        "uptime -p",
        "free -m",
        "vmstat 1 1",
        "df -h",
        "df -i",
        "ps aux",
        "ps -ef",
        "ps -eo pid,comm",
    ),
    *("ss -s", "ss -tan", "cat /proc/meminfo", "cat /proc/loadavg", "cat /proc/net/tcp", "cat /proc/stat"),
    *("cat /proc/diskstats", "cat /proc/interrupts", "cat /proc/vmstat", "cat /proc/pressure/cpu"),
]


def behind_the_walls(command):
    argv = tuple(shlex.split(command))
    analysis = TABLES.analyse(argv, counter=None)
    assert not isinstance(analysis, Refusal), str(analysis)
    script = Script((Link(Connector.ALWAYS, Pipeline((SimpleCommand(argv),))),))
    priced = PricedCommand(argv, analysis.effects, access=analysis.access)
    result = SANDBOX.run(
        script, commands=[priced], marker="inc/steps/1/1", timeout_s=20, should_stop=lambda: False
    )
    assert result.problem == ""
    return result.exit_code, result.stdout, result.stderr


def without(command):
    environment = {"PATH": ":".join(TRUSTED_PATH), "HOME": "/", "LANG": "C.UTF-8"}
    argv = shlex.split(command)
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return ran.returncode, ran.stdout, ran.stderr


def installed(command):
    name = shlex.split(command)[0]
    if shutil.which(name, path=":".join(TRUSTED_PATH)) is None:
        pytest.skip(f"{name} is not installed")
    return command


@pytest.mark.parametrize("command", STEADY)
def test_a_read_tool_says_the_same(walls, command):
    assert behind_the_walls(installed(command)) == without(command)


@pytest.mark.parametrize("command", MOVING)
def test_a_read_tool_whose_numbers_move_says_the_same_things(walls, command):
    code, out, _ = behind_the_walls(installed(command))
    bare_code, bare_out, _ = without(command)
    assert code == bare_code
    assert [_words(line) for line in out.splitlines()[:1]] == [
        _words(each) for each in bare_out.splitlines()[:1]
    ]
    if len(bare_out) < DEFAULT_OUTPUT_LIMIT // 2:  # a machine with many connections: head and tail are kept
        assert abs(len(out.splitlines()) - len(bare_out.splitlines())) <= 2 + len(bare_out.splitlines()) // 2


def _words(line):
    """A line's words without its numbers."""
    return [word for word in line.split() if word.replace("_", "").isalpha()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that others may not read")
@pytest.mark.parametrize(
    "tool", ["cat", "tail -n 1", "grep -c line", "wc -l", "ls -l", "du -s", "stat -c %a"]
)
def test_a_log_that_only_root_may_read_is_read(walls, tool):
    with tempfile.TemporaryDirectory(prefix="oncall-agent-test-", dir="/var/log") as name:
        log = Path(name) / "app.log"
        log.write_text("a line\n")
        log.chmod(0o600)
        assert behind_the_walls(f"{tool} {log}") == without(f"{tool} {log}")


def test_other_peoples_processes_are_all_seen(walls):
    _, out, _ = behind_the_walls("ps -eo pid")
    assert {"1", str(os.getpid())} <= set(out.split())


def test_what_cannot_work_behind_the_walls_is_refused_beforehand():
    refusal = TABLES.analyse(("hostname", "-I"), counter=None)
    assert isinstance(refusal, Refusal)
    assert "cannot work behind the walls of a step; use hostname -i" in str(refusal)


def test_sockets_are_listed_without_netlink(walls):
    """Known to differ: no queue limits, and a line about netlink on the error output."""
    installed("ss -tln")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, out, _ = behind_the_walls("ss -tln")
    assert code == 0
    assert f"127.0.0.1:{port} " in out
