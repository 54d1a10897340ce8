"""The real process against simulated vendors: signed webhooks in, assertions on what the vendors received."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests import forked
from tests.acceptance.outage_faults import Line, lines, untrusted
from tests.forked import Forked

#: Generous, because the machine may be busy; nothing waits this long when all is well.
DEADLINE_S = 30.0


def wait_until(condition: Callable[[], Any], what: str, *, deadline_s: float = DEADLINE_S) -> Any:
    """Poll until the condition gives something true."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {deadline_s:g} s: {what}")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class RedisServer:
    """A real Redis in its own directory on a free port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(directory),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: self.cli("PING") == "PONG", "redis answers")

    def cli(self, *arguments: str) -> str:
        command = ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *arguments]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Agent:
    """One `oncall-agent serve` process and what it talks to."""

    def __init__(self, directory: Path, pagerduty: PagerDutySimulator, slack: SlackSimulator) -> None:
        self.directory = directory
        self.pagerduty = pagerduty
        self.slack = slack
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.webhook_url = f"{self.url}/webhook/pagerduty"
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.overrides: dict[str, Any] = {}
        self.script: Path | None = None
        self.arguments: tuple[str, ...] = ()
        self.variables: dict[str, str] = {}
        (directory / "runbooks").mkdir()

    def runbook(self, name: str, text: str) -> None:
        (self.directory / "runbooks" / f"{name}.md").write_text(text)

    def config(self) -> dict[str, Any]:
        config = {
            "server": {"port": self.port},
            "database": {"url": f"sqlite:///{self.directory}/oncall.db"},
            "runbooks": {"path": str(self.directory / "runbooks"), "default_autonomy": "auto"},
            "execution": {"retry_delay_s": 0},
            "pagerduty": {
                "api_url": self.pagerduty.url,
                "events_url": self.pagerduty.url,
                "api_token": {"env": "PAGERDUTY_API_TOKEN"},
                "routing_key": {"env": "PAGERDUTY_ROUTING_KEY"},
                "webhook_secrets": [{"env": "PAGERDUTY_WEBHOOK_SECRET"}],
                "from_email": self.pagerduty.from_email,
                "timeout_s": 1.0,
            },
            "slack": {
                "api_url": self.slack.api_url,
                "bot_token": {"env": "SLACK_BOT_TOKEN"},
                "channel": "#incidents",
                "timeout_s": 1.0,
            },
        }
        for section, values in self.overrides.items():
            config[section] = values if values is None else {**(config.get(section) or {}), **values}
        return {section: values for section, values in config.items() if values is not None}

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PAGERDUTY_API_TOKEN": self.pagerduty.api_token,
            "PAGERDUTY_ROUTING_KEY": self.pagerduty.routing_key,
            "PAGERDUTY_WEBHOOK_SECRET": "simulated-webhook-secret",
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            **self.variables,
        }

    @property
    def config_path(self) -> Path:
        return self.directory / "config.yaml"

    def start(self, *, ready: bool = True) -> None:
        self.config_path.write_text(yaml.safe_dump(self.config()))
        self.process = forked.start(
            ["serve", "--config", str(self.config_path), *self.arguments],
            env=self.environment(),
            cwd=self.directory,
            stderr=self.directory / "agent.log",
            script=self.script,
        )
        if ready:
            wait_until(self.is_ready, f"the agent is ready\n{self.log()[-2000:]}")

    def is_ready(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the agent ended:\n{self.log()[-4000:]}")
        try:
            return httpx.get(f"{self.url}/ready").status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As the kernel does when memory is out: no goodbye."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """As the supervisor does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=DEADLINE_S)
        self.process = None
        return code

    def log(self) -> str:
        path = self.directory / "agent.log"
        return path.read_text() if path.exists() else ""

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*arguments, "--config", str(self.config_path)]
        return forked.run(command, env=self.environment(), cwd=self.directory)

    def incident(self, source_id: str) -> dict[str, Any] | None:
        answer = httpx.get(f"{self.url}/api/v1/incidents", params={"source_id": source_id}).json()
        found: list[dict[str, Any]] = answer["incidents"]
        return found[0] if found else None

    def ended(self, source_id: str, *, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The incident, once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.incident(source_id)
            terminal = ("resolved", "escalated", "stood_down", "ignored")
            return found if found is not None and found["status"] in terminal else None

        result: dict[str, Any] = wait_until(look, f"{source_id} has ended", deadline_s=deadline_s)
        return result

    def root_text(self) -> str:
        """What the only root message says now."""
        return "".join(root.text for root in self.slack.roots())

    def thread(self) -> list[str]:
        """Every text in the only thread there is, oldest first."""
        return [message.text for root in self.slack.roots() for message in self.slack.thread(root.ts)]

    def story(self) -> str:
        """The thread as one text."""
        return "\n".join(self.thread())


@pytest.fixture
def pagerduty() -> Iterator[PagerDutySimulator]:
    with PagerDutySimulator() as simulator:
        yield simulator  # type: ignore[misc]


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        yield simulator  # type: ignore[misc]


@pytest.fixture
def agent(tmp_path: Path, pagerduty: PagerDutySimulator, slack: SlackSimulator) -> Iterator[Agent]:
    directory = tmp_path / "agent"
    directory.mkdir()
    agent = Agent(directory, pagerduty, slack)
    pagerduty.subscribe(agent.webhook_url)
    yield agent
    agent.kill()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is missing; `make packages` installs it")
        pytest.skip("redis-server is not installed; `make packages` installs it")
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def bad_tls() -> ssl.SSLContext:
    return untrusted()


@pytest.fixture
def line_to() -> Iterator[Callable[..., Line]]:
    """Starts lines that misbehave; all of them end with the test."""
    with lines() as start:
        yield start
