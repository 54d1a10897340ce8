from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.demo.settings import config_text
from agent.domain.executor import Role
from agent.simulators.pagerduty import PagerDutySimulator
from agent.simulators.slack import SlackSimulator
from tests.integration.cli.conftest import HELLO, SECRETS, Shell


@pytest.fixture
def pagerduty() -> Iterator[PagerDutySimulator]:
    with PagerDutySimulator(
        api_token=SECRETS["PAGERDUTY_API_TOKEN"], routing_key=SECRETS["PAGERDUTY_ROUTING_KEY"]
    ) as simulator:
        yield simulator


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator(bot_token=SECRETS["SLACK_BOT_TOKEN"]) as simulator:
        yield simulator


@pytest.fixture
def connected(shell: Shell, pagerduty: PagerDutySimulator, slack: SlackSimulator) -> Shell:
    shell.runbook("hello", HELLO)
    shell.configure(**yaml.safe_load(config_text(pagerduty, slack, database="oncall.db")))
    return shell


def graded(rows: list[dict[str, Any]], grade: str) -> dict[str, str]:
    return {row["name"]: row["seen"] for row in rows if row["grade"] == grade}


def test_with_everything_in_place_nothing_is_bad(connected: Shell) -> None:
    result = connected("doctor", "--json")
    assert graded(result.json, "bad") == {}
    assert result.code == 0
    assert set(graded(result.json, "ok")) >= {
        "runbooks", "database", "pagerduty webhook", "pagerduty rest", "pagerduty events", "slack", "server",
    }  # fmt: skip
    told = connected("doctor")
    assert told.code == 0
    assert "our writes are counted for user PAGENT0" in told.out


def test_doctor_posts_nothing_and_pages_nobody(
    connected: Shell, pagerduty: PagerDutySimulator, slack: SlackSimulator
) -> None:
    connected("doctor")
    assert slack.messages() == []
    assert pagerduty.pages() == []
    assert {each.method for each in pagerduty.requests()} == {"GET"}


def test_when_nothing_answers_each_problem_has_its_fix(connected: Shell) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{bound.getsockname()[1]}"
        config = yaml.safe_load((connected.directory / "config.yaml").read_text())
        config["pagerduty"] |= {"api_url": nobody, "events_url": nobody}
        config["slack"]["api_url"] = f"{nobody}/api/"
        config["runbooks"] = {"path": "nowhere"}
        connected.configure(**config)
        result = connected("doctor", "--json")
    assert result.code == 1
    bad = graded(result.json, "bad")
    assert set(bad) == {"runbooks", "pagerduty rest", "pagerduty events", "slack"}
    fixes = {row["name"]: row["fix"] for row in result.json if row["grade"] == "bad"}
    assert fixes["runbooks"] == "set runbooks.path to the folder of your Markdown runbooks"
    assert "pagerduty.api_url" in fixes["pagerduty rest"]
    assert "pagerduty.events_url" in fixes["pagerduty events"]


def test_a_token_that_is_not_taken_is_bad_and_never_shown(
    connected: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAGERDUTY_API_TOKEN", "SLACK_BOT_TOKEN"):
        monkeypatch.setenv(name, SECRETS[name][::-1])
    result = connected("doctor", "--json")
    assert result.code == 1
    assert set(graded(result.json, "bad")) == {"pagerduty rest", "slack"}
    assert all(SECRETS[name][::-1] not in result.out for name in SECRETS)


def test_a_routing_key_of_the_wrong_length_is_found_before_the_first_page(
    connected: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", "short")
    bad = graded(connected("doctor", "--json").json, "bad")
    assert bad == {"pagerduty events": "the routing_key has 5 characters, not 32"}


def test_an_address_that_no_user_has_is_bad(connected: Shell) -> None:
    config = yaml.safe_load((connected.directory / "config.yaml").read_text())
    config["pagerduty"]["from_email"] = "nobody@example.com"
    connected.configure(**config)
    result = connected("doctor", "--json")
    assert graded(result.json, "bad") == {"pagerduty rest": "no user has the address nobody@example.com"}


def test_without_vendors_it_says_what_that_means(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    result = shell("doctor", "--json")
    assert result.code == 0
    notes = graded(result.json, "note")
    assert notes["pagerduty"] == "switched off: no pages come in and nobody can be paged"
    assert notes["slack"].startswith("switched off")


@pytest.mark.parametrize(
    ("section", "name", "grade", "seen"),
    [
        ({}, "pagerduty webhook", "bad", "every webhook is refused"),
        ({"allow_unsigned_webhooks": True}, "pagerduty webhook", "note", "unsigned webhooks are accepted"),
        ({}, "pagerduty rest", "note", "no api_token: no details, acknowledge, notes or resolve"),
        ({}, "pagerduty events", "bad", "no routing_key: nobody can be paged"),
    ],
)
def test_each_half_of_pagerduty_that_is_missing_is_told(
    shell: Shell, section: dict[str, Any], name: str, grade: str, seen: str
) -> None:
    shell.runbook("hello", HELLO)
    shell.configure(pagerduty=section, slack={})
    result = shell("doctor", "--json")
    assert graded(result.json, grade)[name] == seen
    assert graded(result.json, "bad")["slack"] == "neither bot_token nor webhook_url is set"


def test_broken_runbooks_are_bad_one_by_one(shell: Shell) -> None:
    assert "runbooks" in graded(shell("doctor", "--json").json, "bad")
    path = shell.runbook("broken", HELLO.replace("Failure action: escalate", "Failure action: explode"))
    told = shell("doctor")
    assert told.code == 1
    assert f"{path}:24" in told.out


def test_a_database_that_cannot_be_used_is_bad(shell: Shell) -> None:
    (shell.directory / "oncall.db").write_bytes(b"no database " * 1000)
    bad = graded(shell("doctor", "--json").json, "bad")
    assert "database" in bad["database"]


def test_who_works_on_the_database_is_shown(shell: Shell) -> None:
    store = Store(f"sqlite:///{shell.directory}/oncall.db", SystemClock())
    store.migrate()
    for name, role in (("worker-0", Role.WORKER), ("worker-1", Role.WORKER), ("web:a:1", Role.WEB)):
        store.begin_work(name, role=role, host="host-1", version="1.0")
    store.end_work("web:a:1")
    store.take_from("worker-1", by="worker-0")
    store.close()
    rows = shell("doctor", "--json").json
    assert graded(rows, "ok")["worker-0"].startswith("worker on host-1, version 1.0, seen ")
    assert graded(rows, "note")["worker-1"].endswith("it died, and worker-0 took its work over")
    assert "web:a:1" not in {row["name"] for row in rows}


def test_listening_beyond_loopback_without_a_token_is_noted(shell: Shell) -> None:
    shell.configure(server={"host": "0.0.0.0"})
    notes = graded(shell("doctor", "--json").json, "note")
    assert "listens on 0.0.0.0 without server.api_token" in notes["server"]


def test_a_secret_that_is_not_there_is_bad_by_its_key(
    connected: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLACK_BOT_TOKEN")
    result = connected("doctor", "--json")
    assert result.code == 1
    assert "slack.bot_token" in graded(result.json, "bad")["secret"]
