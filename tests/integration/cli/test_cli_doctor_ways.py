"""`doctor` says of hooks, templates and other agents what is wrong with them, and posts nothing."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.conftest import Shell
from tests.integration.cli.test_cli_doctor_queue import seen


def test_hooks_that_no_rule_names_and_agents_are_told(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-key")
    secret = {"file": str(tmp_path / "key")}
    shell.configure(
        hooks={"portal": {"kind": "webhook", "url": "https://portal.example.com", "secret": secret}},
        handoff={
            "name": "tier-1",
            "targets": {"platform": {"url": "https://platform.example.com", "secret": secret}},
        },
    )
    assert "no rule tells portal" in seen(shell, "note")
    assert "this agent is tier-1; asks platform (until 0:15:00); takes from nobody" in seen(shell, "ok")


def test_an_address_that_may_not_be_spoken_to_is_told_and_not_shown(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "flow").write_text("http://canary.example.com/flow")
    shell.configure(hooks={"ops": {"kind": "teams", "url": {"file": str(tmp_path / "flow")}}})
    told = seen(shell, "bad")
    assert "hooks.ops.url" in told
    assert "canary" not in told
