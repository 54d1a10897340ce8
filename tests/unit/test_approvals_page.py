"""The pages on approvals and autonomy show what is real, and each claim has its test."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from markdown_it import MarkdownIt

from agent.cli.app import app
from agent.config import parse
from agent.library import Parsed
from agent.library import parse as parse_runbook
from agent.web.openapi import OPENAPI
from tests.unit.pipeline.conftest import runbook, step

ROOT = Path(__file__).parents[2]
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("approvals", "autonomy")
}
TEXT = "\n".join(PAGES.values())
FENCES = [(token.info, token.content) for token in MarkdownIt().parse(TEXT) if token.type == "fence"]
COMMANDS = [
    line.removeprefix("$ oncall-agent ").partition("  #")[0].strip()
    for info, content in FENCES
    if info == "console"
    for line in content.splitlines()
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_command_of_the_pages_is_one(typed: str) -> None:
    command = typer.main.get_command(app)
    words = shlex.split(typed)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    with command.make_context(typed, words) as context:
        assert context.params


@pytest.mark.parametrize(
    "section", [content for info, content in FENCES if info == "text" and "##" in content]
)
def test_every_section_of_the_pages_is_understood(section: str) -> None:
    text = runbook(limits="- max_cache_operations: 1", steps=step(1, "redis-cli PING"))
    name = section.splitlines()[0]
    whole = (
        text.replace("## Blast Radius\n- max_cache_operations: 1\n", section)
        if "Blast" in name
        else text + section
    )
    assert isinstance(parse_runbook(whole, path="a.md"), Parsed)


@pytest.mark.parametrize("settings", [content for info, content in FENCES if info == "yaml"])
def test_every_setting_of_the_pages_is_one(settings: str) -> None:
    assert parse(yaml.safe_load(settings), path="docs").approval


def test_the_addresses_of_the_pages_are_those_of_the_api() -> None:
    shown = set(re.findall(r"^(GET|POST) +(/api/\S+)", TEXT, flags=re.MULTILINE))
    served = {(method.upper(), path) for path, methods in OPENAPI["paths"].items() for method in methods}
    assert len(shown) == 5
    assert shown <= served


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_named_test_of_the_pages_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)].count(name) == 1
