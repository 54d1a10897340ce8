"""The page about Jira: its configuration is one, the published searches stand on it."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from agent.config import parse
from agent.config.jira import FIELD_NAMES, Jira
from agent.domain.queue import Action, Origin, Rank

PAGE = (Path(__file__).parents[2] / "docs" / "jira.md").read_text(encoding="utf-8")

PUBLISHED = [
    "project = AIGOV AND status != Closed ORDER BY priority DESC",
    "project = AIGOV AND created >= -30d ORDER BY created DESC",
    'project = AIGOV AND "Time to Resolution" = breached()',
    'project = AIGOV AND resolution = "False Positive" AND created >= -30d',
]


def section(**more: object) -> Jira:
    given = {"url": "https://example.atlassian.net", "api_token": {"env": "JIRA_API_TOKEN"}, **more}
    found = parse({"jira": given}, path="config.yaml").jira
    assert found is not None
    return found


def test_what_it_says_to_write_can_be_written() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    first, second = (yaml.safe_load(dedent(text)) for text in examples)
    config = parse(first, path="config.yaml")
    assert config.jira is not None
    answered = section(**second["jira"])
    assert answered.answer("", "False Positive").of(Origin.AGENT) is Action.FALSE_ALARM
    assert answered.answer("Redacted", "Resolved").of(Origin.KEEPTRUSTS) is Action.REDACT_AND_ALLOW
    assert answered.answer("Nobody knows", "Resolved").of(Origin.KEEPTRUSTS) is Action.BLOCK


@pytest.mark.parametrize("search", PUBLISHED)
def test_every_published_search_stands_on_the_page(search: str) -> None:
    assert search in PAGE.splitlines()


@pytest.mark.parametrize(
    "words",
    ["Project Settings → SLA", "*Time to First Response*", "*Time to Resolution*", "Automation",
     "#ai-critical", "Pie chart", "Created vs. Resolved", "SLA Success Rate", "Recently Created",
     *FIELD_NAMES.values()],
)  # fmt: skip
def test_what_is_jiras_own_is_said(words: str) -> None:
    assert words in PAGE


def test_priorities_are_the_published_ones() -> None:
    assert [section().priorities.of(rank) for rank in Rank] == ["Highest", "High", "Medium", "Low"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"url": "http://jira.example.com"}, "https"),
        ({"fields": {"model": "10102"}}, "customfield_"),
        ({"project": "ai gov"}, "project"),
        ({"answers": {"Done": {"keeptrusts": "fixed_by_hand"}}}, "allow or block or redact_and_allow"),
        ({"otherwise": {"agent": "ran_runbook"}}, "fixed_by_hand or false_alarm"),
        ({"closing": {"finish": []}}, "finish"),
    ],
)
def test_what_cannot_work_is_refused_with_words(more: dict[str, object], words: str) -> None:
    with pytest.raises(Exception, match=re.escape(words)):
        section(**more)
