"""Several real processes on one database, as replicas, or as web and worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.acceptance.conftest import Agent, wait_until
from tests.acceptance.test_webhook_answers import event, signed


class Fleet:
    """Processes that share database and runbooks; each has its own folder, port and executor id."""

    def __init__(
        self, directory: Path, url: str, pagerduty: PagerDutySimulator, slack: SlackSimulator
    ) -> None:
        self._directory = directory
        self.url = url
        self.pagerduty = pagerduty
        self.slack = slack
        self.overrides: dict[str, Any] = {}
        self.agents: dict[str, Agent] = {}
        (directory / "runbooks").mkdir(parents=True)

    def runbook(self, name: str, text: str) -> None:
        (self._directory / "runbooks" / f"{name}.md").write_text(text)

    def add(self, name: str, *, role: str = "all", start: bool = True) -> Agent:
        """One more process under this name."""
        folder = self._directory / name
        folder.mkdir()
        agent = Agent(folder, self.pagerduty, self.slack)
        shared = {"path": str(self._directory / "runbooks")}
        agent.overrides = {"database": {"url": self.url}, "runbooks": shared} | self.overrides
        # the second is libpq's: under this name the server knows its sessions
        agent.variables = {"ONCALL_AGENT_EXECUTOR_ID": name, "PGAPPNAME": name}
        agent.arguments = ("--role", role)
        self.agents[name] = agent
        if start:
            agent.start()
        return agent

    def add_all(self, *names: str) -> list[Agent]:
        """Several at once: each takes its time to start."""
        agents = [self.add(name, start=False) for name in names]
        for agent in agents:
            agent.start(ready=False)
        for agent in agents:
            wait_until(agent.is_ready, f"the agent is ready\n{agent.log()[-2000:]}")
        return agents

    @property
    def alive(self) -> list[Agent]:
        return [each for each in self.agents.values() if each.process is not None]

    def deliver(self, number: int, *, title: str = "", service: str = "") -> None:
        """As PagerDuty through a load balancer does: to whoever takes it, again and again."""
        trigger = event(source_id=f"P{number}")
        trigger["event"]["data"]["title"] = title or f"redis case n{number}"
        trigger["event"]["data"]["service"]["summary"] = service or f"service-{number % 7}"

        def taken() -> bool:
            for agent in self.alive:
                try:
                    if signed(agent, trigger, **{"X-Webhook-Id": f"w-{number}"}).status_code == 202:
                        return True
                except httpx.HTTPError:
                    continue
            return False

        wait_until(taken, "somebody takes the webhook")

    def ended(self, number: int, *, deadline_s: float = 60.0) -> dict[str, Any]:
        """The incident, once it has ended, as anybody who is alive tells it."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            for agent in self.alive:
                try:
                    return agent.ended(f"P{number}", deadline_s=2.0)
                except (AssertionError, httpx.HTTPError, KeyError, ValueError):
                    continue
        raise AssertionError(f"P{number} has not ended within {deadline_s:g} s")

    def owner(self, *, deadline_s: float = 10.0) -> Agent:
        """Who carries out the only run that is under way."""
        query = "SELECT executor_id FROM runs WHERE topic = '' AND executor_id <> ''"
        (row,) = wait_until(lambda: self.rows(query), "somebody carries it out", deadline_s=deadline_s)
        return self.agents[str(row[0])]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query of the test's own finds (PostgreSQL)."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query).fetchall()  # type: ignore[call-overload, no-any-return]

    def log(self) -> str:
        return "\n".join(agent.log() for agent in self.agents.values())

    def stop(self) -> None:
        for agent in self.agents.values():
            agent.kill()


@contextmanager
def fleet_in(
    directory: Path, url: str, pagerduty: PagerDutySimulator, slack: SlackSimulator
) -> Iterator[Fleet]:
    fleet = Fleet(directory / "fleet", url, pagerduty, slack)
    try:
        yield fleet
    finally:
        fleet.stop()
