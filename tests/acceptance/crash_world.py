"""One point of the crash matrix: a daemon dies there, is started again, and is judged by what all saw."""

from __future__ import annotations

import contextlib
import hashlib
import random
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

import agent.simulators.slack
from agent.simulators.anthropic import AnthropicSimulator
from agent.simulators.anthropic_minds import undecided
from agent.simulators.kubernetes.simulator import KubernetesSimulator
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.pagerduty_delivery import Deliverer
from agent.simulators.slack import SlackSimulator
from tests import forked
from tests.acceptance.conftest import Agent, wait_until
from tests.acceptance.crash_scenarios import Scenario

DRIVER = Path(__file__).with_name("crashing_agent.py")
TERMINAL = ("resolved", "escalated", "stood_down", "ignored")

#: A machine that is busy with other tests takes this long at most.
DEADLINE_S = 90.0


def _port() -> int:
    """Below those that the kernel gives to others: it must be free again at the second start."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


@dataclass
class World:
    """Everything that one daemon talks to, and its two lives."""

    scenario: Scenario
    directory: Path
    redis_port: int
    pagerduty: PagerDutySimulator
    slack: SlackSimulator
    extra: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    cluster: KubernetesSimulator | None = None
    source_id: str = ""
    #: The same alert once more, if the scenario has it.
    twin_id: str = ""
    #: How often Slack was asked what stands there before the daemon died.
    looks_before: int = 0
    _done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.key = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
        self.agent = Agent(self.directory, self.pagerduty, self.slack)
        self.agent.port = _port()
        self.agent.url = f"http://127.0.0.1:{self.agent.port}"
        self.agent.webhook_url = f"{self.agent.url}/webhook/pagerduty"
        self.agent.overrides |= self.extra
        for name, text in self.scenario.runbooks.items():
            self.agent.runbook(name, text.replace("PORT", str(self.redis_port)).replace("KEY", self.key))
        self.pagerduty.subscribe(self.agent.webhook_url)
        self.database = self.directory / "oncall.db"

    def start(self, **variables: str) -> None:
        """Start the daemon through the driver; it may die before it listens."""
        self.agent.config_path.write_text(yaml.safe_dump(self.agent.config()))
        log = self.directory / "agent.log"
        self.agent.process = forked.start(
            ["serve", "--config", str(self.agent.config_path)],
            env={**self.agent.environment(), **self.secrets, **variables},
            cwd=self.directory,
            stderr=log,
            stdout=log,
            script=DRIVER if variables else None,
        )

    def trigger(self) -> None:
        self.scenario.before(self)
        self.source_id = self.pagerduty.create_incident(self.scenario.title, service="api-gateway").id

    def died(self) -> bool:
        process = self.agent.process
        return process is not None and process.poll() is not None

    def _was_killed(self, *, again: bool) -> None:
        """It may die once, and by the signal alone."""
        assert self.agent.process is not None
        code = self.agent.process.returncode
        assert (code, again) == (-signal.SIGKILL, False), f"ended with {code}:\n{self.agent.log()[-3000:]}"

    def is_up_or_dead(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.died() or httpx.get(f"{self.agent.url}/ready").status_code == 200
        return False

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What the database says now; nothing while it is not there."""
        with contextlib.suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
            try:
                connection.row_factory = sqlite3.Row
                return connection.execute(query, values).fetchall()
            finally:
                connection.close()
        return []

    def incident_id(self) -> str:
        found = self.rows("SELECT id FROM incidents WHERE source_id = ?", self.source_id)
        return str(found[0]["id"]) if found else ""

    def status(self) -> str:
        found = self.rows("SELECT status FROM incidents WHERE source_id = ?", self.source_id)
        return str(found[0]["status"]) if found else ""

    def has_handled(self, event_name: str) -> bool:
        """Whether an event of PagerDuty's was looked at to the end."""
        query = "SELECT id FROM deliveries WHERE handled_at IS NOT NULL AND event LIKE ?"
        return bool(self.rows(query, f"%{event_name}%"))

    def is_told(self) -> bool:
        """Whether the thread is up to date."""
        return not self.rows("SELECT id FROM outbox WHERE state = 'waiting'")

    def counted(self, suffix: str = "") -> int:
        command = ["redis-cli", "-p", str(self.redis_port), "GET", f"{self.key}{suffix}"]
        return int(subprocess.run(command, capture_output=True, text=True).stdout.strip() or 0)

    def once(self, name: str, do: Callable[[], object]) -> None:
        """Do it, and again if it says that it was not taken."""
        if name not in self._done and do() is not False:
            self._done.add(name)

    def cli(self, *arguments: str) -> bool:
        """As a human at a terminal; whether it was taken."""
        command = [*arguments, "--config", str(self.agent.config_path)]
        environment = {**self.agent.environment(), **self.secrets}
        return forked.run(command, env=environment, cwd=self.directory).returncode == 0

    def acknowledge(self) -> None:
        self.pagerduty.acknowledge_as_human(self.source_id)

    def raise_again(self) -> None:
        """The same alert comes a second time, as an incident of its own at PagerDuty."""
        self.twin_id = self.pagerduty.create_incident(self.scenario.title, service="api-gateway").id

    def delete_root(self) -> None:
        (root,) = self.slack.roots()
        self.slack.workspace.delete(root.ts)

    def is_over(self) -> bool:
        """Ended, everything told, every webhook looked at, and the audit file complete."""
        if self.status() not in TERMINAL or not self.is_told() or not self.scenario.is_over(self):
            return False
        if not self.pagerduty.wait_until_delivered(0.01):
            return False
        if self.rows("SELECT id FROM deliveries WHERE handled_at IS NULL") or not self.is_told():
            return False
        entries = self.rows("SELECT count(*) AS n FROM timeline")[0]["n"]
        path = self.directory / "audit.jsonl"
        audit = next(iter(self.directory.glob("*audit*.jsonl")), path)
        return audit.exists() and len(audit.read_bytes().splitlines()) >= entries

    def lives(self, point: str, *, trace: str = "") -> bool:
        """Die at the point, live again to the end; whether it died."""
        self.start(CRASH_AT=point, CRASH_TRACE=trace)
        wait_until(self.is_up_or_dead, "the daemon listens, or has died", deadline_s=DEADLINE_S)
        self.trigger()
        killed = False
        until = time.monotonic() + DEADLINE_S
        while not self.is_over() or self.died():
            if self.died():
                self._was_killed(again=killed)
                killed = True
                self.looks_before = len(self.slack.requests("/api/conversations."))
                self.start()
            if time.monotonic() > until:
                break
            self.scenario.human(self)
            time.sleep(0.03)
        return killed


