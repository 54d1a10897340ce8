"""`match --source`: a mapping is tried before anything is posted."""

from __future__ import annotations

import json

import pytest

from tests.integration.cli.conftest import HELLO, Shell


@pytest.fixture
def mapped(shell: Shell) -> Shell:
    shell.runbook("hello", HELLO)
    mapping = {"title": "check.name", "id": "id", "labels": "tags"}
    shell.configure(
        sources={"generic": {"uptime": {"bearer_token": {"env": "NOT_SET_HERE"}, "mapping": mapping}}}
    )
    body = {"check": {"name": "hello world"}, "id": 7, "tags": ["env:prod"]}
    (shell.directory / "body.json").write_text(json.dumps(body))
    return shell


def test_what_a_mapping_reads_is_shown_above_what_it_matches(mapped: Shell) -> None:
    result = mapped("match", "--alert", "body.json", "--source", "uptime")
    assert result.code == 0
    assert "title: hello world" in result.out
    assert "decision: match" in result.out
    told = mapped("match", "--alert", "body.json", "--source", "uptime", "--json").json
    assert told["alert"]["labels"] == {"env": "prod"}
    assert told["decision"] == "match"


def test_a_mapping_that_does_not_fit_is_told_with_its_key(mapped: Shell) -> None:
    (mapped.directory / "body.json").write_text('{"check": {"name": "x"}}')
    result = mapped("match", "--alert", "body.json", "--source", "uptime")
    assert result.code == 2
    assert "mapping.id (id) finds nothing" in result.err


def test_a_plan_is_made_of_what_a_named_source_posts(mapped: Shell) -> None:
    result = mapped("plan", "hello", "--alert", "body.json", "--source", "uptime")
    assert result.code == 0
    assert mapped("run", "hello", "--alert", "body.json", "--source", "uptime", "--dry-run").code == 0
    assert mapped("plan", "hello", "--alert", "body.json").code == 2


def test_a_source_that_is_not_configured_is_told_with_those_that_are(mapped: Shell) -> None:
    result = mapped("match", "--alert", "body.json", "--source", "grafana")
    assert result.code == 2
    assert "configured are: uptime" in result.err
