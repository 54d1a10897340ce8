"""The page of the queue: its commands, settings and requests are ones that the agent takes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml
from markdown_it import MarkdownIt
from pydantic import BaseModel

from agent.cli.app import app
from agent.config import parse
from agent.domain.queue import Action
from agent.web import queue_bodies

PAGE = (Path(__file__).parents[2] / "docs" / "escalations.md").read_text(encoding="utf-8")
FENCES = [(token.info, token.content) for token in MarkdownIt().parse(PAGE) if token.type == "fence"]
COMMANDS = [
    line.removeprefix("$ oncall-agent ").partition("  #")[0].strip()
    for info, content in FENCES
    if info == "console"
    for line in content.replace("\\\n", " ").splitlines()
]
REQUESTS = re.findall(r"^POST /api/v1/escalations/\{id\}/(\w+) +(\{.*\})$", PAGE, flags=re.MULTILINE)
BODIES: dict[str, type[BaseModel]] = {
    "claim": queue_bodies.Claim,
    "release": queue_bodies.Release,
    "reassign": queue_bodies.Reassign,
    "further": queue_bodies.Further,
    "resolve": queue_bodies.Resolve,
}


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_command_of_the_page_of_the_queue_is_one(typed: str) -> None:
    command = typer.main.get_command(app)
    words = shlex.split(typed)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    with command.make_context(typed, words) as context:
        assert context.command is command


def test_every_deed_is_asked_for_by_a_body_that_is_taken() -> None:
    assert sorted(name for name, _ in REQUESTS) == sorted(BODIES)
    for name, body in REQUESTS:
        assert BODIES[name].model_validate(json.loads(body))


def test_what_another_system_sends_is_taken_as_it_is_shown() -> None:
    (sent,) = [content for info, content in FENCES if info == "json"]
    assert queue_bodies.Receive.model_validate(json.loads(sent)).trigger == "phi-detection"


def test_the_rules_of_the_page_are_ones() -> None:
    (settings,) = [content for info, content in FENCES if info == "yaml"]
    config = parse(yaml.safe_load(settings), path="docs")
    assert [rule.name for rule in config.escalation.routing] == ["critical", "payments", "nights", "rest"]


def test_the_page_names_every_action() -> None:
    settling = set(Action) - {Action.ESCALATE_FURTHER}
    assert [action.value for action in settling if f"`{action.value}`" not in PAGE] == []
