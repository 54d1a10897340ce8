"""`people` and `tokens`: who is known, and what opens the door; a secret is shown once, or never."""

from __future__ import annotations

import pytest

from agent.adapters import passwords
from agent.adapters.audit_chain import Intact, verify_chain
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from tests.integration.cli.conftest import Shell, words

PASSWORD = "a lantern in the fog"
PEOPLE = [
    {"name": "alice", "role": "approver", "email": "alice@example.com", "slack": "U012AB3CD"},
    {"name": "bob", "role": "viewer"},
]


@pytest.fixture
def shell(shell: Shell) -> Shell:
    shell.configure(people=PEOPLE)
    return shell


def store(shell: Shell) -> Store:
    found = Store(shell.database_url, SystemClock())
    found.migrate()
    return found


def told(shell: Shell) -> str:
    return "\n".join(str(each["text"]) for each in store(shell).audit_entries())


def make(shell: Shell, *more: str) -> dict[str, str]:
    result = shell("tokens", "create", "--for", "alice", "--role", "responder", "--json", *more)
    assert result.code == 0, result.err
    return dict(result.json)


def test_everybody_is_listed_with_their_role_and_how_they_come_in(shell: Shell) -> None:
    shell("people", "password", "alice", "--from-stdin", typed=f"{PASSWORD}\n")
    make(shell)
    result = shell("people")
    assert result.code == 0
    assert "alice approver password, token, never seen" in words(result.out)
    assert "bob viewer no way in, never seen" in words(result.out)
    rows = shell("people", "--json").json
    assert [(row["name"], row["comes_in_by"]) for row in rows] == [
        ("alice", ["password", "token"]),
        ("bob", []),
    ]


def test_a_password_is_kept_as_a_hash_and_never_shown(shell: Shell) -> None:
    result = shell("people", "password", "ALICE", "--from-stdin", typed=f"{PASSWORD}\r\n")
    assert result.code == 0
    assert "alice signs in with it" in result.out
    kept = store(shell).password_of("alice")
    assert kept is not None
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.is_right(PASSWORD, kept)
    assert PASSWORD not in result.out + result.err + told(shell)
    assert "set a password for alice" in told(shell)


def test_there_is_no_way_to_give_a_password_as_an_argument(shell: Shell) -> None:
    for arguments in (("alice", PASSWORD), ("alice", "--password", PASSWORD)):
        assert shell("people", "password", *arguments).code == 2
    assert shell("people", "password", "alice").code == 2  # nobody sits at this terminal
    assert store(shell).password_of("alice") is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "at least 12"), ("short", "at least 12"), ("ab" * 150, "at most 256"), ("a" * 20, "over and"),
        ("alicealicealice", "must not be the name"), ("alice@example.com", "must not be the name"),
        ("a lantern\x07 in the fog", "control characters"),
    ],
)  # fmt: skip
def test_a_password_that_is_easy_to_guess_is_not_taken(shell: Shell, given: str, why: str) -> None:
    result = shell("people", "password", "alice", "--from-stdin", typed=f"{given}\n")
    assert result.code == 2
    assert why in result.err
    assert store(shell).password_of("alice") is None


def test_somebody_who_is_not_configured_gets_nothing(shell: Shell) -> None:
    result = shell("people", "password", "carol", "--from-stdin", typed=f"{PASSWORD}\n")
    assert (result.code, "known: alice, bob" in result.err) == (2, True)
    assert shell("tokens", "create", "--for", "carol", "--role", "viewer").code == 2


def test_whoever_is_forgotten_has_nothing_left(shell: Shell) -> None:
    shell("people", "password", "alice", "--from-stdin", typed=f"{PASSWORD}\n")
    made = make(shell)
    assert shell("people", "forget", "alice").code == 0
    assert store(shell).password_of("alice") is None
    (row,) = shell("tokens", "list", "--json").json
    assert (row["id"], row["state"]) == (made["id"], "revoked")
    assert shell("people", "forget", "alice").code == 1
    assert "took the password, the sessions and the tokens of alice away" in told(shell)


def test_whoever_was_configured_once_is_named_until_they_are_forgotten(shell: Shell) -> None:
    shell("people", "password", "alice", "--from-stdin", typed=f"{PASSWORD}\n")
    shell.configure(people=PEOPLE[1:])
    assert "alice is not configured any more, and can do nothing" in words(shell("people").out)
    assert shell("people", "forget", "alice").code == 0
    assert "alice" not in shell("people").out


def test_a_token_is_shown_once_and_kept_as_a_hash(shell: Shell) -> None:
    made = make(shell, "--name", "deploy job", "--expires", "8w")
    assert made["token"].startswith("oat_")
    assert len(made["token"]) > 40
    listed = shell("tokens", "list")
    assert made["id"] in listed.out
    assert "“deploy job”" in listed.out
    assert made["token"] not in listed.out + shell("tokens", "list", "--json").out + told(shell)
    shown = shell("tokens", "create", "--for", "alice", "--role", "viewer")
    assert shown.out.startswith("oat_")
    assert "it is not shown again" in shown.out


def test_a_token_has_never_more_than_its_owner(shell: Shell) -> None:
    result = shell("tokens", "create", "--for", "bob", "--role", "approver")
    assert (result.code, "bob is a viewer" in result.err) == (2, True)


@pytest.mark.parametrize("expires", ["", "0d", "90", "d", "-1d", "soon", "99999d", "９d"])
def test_an_end_that_is_none_is_refused(shell: Shell, expires: str) -> None:
    result = shell("tokens", "create", "--for", "alice", "--role", "viewer", "--expires", expires)
    assert (result.code, "such as 90d, or never" in result.err) == (2, True)


def test_a_revoked_token_is_revoked_once(shell: Shell) -> None:
    made = make(shell, "--expires", "never")
    assert shell("tokens", "revoke", made["id"]).code == 0
    assert shell("tokens", "revoke", made["id"]).code == 1
    assert shell("tokens", "revoke", "token-0").code == 1
    assert f"revoked the token {made['id']}" in told(shell)


def test_all_of_it_stands_in_the_chain(shell: Shell) -> None:
    shell("people", "password", "alice", "--from-stdin", typed=f"{PASSWORD}\n")
    shell("tokens", "revoke", make(shell)["id"])
    shell("people", "forget", "alice")
    outcome = verify_chain(store(shell).audit_entries())
    assert isinstance(outcome, Intact)
    assert outcome.entries == 4
