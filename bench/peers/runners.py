"""How each tool is started for the job, and what of it is told to run which command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import IO

import psutil
import yaml

from bench.peers.load import free_port, wait_for_port, wait_until_ready
from bench.peers.minimal import SECRET

REPOSITORY = Path(__file__).parent.parent.parent

RUNBOOK = """# Runbook: Storm

## Trigger Conditions
- Alert contains: "storm"

## Parameters
- job: title /case ([a-z0-9]+)/; pattern /^[a-z0-9]+$/

## Blast Radius
- max_cache_operations: 1
- requires_human_approval: false

## Steps

### Step 1: Count
```bash
redis-cli -h 127.0.0.1 -p PORT INCR started-{{ job }}
```
Attempts: 1
"""


class Peer:
    """A process tree that can be started again where it was."""

    name = ""
    path = "/webhook/pagerduty"
    #: A tool that takes seconds for each page is not asked for a thousand.
    pages_at_most = 100_000

    def __init__(self, directory: Path, redis_port: int) -> None:
        self.directory, self.redis_port = directory, redis_port
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Begin, or go on where it was killed."""
        raise NotImplementedError

    @staticmethod
    def missing() -> str:
        """What would have to be installed first."""
        return ""

    def spawn(self, command: list[str], **environment: str) -> None:
        log: IO[bytes] = (self.directory / "log").open("ab")
        self.process = subprocess.Popen(
            command, cwd=self.directory, env={**os.environ, **environment}, stdout=log, stderr=log
        )
        log.close()
        wait_for_port(self.port)

    def kill(self) -> None:
        """The whole tree at once, as the kernel or a machine that goes away does it."""
        if self.process is None:
            return
        try:
            root = psutil.Process(self.process.pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            tree = []
        for each in tree:
            try:
                each.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.process.wait()
        self.process = None


class Agent(Peer):
    """This agent, as it is shipped: matching, planning, pricing, journal, timeline, sandbox and all."""

    name = "oncall-agent"

    def start(self) -> None:
        runbooks = self.directory / "runbooks"
        runbooks.mkdir(exist_ok=True)
        (runbooks / "storm.md").write_text(self.runbook())
        config: dict[str, object] = {
            "server": {"port": self.port},
            "database": {"url": f"sqlite:///{self.directory}/oncall.db"},
            "runbooks": {"path": str(runbooks), "reload": False},
            "pagerduty": {"webhook_secrets": [{"env": "PAGERDUTY_WEBHOOK_SECRET"}]},
            **self.settings(),
        }
        (self.directory / "config.yaml").write_text(yaml.safe_dump(config))
        self.spawn(
            [sys.executable, "-m", "agent", "serve", "--config", str(self.directory / "config.yaml")],
            PAGERDUTY_WEBHOOK_SECRET=SECRET.decode(),
            PYTHONPATH=str(REPOSITORY),
        )
        wait_until_ready(self.port)

    def settings(self) -> dict[str, object]:
        """What else is configured."""
        return {}

    def runbook(self) -> str:
        """What it is told to do."""
        return RUNBOOK.replace("PORT", str(self.redis_port))

    def escalated(self) -> set[str]:
        """The pages that were handed to a human because nobody knows what became of their command."""
        query = (
            "SELECT i.source_id FROM incidents i JOIN escalations e ON e.incident_id = i.id "
            "WHERE e.trigger = 'outcome_unknown'"
        )
        with contextlib.closing(sqlite3.connect(self.directory / "oncall.db")) as connection:
            return {row[0] for row in connection.execute(query)}


class Minimal(Peer):
    """Flask + SQLite(FULL) + a thread pool."""

    name = "minimal Flask + SQLite(FULL)"

    def start(self) -> None:
        database = str(self.directory / "jobs.db")
        self.spawn(
            [sys.executable, "-m", "bench.peers.minimal", str(self.port), database, str(self.redis_port)],
            PYTHONPATH=str(REPOSITORY),
        )


class Webhook(Peer):
    """Debian's `webhook` (adnanh/webhook, Go)."""

    name = "webhook (Go)"
    path = "/hooks/pagerduty"

    def start(self) -> None:
        script = self.directory / "count"
        script.write_text(f'#!/bin/sh\nexec redis-cli -h 127.0.0.1 -p {self.redis_port} INCR "started-$1"\n')
        script.chmod(0o755)
        hook = {
            "id": "pagerduty",
            "execute-command": str(script),
            "pass-arguments-to-command": [{"source": "payload", "name": "event.data.id"}],
            "trigger-rule": {
                "match": {
                    "type": "payload-hmac-sha256",
                    "secret": SECRET.decode(),
                    "parameter": {"source": "header", "name": "X-PagerDuty-Signature"},
                }
            },
        }
        # it knows no "v1=" prefix: the signature is not asked for, to its advantage
        del hook["trigger-rule"]
        (self.directory / "hooks.json").write_text(json.dumps([hook]))
        self.spawn(["webhook", "-hooks", "hooks.json", "-ip", "127.0.0.1", "-port", str(self.port)])

    @staticmethod
    def missing() -> str:
        return "" if shutil.which("webhook") else "apt-get install webhook"


class NodeRed(Peer):
    """Node-RED: http in, exec, http response; its answer goes out when the command is handed over."""

    name = "Node-RED"
    path = "/pagerduty"

    def start(self) -> None:
        command = f"redis-cli -h 127.0.0.1 -p {self.redis_port} INCR"
        job = 'msg.payload = "started-" + msg.payload.event.data.id; return msg;'
        flow = [
            {"id": "tab", "type": "tab", "label": "pages"},
            {
                "id": "in", "type": "http in", "z": "tab", "url": "/pagerduty", "method": "post",
                "wires": [["job", "out"]],
            },
            {"id": "job", "type": "function", "z": "tab", "func": job, "outputs": 1, "wires": [["run"]]},
            {
                "id": "run", "type": "exec", "z": "tab", "command": command, "addpay": "payload",
                "append": "", "useSpawn": "false", "timer": "", "wires": [[], [], []],
            },
            {"id": "out", "type": "http response", "z": "tab", "statusCode": "202", "wires": []},
        ]  # fmt: skip
        (self.directory / "flows.json").write_text(json.dumps(flow))
        settings = (
            f'module.exports = {{uiPort: {self.port}, uiHost: "127.0.0.1", flowFile: "flows.json", '
            "httpAdminRoot: false, apiMaxLength: '5mb', logging: {console: {level: 'error'}}}"
        )
        (self.directory / "settings.js").write_text(settings)
        red = peers_directory() / "node_modules" / "node-red" / "red.js"
        self.spawn(["node", str(red), "-u", str(self.directory), "-s", str(self.directory / "settings.js")])

    @staticmethod
    def missing() -> str:
        there = shutil.which("node") and (peers_directory() / "node_modules" / "node-red").is_dir()
        return "" if there else "npm install --prefix bench/peers/installed node-red"


class Rulebook(Peer):
    """Event-driven Ansible: ansible-rulebook with its own webhook source, one module run for each event."""

    name = "ansible-rulebook"
    pages_at_most = 60
    path = "/pagerduty"

    def start(self) -> None:
        module = {
            "name": "ansible.builtin.command",
            "module_args": {
                "cmd": f"redis-cli -h 127.0.0.1 -p {self.redis_port} "
                "INCR started-{{ event.payload.event.data.id }}"
            },
        }
        rulebook = [
            {
                "name": "pages",
                "hosts": "localhost",
                "execution_strategy": "parallel",
                "sources": [{"eda.builtin.webhook": {"host": "127.0.0.1", "port": self.port}}],
                "rules": [
                    {
                        "name": "page",
                        "condition": "event.payload.event.data.id is defined",
                        "action": {"run_module": module},
                    }
                ],
            }
        ]
        (self.directory / "rulebook.yml").write_text(yaml.safe_dump(rulebook))
        programs = peers_directory() / "ansible" / "bin"
        host = {"ansible_connection": "local", "ansible_python_interpreter": str(programs / "python")}
        inventory = {"all": {"hosts": {"localhost": host}}}
        (self.directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
        self.spawn(
            [str(programs / "ansible-rulebook"), "-r", "rulebook.yml", "-i", "inventory.yml"],
            PATH=f"{programs}:{os.environ['PATH']}",
        )

    @staticmethod
    def missing() -> str:
        there = (peers_directory() / "ansible" / "bin" / "ansible-rulebook").exists() and shutil.which("java")
        return (
            "" if there else "pip install ansible-rulebook ansible-core ansible-runner (and a Java runtime)"
        )


def peers_directory() -> Path:
    """Where `make bench-peers` puts what is not in Debian's packages."""
    return Path(os.environ.get("BENCH_PEERS", REPOSITORY / "bench" / "peers" / "installed"))


RUNNERS: tuple[type[Peer], ...] = (Agent, Minimal, Webhook, NodeRed, Rulebook)