@contextlib.contextmanager
def world(scenario: Scenario, directory: Path, redis_port: int) -> Iterator[World]:
    """A world of its own, taken down afterwards."""
    directory.mkdir(parents=True)
    with ExitStack() as stack:
        pagerduty = stack.enter_context(PagerDutySimulator(deliverer=Deliverer(tries=400)))
        slack = stack.enter_context(SlackSimulator(scopes=agent.simulators.slack.SCOPES))
        extra, secrets, cluster = _needed(scenario, directory, stack)
        made = World(scenario, directory, redis_port, pagerduty, slack, extra, secrets, cluster)  # type: ignore[arg-type]
        try:
            yield made
        finally:
            made.agent.kill()


def _needed(
    scenario: Scenario, directory: Path, stack: ExitStack
) -> tuple[dict[str, Any], dict[str, str], KubernetesSimulator | None]:
    extra: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    cluster = None
    if "advisor" in scenario.needs:
        model = stack.enter_context(AnthropicSimulator(mind=undecided))
        secrets["ANTHROPIC_API_KEY"] = model.api_key
        key = {"env": "ANTHROPIC_API_KEY"}
        llm = {"provider": "anthropic", "model": "claude-haiku-4-5", "base_url": model.url, "api_key": key}
        extra["llm"] = llm
    if "cluster" in scenario.needs:
        cluster = stack.enter_context(KubernetesSimulator())
        cluster.add_deployment("production", "api", replicas=2)  # type: ignore[attr-defined]
        kubeconfig = cluster.kubeconfig(directory / "kubeconfig", namespace="production")  # type: ignore[attr-defined]
        extra["kubernetes"] = {"kubeconfig": str(kubeconfig)}
    return extra, secrets, cluster  # type: ignore[return-value]
