"""`escalations`: what waits for a human is claimed, settled, routed and reported by typing."""

from __future__ import annotations

import json

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.cli.incidents import operator
from agent.domain.queue import Rank
from agent.escalations.entering import Queueing, Received
from agent.library.draft import is_lint_clean
from agent.pipeline import queueing
from agent.pipeline.queueing import QueueDesk
from agent.safety.redaction import Redactor
from tests.integration.cli.conftest import Shell

ROUTING = [
    {
        "name": "Critical",
        "match": {"severity": "critical"},
        "route_to": "team:senior",
        "on_breach": "team:cto",
    },
    {"name": "Rest", "match": {"any": True}, "route_to": "team:sre", "notification_channel": "slack:#sre"},
]


@pytest.fixture
def waiting(shell: Shell) -> str:
    """One escalation in the queue; its id."""
    store = Store(shell.database_url, SystemClock())
    store.migrate()
    desk = QueueDesk(store, Redactor([]), Queueing())
    what = Received("1", "no_match", "Redis connection timeout", Rank.HIGH, service="shop")
    item, _ = queueing.received(desk, what, now=store.clock.now())
    store.close()
    return item.id


def test_what_waits_is_listed_with_its_time(shell: Shell, waiting: str) -> None:
    listed = shell("escalations")
    assert waiting in listed.out
    assert "left" in listed.out
    (row,) = shell("escalations", "--json", "--severity", "high").json
    assert row["id"] == waiting
    assert shell("escalations", "--severity", "low").out == "nothing waits for a human\n"


def test_claimed_it_is_mine_and_given_back_it_is_not(shell: Shell, waiting: str) -> None:
    assert shell("escalations", "claim", waiting).out == f"{waiting} is claimed, with {operator()}\n"
    assert [row["id"] for row in shell("escalations", "--json", "--mine").json] == [waiting]
    assert shell("escalations", "release", waiting).code == 0
    assert shell("escalations", "--json", "--mine").json == []
    refused = shell("escalations", "release", waiting)
    assert (refused.code, "nobody has claimed it" in refused.err) == (1, True)


def test_given_to_another_and_further_up(shell: Shell, waiting: str) -> None:
    assert shell("escalations", "reassign", waiting, "--to", "team:dba").code == 0
    assert shell("escalations", "further", waiting, "--to", "team:cto", "--json").json["level"] == 1
    shown = shell("escalations", "show", waiting)
    assert "team:cto" in shown.out
    assert shell("escalations", "show", waiting, "--json").json["evidence"]["timeline"]


def test_settled_by_hand_it_leaves_a_draft_that_is_in_order(shell: Shell, waiting: str) -> None:
    done = "redis-cli -h redis.example.com PING\nlooked at the graph"
    answer = shell(
        "escalations", "resolve", waiting, "--action", "allow", "--note", "was the cache", "--done", done,
        "--draft", "runbooks",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    draft = shell.directory / "runbooks" / "redis-connection-timeout.md"
    assert is_lint_clean(draft.read_text())
    assert "autonomy: suggest" in draft.read_text()
    assert shell("escalations").out == "nothing waits for a human\n"
    assert waiting in shell("escalations", "--status", "resolved").out


def test_a_file_that_is_there_is_not_written_over(shell: Shell, waiting: str) -> None:
    (shell.directory / "mine.md").write_text("mine")
    answer = shell(
        "escalations", "resolve", waiting, "--action", "allow", "--note", "n", "--done", "x",
        "--draft", "mine.md",
    )  # fmt: skip
    assert answer.code == 2
    assert (shell.directory / "mine.md").read_text() == "mine"
    assert waiting in shell("escalations").out


def test_the_rules_are_tried_without_telling_anybody(shell: Shell) -> None:
    shell.configure(escalation={"routing": ROUTING})
    (shell.directory / "case.json").write_text(json.dumps({"trigger": "phi", "severity": "low"}))
    found = shell("escalations", "route", "--file", "case.json", "--json").json
    assert (found["rule"], found["route_to"], found["notification_channel"]) == (
        "Rest",
        "team:sre",
        "slack:#sre",
    )
    assert found["passed"] == [{"rule": "Critical", "why": "severity is low, the rule wants critical"}]
    alert = shell.alert("bad", "Redis is down", severity="critical")
    told = shell("escalations", "route", "--file", alert)
    assert "team:senior" in told.out
    assert "team:cto" in told.out
    (shell.directory / "case.json").write_text(json.dumps({"trigger": "phi", "colour": "red"}))
    assert shell("escalations", "route", "--file", "case.json").code == 2


def test_the_seeds_spelling_of_rules_is_understood(shell: Shell) -> None:
    shell.configure(escalation_routing={"rules": ROUTING})
    alert = shell.alert("bad", "Redis is down", severity="critical")
    assert shell("escalations", "route", "--file", alert, "--json").json["rule"] == "Critical"


def test_the_report_tells_how_deadlines_are_kept(shell: Shell, waiting: str) -> None:
    shell("escalations", "resolve", waiting, "--action", "block", "--note", "n")
    told = shell("escalations", "report", "--since", "7d")
    assert "100.0%" in told.out
    assert shell("escalations", "report", "--json").json["total"]["within_sla"] == 1
    assert shell("escalations", "report", "--since", "soon").code == 2


def test_who_only_may_look_changes_nothing(shell: Shell, waiting: str) -> None:
    shell.configure(people=[{"name": operator(), "role": "viewer"}])
    refused = shell("escalations", "claim", waiting)
    assert (refused.code, "responder" in refused.err) == (1, True)


def test_one_that_does_not_exist_is_said_so(shell: Shell) -> None:
    for command in ("show", "claim", "release"):
        answer = shell("escalations", command, "esc-0")
        assert (answer.code, "no escalation esc-0" in answer.err) == (1, True)
