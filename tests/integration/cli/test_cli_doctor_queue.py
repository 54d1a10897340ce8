"""`doctor` says which routing rule leads to nobody, before anything is escalated."""

from __future__ import annotations

import socket

from tests.integration.cli.conftest import Shell


def seen(shell: Shell, grade: str) -> str:
    rows = shell("doctor", "--json").json
    return "\n".join(row["seen"] for row in rows if row["grade"] == grade)


def test_without_rules_it_says_whose_everything_is(shell: Shell) -> None:
    assert "every escalation is for team:on-call" in seen(shell, "ok")


def test_rules_that_lead_to_nobody_are_told(shell: Shell) -> None:
    shell.configure(
        escalation={
            "routing": [
                {"name": "gone", "match": {"service": "a"}, "route_to": "stranger"},
                {"name": "slack", "match": {"service": "b"}, "route_to": "slack:#sre"},
                {
                    "name": "rest",
                    "match": {"any": True},
                    "route_to": "team:sre",
                    "notification_channel": "email",
                },
            ]
        }
    )
    told = seen(shell, "bad")
    assert "the rule gone names stranger" in told
    assert "the rule slack tells a channel of Slack" in told
    assert "the rule rest tells by e-mail, and no server takes any" in told
    assert "the rule rest tells team:sre by e-mail, and nobody of them has an address" in told


def test_a_mail_server_that_is_not_there_is_told(shell: Shell) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        shell.configure(mail={"host": "127.0.0.1", "port": bound.getsockname()[1], "security": "none"})
        assert "cannot be spoken to" in seen(shell, "bad")
