"""`doctor` says of each source whether anything is taken from it, and what proves it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.cli.conftest import HELLO, Shell


@pytest.mark.parametrize(
    ("section", "grade", "words"),
    [
        ({"username": "am", "password": {"env": "PAGERDUTY_API_TOKEN"}}, "ok", "webhooks with a password"),
        ({"bearer_token": {"env": "PAGERDUTY_API_TOKEN"}}, "ok", "webhooks with a bearer token"),
        ({}, "bad", "every webhook is refused"),
        ({"allow_unsigned_webhooks": True}, "note", "webhooks that prove nothing are accepted"),
    ],
)
def test_a_source_is_told_with_what_proves_it(
    shell: Shell, section: dict[str, Any], grade: str, words: str
) -> None:
    shell.runbook("hello", HELLO)
    shell.configure(sources={"alertmanager": section})
    rows = shell("doctor", "--json").json
    (row,) = [each for each in rows if each["name"] == "source alertmanager"]
    assert (row["grade"], words in row["seen"]) == (grade, True)


def test_where_alerts_come_from_elsewhere_pagerduty_may_be_there_for_pages_alone(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    alone = {"bearer_token": {"env": "PAGERDUTY_API_TOKEN"}}
    shell.configure(pagerduty={}, sources={"alertmanager": alone})
    rows = shell("doctor", "--json").json
    (row,) = [each for each in rows if each["name"] == "pagerduty webhook"]
    assert row["grade"] == "note"
