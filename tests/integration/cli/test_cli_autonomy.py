"""`oncall-agent autonomy`: what is listed, and a human's word on how far a runbook goes alone."""

from __future__ import annotations

import pytest

from agent.cli import approvals
from tests.integration.cli.conftest import HELLO, Shell, words
from tests.unit.pipeline.conftest import World

AUTO = HELLO.replace("owner: platform", "owner: platform\nautonomy: auto")


def test_it_lists_level_bound_and_evidence(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    shell.runbook("auto", AUTO.replace("Say Hello", "Go"))
    (auto, hello) = shell("autonomy", "--json").json
    assert (hello["runbook"], hello["level"], hello["bound"]) == ("hello", "approve", "auto")
    assert (auto["level"], auto["bound"], auto["evidence"]) == ("auto", "auto", [])
    out = words(shell("autonomy").out)
    assert "runbook level by its file in a row last runs proposed why" in out
    assert "hello approve auto 0 of 5" in out


def test_a_human_demotes_and_promotes_with_a_reason(shell: Shell, world: World) -> None:
    shell.runbook("auto", AUTO)
    down = shell("autonomy", "demote", "auto", "--reason", "new cluster")
    assert (down.code, "auto goes as far as approve" in down.out) == (0, True)
    (row,) = shell("autonomy", "--json").json
    assert (row["level"], row["why"]) == ("approve", "new cluster")
    up = shell("autonomy", "promote", "auto", "--reason", "it works", "--json")
    assert up.json["level"] == "auto"
    assert [each.kind.value for each in world.store.timeline("runbook-auto")] == ["autonomy", "autonomy"]


def test_what_its_file_does_not_allow_is_a_finding(shell: Shell) -> None:
    shell.runbook("hello", HELLO.replace("- max_cache", "- requires_human_approval: true\n- max_cache"))
    result = shell("autonomy", "promote", "hello", "--reason", "please")
    assert result.code == 1
    assert "may go as far as approve by its file and no further" in result.err


def test_a_reason_and_a_known_runbook_are_needed(shell: Shell) -> None:
    shell.runbook("hello", HELLO)
    assert shell("autonomy", "promote", "hello").code == 2
    assert shell("autonomy", "promote", "hello", "--reason", " ").code == 2
    assert "known runbooks: hello" in shell("autonomy", "promote", "helo", "--reason", "x").err


def test_a_responder_demotes_and_does_not_promote(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.configure(people=[{"name": "dave", "role": "responder"}])
    shell.runbook("auto", AUTO)
    monkeypatch.setattr(approvals, "operator", lambda: "dave")
    assert shell("autonomy", "demote", "auto", "--reason", "x").code == 0
    refused = shell("autonomy", "promote", "auto", "--reason", "x")
    assert (refused.code, "takes the role approver" in refused.err) == (1, True)
