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
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

import agent.simulators.slack
from agent.adapters.database import moment, stamp
from agent.domain.queue import QueueStatus
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.pagerduty_delivery import Deliverer
from agent.simulators.slack import SlackSimulator
from tests import forked
from tests.acceptance.conftest import Agent, wait_until
from tests.acceptance.crash_scenarios import Scenario
from tests.acceptance.crash_vendors import OWN_TOKEN, Vendors, started
from tests.acceptance.crashing_agent import install

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
    vendors: Vendors
    source_id: str = ""
    #: The same alert once more, if the scenario has it.
    twin_id: str = ""
    #: How often Slack was asked what stands there before the daemon died.
    looks_before: int = 0
    done: set[str] = field(default_factory=set)
    _kept: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
        self.agent = Agent(self.directory, self.pagerduty, self.slack)
        self.agent.port = _port()
        self.agent.url = f"http://127.0.0.1:{self.agent.port}"
        self.agent.webhook_url = f"{self.agent.url}/webhook/pagerduty"
        for section, values in (*self.vendors.config.items(), *self.scenario.config.items()):
            self.agent.overrides[section] = {**self.agent.overrides.get(section, {}), **values}
        if "token" in self.scenario.needs:
            self.vendors.variables["OWN_TOKEN"] = OWN_TOKEN
            self.agent.overrides["server"] = {"api_token": {"env": "OWN_TOKEN"}}
        self.vendors.variables["SLACK_SIGNING_SECRET"] = self.slack.hands.signing_secret
        self.agent.variables |= self.vendors.variables
        for name, text in self.scenario.runbooks.items():
            self.agent.runbook(name, text.replace("PORT", str(self.redis_port)).replace("KEY", self.key))
        self.pagerduty.subscribe(self.agent.webhook_url)
        self.vendors.lead_to(self.agent.url)
        self.database = self.directory / "oncall.db"

    def start(self, **variables: str) -> None:
        """Start the daemon; with the variables that say where it dies it may do so before it listens."""
        self.agent.config_path.write_text(yaml.safe_dump(self.agent.config() | dict(self.scenario.whole)))
        log = self.directory / "agent.log"
        self.agent.process = forked.start(
            ["serve", "--config", str(self.agent.config_path)],
            env={**self.agent.environment(), **variables},
            cwd=self.directory,
            stderr=log,
            stdout=log,
            change=install if variables else None,
        )

    def trigger(self) -> None:
        self.scenario.before(self)
        self.scenario.starts(self)

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

    def has_ended(self) -> bool:
        return self.status() in TERMINAL

    def escalation_id(self) -> str:
        """What waits for a human, if anything does."""
        found = self.rows("SELECT incident_id FROM escalations")
        return str(found[0]["incident_id"]) if found else ""

    def is_settled(self) -> bool:
        """Whether everything that waited for a human is over."""
        found = self.rows("SELECT status FROM escalations")
        return bool(found) and all(QueueStatus(row["status"]).is_over for row in found)

    def is_told(self) -> bool:
        """Whether the thread is up to date."""
        return not self.rows("SELECT id FROM outbox WHERE state = 'waiting'")

    def counted(self, suffix: str = "") -> int:
        command = ["redis-cli", "-p", str(self.redis_port), "GET", f"{self.key}{suffix}"]
        return int(subprocess.run(command, capture_output=True, text=True).stdout.strip() or 0)

    def once(self, name: str, do: Callable[[], object]) -> None:
        """Do it, and again if it says that it was not taken."""
        if name not in self.done and do() is not False:
            self.done.add(name)

    def cli(self, *arguments: str) -> bool:
        """As a human at a terminal; whether it was taken."""
        command = [*arguments, "--config", str(self.agent.config_path)]
        return forked.run(command, env=self.agent.environment(), cwd=self.directory).returncode == 0

    def api(self, path: str, **body: str) -> bool:
        """As a human who is signed in; whether it was taken."""
        headers = {"Authorization": f"Bearer {OWN_TOKEN}"}
        with contextlib.suppress(httpx.HTTPError):
            return httpx.post(f"{self.agent.url}/api/v1/{path}", json=body, headers=headers).is_success
        return False

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Made once, the same from then on."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def an_hour_ago(self, table: str, *columns: str) -> None:
        """As if an hour had passed since then."""
        connection = sqlite3.connect(self.database, timeout=30)
        with contextlib.closing(connection), connection:
            for row, *values in connection.execute(
                f"SELECT rowid, {', '.join(columns)} FROM {table}"
            ).fetchall():
                earlier = [stamp(moment(each) - timedelta(hours=1)) for each in values]
                changes = ", ".join(f"{each} = ?" for each in columns)
                connection.execute(f"UPDATE {table} SET {changes} WHERE rowid = ?", (*earlier, row))

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
        if not self.pagerduty.wait_until_delivered(0.01) or not self.vendors.is_quiet():
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
    forked.preload(install.__module__)
    directory.mkdir(parents=True)
    with ExitStack() as stack:
        pagerduty = stack.enter_context(PagerDutySimulator(deliverer=Deliverer(tries=400)))
        slack = stack.enter_context(
            SlackSimulator(scopes=agent.simulators.slack.SCOPES, channels=("incidents", "security"))
        )
        vendors = started(scenario.needs, directory, stack)
        made = World(scenario, directory, redis_port, pagerduty, slack, vendors)
        try:
            yield made
        finally:
            made.agent.kill()
