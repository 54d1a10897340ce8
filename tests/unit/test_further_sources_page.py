"""What docs/sources-further.md shows is what the agent reads."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from agent.adapters.generic_webhook import GenericSource
from agent.config import Config, parse
from agent.domain.alert import Severity
from agent.ports.sources import Read

PAGE = Path(__file__).parent.parent.parent / "docs/sources-further.md"


def fences(kind: str) -> list[str]:
    return [
        each.content
        for each in MarkdownIt().parse(PAGE.read_text())
        if each.type == "fence" and each.info == kind
    ]


def configured() -> Config:
    sources: dict[str, object] = {}
    for text in fences("yaml"):
        sources |= yaml.safe_load(text)["sources"]
    return parse({"sources": sources}, path="config.yaml")


def test_the_sections_that_are_shown_are_sections() -> None:
    names = {name for name, _ in configured().sources.each()}
    assert names == {"grafana", "sns", "opsgenie", "uptime"}


def test_the_mapping_that_is_shown_reads_the_body_that_is_shown() -> None:
    (body,) = fences("json")
    read = GenericSource("uptime", configured().sources.generic["uptime"]).read(body.encode(), {})
    assert isinstance(read, Read)
    alert = read.events[0].alert
    assert alert is not None
    assert (alert.title, alert.service, alert.severity) == ("checkout is down", "checkout", Severity.ERROR)
    assert alert.dedup_key == str(json.loads(body)["checks"][0]["check"]["id"])
    assert dict(alert.labels) == {"service": "checkout", "region": "eu"}


def test_the_source_clears_by_itself_within_what_the_page_shows() -> None:
    sources = configured().sources
    assert sources.clear_within_s("grafana") == 600
    assert sources.clear_within_s("sns") == 900
    assert sources.clear_within_s("uptime") == 300
    assert sources.clear_within_s("opsgenie") is None
