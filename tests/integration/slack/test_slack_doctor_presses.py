"""What `doctor` says of buttons and `/oncall`, before anybody presses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.cli.checks import Grade
from agent.cli.doctor_slack import press_checks
from agent.config import parse
from agent.simulators.slack import SCOPES, SlackSimulator
from agent.simulators.slack_socket import APP_TOKEN


@pytest.fixture
def say(slack: SlackSimulator, tmp_path: Path):
    def checks(scopes=SCOPES, people=(), **section: Any) -> list[tuple[Grade, str]]:
        bot = tmp_path / "bot"
        bot.write_text(slack.bot_token)
        for name, value in section.items():
            if isinstance(value, str):
                (tmp_path / name).write_text(value)
                section[name] = {"file": str(tmp_path / name)}
        settings = {"slack": {"api_url": slack.api_url, "bot_token": {"file": str(bot)}, **section}}
        config = parse({**settings, "people": list(people)}, path="config.yaml")
        return [(each.grade, each.seen) for each in press_checks(config, frozenset(scopes))]

    return checks


ALICE = {"name": "alice", "role": "approver", "slack": "U0ALICE"}
BOB = {"name": "bob", "role": "approver", "email": "bob@example.com"}


def test_without_a_way_in_it_says_how_one_approves_then(say):
    ((grade, seen),) = say()
    assert grade is Grade.NOTE
    assert "oncall-agent approve" in seen


def test_a_signing_secret_that_is_not_there_is_told(say):
    grade, seen = say(signing_secret={"env": "NOT_SET_ANYWHERE"})[0]
    assert grade is Grade.BAD
    assert "NOT_SET_ANYWHERE" in seen


def test_whoever_is_named_by_user_id_needs_no_scope(say):
    assert say(scopes=("commands",), people=[ALICE], signing_secret="s") == [
        (Grade.OK, "by HTTP; that the secret is the app's own is only proved by the first press")
    ]


@pytest.mark.parametrize("lacks", ["users:read", "users:read.email", "usergroups:read"])
def test_a_scope_that_is_needed_to_know_who_presses_is_named(say, lacks):
    scopes = [each for each in SCOPES if each != lacks]
    found = say(scopes=scopes, people=[BOB], signing_secret="s", groups={"S0APPROVERS": "approver"})
    told = next(seen for grade, seen in found if grade is Grade.BAD)
    assert told.startswith(f"the bot token lacks the scope {lacks} ")


def test_that_nobody_may_press_is_told(say):
    assert "nobody may press" in say(signing_secret="s")[-1][1]


def test_socket_mode_is_tried(say):
    assert (Grade.OK, "by Socket Mode") in say(people=[ALICE], app_token=APP_TOKEN)
    bad = say(people=[ALICE], app_token="xapp-wrong")
    assert bad[0][0] is Grade.BAD
    assert "invalid_auth" in bad[0][1]
    assert "xapp-wrong" not in str(bad)
