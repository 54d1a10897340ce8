"""Who watches the watcher: the real daemon is killed, stopped and started; the real `watch` pages, once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import agent.__main__ as oncall_agent
from agent.simulators.server import Fault
from tests import forked
from tests.acceptance.conftest import DEADLINE_S, Agent, wait_until
from tests.acceptance.test_webhook_answers import event, signed
from tests.forked import Forked
from tests.integration.watching.conftest import Listener

KEY = "oncall-agent-down-shop-1"
STALE_AFTER_S = 2.0
EVERY_S = 0.25
TIMEOUT_S = 0.5

#: A silence, the looks around it, and one answer that never comes; and what a busy machine adds.
BOUND_S = STALE_AFTER_S + 2 * EVERY_S + TIMEOUT_S + 3.0


class Watch:
    """One `oncall-agent watch` process and what it leaves behind."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.state = agent.directory / "watch" / "watch.json"
        self.options = ["--url", f"{agent.url}/ready"]
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.script: Path | None = None

    def command(self, *more: str) -> list[str]:
        return [
            "watch", "--config", str(self.agent.config_path),
            "--name", "shop-1", "--state", str(self.state), "--every", str(EVERY_S),
            "--stale-after", str(STALE_AFTER_S), "--timeout", str(TIMEOUT_S), *self.options, *more,
        ]  # fmt: skip

    def start(self) -> None:
        self.process = forked.start(
            self.command(),
            env=self.agent.environment(),
            cwd=self.agent.directory,
            stderr=self.agent.directory / "watch.log",
            script=self.script,
        )
        wait_until(lambda: "watching" in self.log(), "the watcher is at its post")

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(timeout=DEADLINE_S)
        self.process = None
        return code

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def once(self) -> subprocess.CompletedProcess[str]:
        return forked.run(self.command("--once"), env=self.agent.environment(), cwd=self.agent.directory)

    def log(self) -> str:
        path = self.agent.directory / "watch.log"
        return path.read_text() if path.exists() else ""

    def memory(self) -> dict[str, Any]:
        try:
            shown: dict[str, Any] = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return shown

    def is_at_peace(self) -> bool:
        """It has looked, and knows that nobody is paged."""
        return self.memory().get("is_paged") is False and not self.memory().get("silent_since")

    def events(self, action: str) -> list[dict[str, Any]]:
        """What it sent to PagerDuty, accepted or not."""
        sent = [json.loads(each.body) for each in self.agent.pagerduty.requests("/v2/enqueue")]
        return [each for each in sent if each["event_action"] == action and each.get("dedup_key") == KEY]

    def page_status(self) -> str:
        """How the page stands; "" if there is none."""
        alerts = [alert for alert in self.agent.pagerduty.pages() if alert.alert_key == KEY]
        return alerts[-1].status if alerts else ""


@pytest.fixture
def watch(agent: Agent) -> Iterator[Watch]:
    watch = Watch(agent)
    yield watch
    watch.kill()


@pytest.fixture
def watched(agent: Agent, watch: Watch) -> Watch:
    """Both run, and all is well."""
    agent.start()
    watch.start()
    wait_until(watch.is_at_peace, f"the watcher has looked\n{watch.log()}")
    assert watch.page_status() == ""
    return watch


def paged_within(watch: Watch, since: float) -> float:
    wait_until(lambda: watch.page_status() == "triggered", f"a human is paged\n{watch.log()[-2000:]}")
    return time.monotonic() - since


def resolved(watch: Watch) -> None:
    wait_until(lambda: watch.page_status() == "resolved", f"the page is resolved\n{watch.log()[-2000:]}")


def test_a_killed_daemon_is_paged_for_and_the_page_resolved_once_it_is_back(
    agent: Agent, watched: Watch
) -> None:
    killed_at = time.monotonic()
    agent.kill()
    took_s = paged_within(watched, killed_at)
    assert STALE_AFTER_S - EVERY_S < took_s < BOUND_S
    (trigger,) = watched.events("trigger")
    payload = trigger["payload"]
    assert payload["severity"] == "critical"
    assert payload["summary"].startswith("oncall-agent on shop-1 is down since ")
    assert "does not answer (unreachable)" in payload["custom_details"]["last_error"]
    assert "start it again" in payload["custom_details"]["what_to_do"]
    agent.start()
    resolved(watched)
    assert len(watched.events("trigger")) == 1


