"""The page that holds the published documents against what is here: its quotes are quotes, its tests tests.

Each document has a part of the page under a heading of the first level. Its rows quote all of it, but for
titles and the frame of listings.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "seed-coverage.md"
SEEDS = ROOT.parent / "shared" / "seeds"

Row = tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """A published document: the heading of its part of the page, its file, and where its text begins.

    `titles` are lines that are titles, heads of tables or frames of listings, and claim nothing; `elsewhere`
    begins lines that say where else to read.
    """

    heading: str
    file: str
    begins: str
    titles: frozenset[str]
    elsewhere: tuple[str, ...] = ("Best next pages:",)

    @property
    def path(self) -> Path:
        return SEEDS / self.file

    @property
    def rows(self) -> list[Row]:
        _, _, part = PAGE.read_text(encoding="utf-8").partition(f"# {self.heading}\n")
        part = re.split(r"^# ", part, maxsplit=1, flags=re.MULTILINE)[0]
        lines = [line for line in part.splitlines() if line.startswith("| ")]
        return [
            tuple(cell.strip().replace(r"\|", "|") for cell in line.strip("|").split(" | "))
            for line in lines
            if not line.startswith("| it says")
        ]


QUEUE = Document(
    "The published queue, sentence by sentence",
    "003_85f9a806c20de2a5.txt",
    "Not every AI decision",
    frozenset({
        "Use this page when", "Primary audience", "What You'll Accomplish", "The Escalation Queue",
        "FieldDescription", "Claim-Review-Resolve Workflow", "Step 1: Claim", "Step 2: Review",
        "Step 3: Resolve", "ActionEffect", "SLA Tracking", "SeverityDefault SLADescription", "SLA Reporting",
        "Routing Rules", "Rule Criteria", "Rule Priority", "Notification Channels", "Escalation Analytics",
        "Turning Insights into Action", "Business Outcomes", "OutcomeHow Escalation Management Delivers It",
        "Next steps", "For AI systems", "For engineers", "For leaders",
    }),
)  # fmt: skip

JIRA = Document(
    "Tickets in Jira, sentence by sentence",
    "002_e81c951932b3abcb.txt",
    "Connecting Keeptrusts escalations to Jira",
    frozenset({
        "Use this page when", "Primary audience", "Architecture overview", "Prerequisites",
        "Jira project setup", "Create an AI governance project", "Issue types", "TypeUsage",
        "Webhook-to-Jira middleware", "AWS Lambda implementation", "Configure Keeptrusts webhook",
        "Priority mapping", "Keeptrusts ActionPolicy CategoryJira PrioritySLA", "SLA tracking",
        "Jira SLA configuration", "Automation rules", "Action:", "Resolution workflow", "Status transitions",
        "Resolution automation", "Reporting dashboard", "Jira JQL queries", "Dashboard gadgets",
        "GadgetConfiguration", "Troubleshooting", "IssueCauseFix", "Next steps", "For AI systems",
        "For engineers", "For leaders", "export async function handler(event) {",
        "const body = JSON.parse(event.body);", "const issuePayload = {", "fields: {", "headers: {",
        "return {", "body: JSON.stringify({", "-d '{",
    }),
)  # fmt: skip

PAGERDUTY = Document(
    "Escalations and PagerDuty, sentence by sentence",
    "000_3e264bb2f63b525d.txt",
    "When AI governance policies trigger",
    frozenset({
        "Use this page when", "Primary audience", "Architecture overview", "Prerequisites",
        "PagerDuty service setup", "Create a dedicated service", "Escalation policy",
        "Configure Keeptrusts webhook", "Webhook payload transformation", "-d '{", "Severity classification",
        "On-call routing by policy type", "Runbook automation", "Runbook template", "## Resolve",
        "SLA tracking", "Auto-resolution", "Troubleshooting", "IssueCauseFix", "For AI systems",
        "For engineers", "For leaders", "Next steps",
    }),
)  # fmt: skip

AI_INCIDENTS = Document(
    "Incidents of AI systems, sentence by sentence",
    "001_a79017cf45210274.txt",
    "AI-governed systems introduce failure modes",
    frozenset({
        "Use this page when", "Primary audience", "Gateway Health Checks", "Monitoring Configuration",
        "Incident Detection Signals", "Escalation Workflows", "Monitoring the Escalation Queue",
        "Console Incident View", "Events Dashboard", "Escalations Page", "Runbook Automation",
        "Gateway Restart", "Policy Rollback", "Emergency Policy Bypass", "Post-Mortem with Event Data",
        "Gathering Evidence", "Analysis Queries", "Post-Mortem Template", "Key Takeaways", "For AI systems",
        "For engineers", "For leaders", "Next steps", "#!/bin/bash", "set -euo pipefail", "else", "fi",
    }),
)  # fmt: skip

DOCUMENTS = [QUEUE, JIRA, PAGERDUTY, AI_INCIDENTS]

ROWS = [(document, row) for document in DOCUMENTS for row in document.rows]
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=[each.file[:3] for each in DOCUMENTS])


@cache
def names_in(path: str) -> list[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def quotes(row: Row) -> list[str]:
    return [piece.strip() for piece in row[0].split(" … ")]


def needs(document: Document) -> None:
    if not document.path.exists():
        pytest.skip("the document is not beside this checkout")


def test_every_part_of_the_page_is_of_a_document() -> None:
    headings = re.findall(r"^# (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(headings) == sorted(document.heading for document in DOCUMENTS)


@pytest.mark.parametrize(
    ("document", "row"), ROWS, ids=[f"{document.file[:3]} {row[0][:50]}" for document, row in ROWS]
)
def test_every_sentence_has_a_place_and_tests_that_are_there(document: Document, row: Row) -> None:
    assert document.rows
    _, where, proved = row
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", proved)
    assert where
    assert named
    assert [f"{path}::{name}" for path, name in named if names_in(path).count(name) != 1] == []


@EACH
def test_every_quote_stands_in_the_document(document: Document) -> None:
    needs(document)
    text = " ".join(document.path.read_text(encoding="utf-8").split())
    assert [quote for row in document.rows for quote in quotes(row) if quote not in text] == []


@EACH
def test_every_word_of_the_document_is_quoted(document: Document) -> None:
    needs(document)
    lines = [" ".join(line.split()) for line in document.path.read_text(encoding="utf-8").splitlines()]
    told = lines[next(at for at, line in enumerate(lines) if line.startswith(document.begins)) :]
    quoted = sorted((quote for row in document.rows for quote in quotes(row)), key=len, reverse=True)
    claims = [line for line in told if line and line not in document.titles]
    claims = [line for line in claims if not any(each in line for each in document.elsewhere)]
    left = [without(line, quoted) for line in claims]
    assert [words for words in left if re.search(r"\w", words)] == []


def without(line: str, quoted: list[str]) -> str:
    """What is left of a line; the number of a list's item and a person's address claim nothing."""
    line = re.sub(r'^[0-9]\. |^reviewer: "\S+@\S+"', "", line)
    for quote in quoted:
        line = line.replace(quote, " ")
    return line.strip()
