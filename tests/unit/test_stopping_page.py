"""The page that a tired human reads: commands and calendar are real, each claim has its test."""

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
from agent.web.openapi import OPENAPI

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "stopping.md").read_text(encoding="utf-8")
FENCES = [(token.info, token.content) for token in MarkdownIt().parse(PAGE) if token.type == "fence"]
COMMANDS = [
    line.removeprefix("$ oncall-agent ").partition("  #")[0].strip()
    for info, content in FENCES
    if info == "console"
    for line in content.splitlines()
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_command_of_the_page_is_one(typed: str) -> None:
    name, *arguments = shlex.split(typed)
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    with command.make_context(name, list(arguments)) as context:
        assert context.params


def test_the_calendar_of_the_page_is_one() -> None:
    (calendar,) = [content for info, content in FENCES if info == "yaml"]
    assert len(parse(yaml.safe_load(calendar), path="docs").freezes()) == 3


def test_the_addresses_of_the_page_are_those_of_the_api() -> None:
    shown = set(re.findall(r"^(GET|POST) +(/api/\S+)", PAGE, flags=re.MULTILINE))
    served = {(method.upper(), path) for path, methods in OPENAPI["paths"].items() for method in methods}
    assert shown <= served
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    told = set(re.findall(r"^(GET|POST) +(/api/\S+)", pages, flags=re.MULTILINE))
    assert {each for each in served if each[0] == "POST"} <= told


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_named_test_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)].count(name) == 1