def test_a_daemon_that_lives_but_does_not_answer_is_paged_for(agent: Agent, watched: Watch) -> None:
    assert agent.process is not None
    stopped_at = time.monotonic()
    agent.process.send_signal(signal.SIGSTOP)
    try:
        assert paged_within(watched, stopped_at) < BOUND_S
        assert "(timeout)" in watched.events("trigger")[0]["payload"]["custom_details"]["last_error"]
    finally:
        agent.process.send_signal(signal.SIGCONT)
    resolved(watched)


def test_a_watcher_that_is_restarted_in_between_pages_once_and_still_resolves(
    agent: Agent, watched: Watch
) -> None:
    agent.kill()
    paged_within(watched, time.monotonic())
    wait_until(lambda: watched.memory().get("is_paged"), "the watcher remembers")
    watched.kill()
    watched.start()
    time.sleep(STALE_AFTER_S + 1)
    watched.kill()
    agent.start()
    watched.start()
    resolved(watched)
    assert len(watched.events("trigger")) == 1
    assert watched.stop() == 0


def test_a_watcher_that_dies_with_the_daemon_pages_when_only_it_comes_back(
    agent: Agent, watched: Watch
) -> None:
    agent.kill()
    watched.kill()
    time.sleep(STALE_AFTER_S)
    began_at = time.monotonic()
    watched.start()
    assert paged_within(watched, began_at) > STALE_AFTER_S - EVERY_S


def test_while_pagerduty_is_down_it_goes_on_trying(agent: Agent, watched: Watch) -> None:
    watched.kill()
    watched.options += ["--timeout", "10"]  # what a busy machine answers late would be asked once more
    watched.start()
    agent.pagerduty.misbehave(Fault(503, path="/v2/enqueue", times=2))
    agent.kill()
    paged_within(watched, time.monotonic())
    assert len(watched.events("trigger")) == 3


def test_a_short_restart_pages_nobody(agent: Agent, watched: Watch) -> None:
    watched.kill()
    watched.options += ["--stale-after", "60"]
    watched.start()
    agent.kill()
    agent.start()
    wait_until(watched.is_at_peace, "the watcher sees that it is back")
    assert watched.events("trigger") == []


@pytest.mark.parametrize("has_rest", [True, False], ids=["with the REST API", "without"])
def test_the_daemon_never_works_on_the_page_about_its_own_death(
    agent: Agent, watch: Watch, has_rest: bool
) -> None:
    if not has_rest:
        agent.overrides["pagerduty"] = {"api_token": None}
    agent.start()
    watch.start()
    wait_until(watch.is_at_peace, "the watcher has looked")
    agent.kill()
    paged_within(watch, time.monotonic())
    agent.start()
    (page,) = [each for each in agent.pagerduty.incidents() if each.title.startswith("oncall-agent on")]
    trigger = event(source_id=page.id)  # sent again, now that it is back
    trigger["event"]["data"] |= {"title": page.title, "incident_key": None if has_rest else KEY}
    assert signed(agent, trigger).status_code == 202
    assert agent.ended(page.id)["status"] == "ignored"
    assert len(agent.pagerduty.pages()) == 1


def test_a_heartbeat_file_is_enough(agent: Agent, watch: Watch) -> None:
    beat = agent.directory / "beat.json"
    agent.overrides["heartbeat"] = {"file": str(beat), "every_s": 1}
    watch.options = ["--file", str(beat)]
    agent.start()
    wait_until(beat.exists, "a beat")
    watch.start()
    time.sleep(STALE_AFTER_S + 1)
    assert watch.page_status() == ""
    killed_at = time.monotonic()
    agent.kill()
    paged_within(watch, killed_at)
    assert "no beat since" in watch.events("trigger")[0]["payload"]["custom_details"]["last_error"]
    agent.start()
    resolved(watch)


# one look


