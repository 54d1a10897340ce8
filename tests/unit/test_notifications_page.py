"""The pages about notifications and hand-overs say what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import parse
from agent.web.handoff_bodies import HandedAnswer, Package

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("page", ["notifications.md", "handoff.md"])
def test_every_configuration_on_the_page_is_one(page: str) -> None:
    shown = [yaml.safe_load(text) for text in blocks(page, "yaml")]
    assert shown
    for section in shown:
        section.pop("notifications", None)  # names a folder of the reader's own
        parse(section, path="config.yaml")


def test_the_documented_posts_are_what_the_agent_takes() -> None:
    package, answer = (json.loads(text) for text in blocks("handoff.md", "json"))
    assert Package.model_validate(package).alert.title == "Redis connection timeout"
    assert HandedAnswer.model_validate(answer).outcome == "resolved"


def test_the_documented_webhook_has_the_fields_that_are_sent() -> None:
    (text,) = blocks("notifications.md", "json")
    shown: dict[str, Any] = json.loads(text)
    assert set(shown) == {"type", "version", "key", "subject", "text", "facts", "links"}
