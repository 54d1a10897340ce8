"""`watch` as it is typed: what it asks by default, what it says, and what it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agent.simulators.pagerduty import PagerDutySimulator
from tests.integration.cli.conftest import Result, Shell, words
from tests.integration.watching.conftest import Listener

QUICK = ("--once", "--stale-after", "1", "--every", "0.1", "--timeout", "0.5", "--state", "watch.json")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listening:
        yield listening  # type: ignore[misc]


@pytest.fixture
def pagerduty(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[PagerDutySimulator]:
    with PagerDutySimulator() as simulator:
        monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", simulator.routing_key)
        yield simulator  # type: ignore[misc]


def configure(shell: Shell, pagerduty: PagerDutySimulator, **sections: Any) -> None:
    section = {"events_url": pagerduty.url, "routing_key": {"env": "PAGERDUTY_ROUTING_KEY"}}
    shell.configure(pagerduty=section, **sections)


def watch(shell: Shell, *arguments: str) -> Result:
    """Logging is set up for the process: these are processes of their own."""
    return shell.process("watch", *QUICK, *arguments)


def test_by_default_it_asks_the_agent_of_the_same_configuration(
    shell: Shell, pagerduty: PagerDutySimulator, listener: Listener
) -> None:
    port = int(listener.url.rpartition(":")[2])
    configure(shell, pagerduty, server={"host": "0.0.0.0", "port": port})
    result = watch(shell)
    assert (result.code, result.out) == (0, "well: it can do its work\n")
    assert [each.path for each in listener.requests()] == ["/ready"]


def test_as_json_it_says_what_it_saw_and_whether_the_pager_knows(
    shell: Shell, pagerduty: PagerDutySimulator, listener: Listener
) -> None:
    configure(shell, pagerduty)
    listener.status, listener.body = 503, {"status": "not ready", "reason": "starting or stopping"}
    result = watch(shell, "--url", f"{listener.url}/ready", "--name", "shop 1/eu", "--json")
    assert result.code == 1
    assert result.json == {
        "verdict": "stale",
        "dedup_key": "oncall-agent-down-shop-1-eu",
        "why": f"{listener.url}/ready answers 503: starting or stopping",
        "told": True,
    }
    assert [page.alert_key for page in pagerduty.pages()] == ["oncall-agent-down-shop-1-eu"]
    assert json.loads((shell.directory / "watch.json").read_text())["is_paged"] is True


def test_the_log_is_json_and_holds_no_key(
    shell: Shell, pagerduty: PagerDutySimulator, listener: Listener
) -> None:
    configure(shell, pagerduty)
    listener.status = 500
    result = watch(shell, "--url", f"{listener.url}/ready")
    events = [json.loads(line)["event"] for line in result.err.splitlines()]
    assert events == ["agent_silent", "agent_down_paged"]
    assert pagerduty.routing_key not in result.err


def test_a_port_that_nobody_knows_is_told(shell: Shell, pagerduty: PagerDutySimulator) -> None:
    configure(shell, pagerduty, server={"port": 0})
    result = shell("watch", "--once")
    assert result.code == 2
    assert "server.port is 0" in result.err


@pytest.mark.parametrize("section", [None, {}, {"routing_key": {"env": "NOT_SET"}}])
def test_without_a_routing_key_it_says_that_nobody_could_be_paged(
    shell: Shell, section: dict[str, Any] | None
) -> None:
    shell.configure(**({} if section is None else {"pagerduty": section}))
    result = shell("watch", "--once")
    assert result.code == 2
    assert "pagerduty.routing_key" in result.err


def test_what_is_wrong_in_the_pagerduty_section_is_told(shell: Shell) -> None:
    shell.configure(pagerduty={"events_url": "http://example.com", "routing_kee": 1}, limits="nonsense")
    result = shell("watch", "--once")
    assert result.code == 2
    assert "pagerduty.events_url: must be an https:// URL" in result.err
    assert "pagerduty.routing_kee: is not a known key; did you mean routing_key?" in result.err
    assert "limits" not in result.err


def dead_mans_switch(shell: Shell) -> dict[str, str]:
    (found,) = [each for each in shell("doctor", "--json").json if each["name"] == "dead man's switch"]
    return found  # type: ignore[no-any-return]


def test_the_doctor_warns_while_nobody_would_be_paged_for_the_agent_itself(shell: Shell) -> None:
    found = dead_mans_switch(shell)
    assert found["grade"] == "note"
    assert "when the agent itself is gone nobody is paged" in found["seen"]
    assert "heartbeat.url" in found["fix"]


def test_the_doctor_is_content_with_a_heartbeat_and_does_not_show_its_url(shell: Shell) -> None:
    shell.configure(heartbeat={"url": "https://ping.example.com/canary-key", "every_s": 45})
    found = dead_mans_switch(shell)
    assert (found["grade"], found["fix"]) == ("ok", "")
    assert found["seen"] == "heartbeat.url is asked every 45 s while the agent is well"


def test_it_is_among_the_commands(shell: Shell) -> None:
    assert " watch " in words(shell("--help").out)
    assert "--stale-after" in shell.process("watch", "--help").out