def test_one_look_at_an_agent_that_is_well_is_exit_code_0(agent: Agent, watch: Watch) -> None:
    agent.start()
    looked = watch.once()
    assert (looked.returncode, looked.stdout) == (0, "well: it can do its work\n"), looked.stderr
    assert watch.events("trigger") == []


def test_one_look_at_an_agent_that_is_gone_pages_and_is_exit_code_1(agent: Agent, watch: Watch) -> None:
    agent.start()
    agent.kill()
    began_at = time.monotonic()
    looked = watch.once()
    assert looked.returncode == 1
    assert looked.stdout.startswith(f"stale: {agent.url}/ready does not answer")
    assert STALE_AFTER_S < time.monotonic() - began_at < BOUND_S + 3
    assert watch.page_status() == "triggered"
    again = watch.once()
    assert again.returncode == 1
    assert len(watch.events("trigger")) == 1
    agent.start()
    assert watch.once().returncode == 0
    assert watch.page_status() == "resolved"


def test_one_look_without_a_memory_pages_and_resolves_all_the_same(agent: Agent, watch: Watch) -> None:
    """A CronJob without a volume: PagerDuty knows the page by its key."""
    agent.start()
    agent.kill()
    watch.state = Path("/dev/null/nowhere")
    assert [watch.once().returncode for _ in range(2)] == [1, 1]
    assert [alert.alert_key for alert in agent.pagerduty.pages()] == [KEY]
    agent.start()
    assert watch.once().returncode == 0
    assert watch.page_status() == "resolved"


def test_what_is_wrong_elsewhere_in_the_configuration_keeps_no_page_back(agent: Agent, watch: Watch) -> None:
    """It may be why the agent does not start."""
    config = agent.config() | {"server": {"prot": 1}, "limits": 5, "slack": {"bot_token": {"env": "NOT_SET"}}}
    agent.config_path.write_text(yaml.safe_dump(config))
    assert watch.once().returncode == 1
    assert watch.page_status() == "triggered"


def test_without_a_way_to_page_it_ends_with_exit_code_2(agent: Agent, watch: Watch) -> None:
    agent.config_path.write_text(yaml.safe_dump({"pagerduty": {"routing_key": {"env": "NOT_SET"}}}))
    for _ in range(2):
        looked = watch.once()
        assert looked.returncode == 2
        assert "pagerduty.routing_key" in looked.stderr
        agent.config_path.write_text(yaml.safe_dump({}))


def test_it_is_small(agent: Agent, watched: Watch) -> None:
    """It runs beside the agent for ever: it loads no database, no sandbox, no web server."""
    watched.stop()
    watched.script = Path(oncall_agent.__file__)  # in an interpreter that loads no more than it must
    watched.start()
    assert watched.process is not None
    status = Path(f"/proc/{watched.process.pid}/status").read_text()
    (resident,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    assert resident < 80_000
    probe = "import sys, agent.cli.watch; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=os.environ)
    heavy = {"sqlalchemy", "dbos", "flask", "kubernetes", "boto3", "anthropic", "slack_sdk", "alembic"}
    assert heavy & set(loaded.stdout.split()) == set()


# the heartbeat


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listening:
        yield listening  # type: ignore[misc]


def test_the_daemon_beats_while_it_can_write_and_no_longer(agent: Agent, listener: Listener) -> None:
    agent.overrides["heartbeat"] = {"url": f"{listener.url}/ping", "every_s": 1}
    agent.start()

    def beats() -> int:
        return len(listener.requests("/ping"))

    wait_until(lambda: beats() >= 3, "it beats")
    database = sqlite3.connect(agent.directory / "oncall.db", isolation_level=None)
    try:
        database.execute("BEGIN EXCLUSIVE")
        beat = agent.directory / "heartbeat.json"
        wait_until(lambda: "the store cannot be written" in beat.read_text(), "the file says what is wrong")
        before = beats()
        time.sleep(3)
        assert beats() == before
        database.execute("ROLLBACK")
    finally:
        database.close()
    wait_until(lambda: beats() > before + 1, "it beats again")
    agent.kill()
    before = beats()
    time.sleep(3)
    assert beats() == before
