"""What `doctor` says of the console and of people."""

from __future__ import annotations

import pytest

from agent.simulators.oidc import Lies, OidcSimulator
from tests.integration.cli.conftest import Shell

PEOPLE = [
    {"name": "alice", "role": "approver", "email": "alice@example.com"},
    {"name": "bob", "role": "viewer"},
]


def check(shell: Shell, name: str) -> tuple[str, str]:
    """Grade and words of one check."""
    (row,) = [each for each in shell("doctor", "--json").json if each["name"] == name]
    return row["grade"], f"{row['seen']} → {row['fix']}"


def test_somebody_without_any_way_in_is_named_with_the_way_to_mend_it(shell: Shell) -> None:
    shell.configure(people=PEOPLE)
    shell("people", "password", "alice", "--from-stdin", typed="a lantern in the fog\n")
    assert check(shell, "people") == (
        "note", "without any way in: bob → oncall-agent people password bob",
    )  # fmt: skip
    shell("tokens", "create", "--for", "bob", "--role", "viewer")
    assert check(shell, "people")[0] == "ok"


def test_a_password_is_no_way_in_where_the_console_is_off(shell: Shell) -> None:
    shell.configure(people=PEOPLE[:1], console={"enabled": False})
    shell("people", "password", "alice", "--from-stdin", typed="a lantern in the fog\n")
    assert "without any way in: alice" in check(shell, "people")[1]
    assert check(shell, "console") == ("ok", "off → ")


def test_nobody_at_all_is_said(shell: Shell) -> None:
    assert check(shell, "people")[0] == "note"


@pytest.mark.parametrize(
    ("host", "url", "grade"),
    [
        ("127.0.0.1", "http://localhost:8080", "ok"),
        ("0.0.0.0", "https://oncall.example.com", "ok"),
        ("0.0.0.0", "http://localhost:8080", "ok"),
        ("0.0.0.0", "http://oncall.example.com", "bad"),
    ],
)
def test_passwords_must_not_cross_the_network_in_the_clear(
    shell: Shell, host: str, url: str, grade: str
) -> None:
    shell.configure(server={"host": host, "public_url": url}, console={"enabled": True})
    assert check(shell, "console")[0] == grade


def test_a_provider_that_is_away_or_another_one_is_told(shell: Shell) -> None:
    with OidcSimulator() as provider:
        oidc = {"issuer": provider.url, "client_id": provider.client_id}
        shell.configure(people=PEOPLE[:1], console={"oidc": oidc})
        assert check(shell, "single sign-on")[0] == "ok"
        assert check(shell, "people")[0] == "ok"
        provider.lies = Lies(metadata={"issuer": "https://other.example"})
        assert "calls itself 'https://other.example'" in check(shell, "single sign-on")[1]
    grade, words = check(shell, "single sign-on")
    assert (grade, "cannot be read" in words) == ("bad", True)
