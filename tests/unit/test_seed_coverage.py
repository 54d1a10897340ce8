"""The page that holds the published queue against ours: its quotes are quotes, its tests are tests."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "seed-coverage.md"
SEED = ROOT.parent / "shared" / "seeds" / "003_85f9a806c20de2a5.txt"
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| it says")
]

#: Lines of the document that are titles, heads of tables or of examples, and claim nothing.
TITLES = {
    "Use this page when", "Primary audience", "What You'll Accomplish", "The Escalation Queue",
    "FieldDescription", "Claim-Review-Resolve Workflow", "Step 1: Claim", "Step 2: Review", "Step 3: Resolve",
    "ActionEffect", "SLA Tracking", "SeverityDefault SLADescription", "SLA Reporting", "Routing Rules",
    "Rule Criteria", "Rule Priority", "Notification Channels", "Escalation Analytics",
    "Turning Insights into Action", "Business Outcomes", "OutcomeHow Escalation Management Delivers It",
    "Next steps", "For AI systems", "For engineers", "For leaders",
}  # fmt: skip

#: Of the page it stood on: where else to read.
ELSEWHERE = ("Best next pages:",)


@cache
def names_in(path: str) -> list[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def quotes(row: tuple[str, ...]) -> list[str]:
    return [piece.strip() for piece in row[0].split(" … ")]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:50] for row in ROWS])
def test_every_sentence_has_a_place_and_tests_that_are_there(row: tuple[str, ...]) -> None:
    _, where, proved = row
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", proved)
    assert where
    assert named
    assert [f"{path}::{name}" for path, name in named if names_in(path).count(name) != 1] == []


@pytest.mark.skipif(not SEED.exists(), reason="the document is not beside this checkout")
def test_every_quote_stands_in_the_document() -> None:
    text = " ".join(SEED.read_text(encoding="utf-8").split())
    assert [quote for row in ROWS for quote in quotes(row) if quote not in text] == []


@pytest.mark.skipif(not SEED.exists(), reason="the document is not beside this checkout")
def test_every_word_of_the_document_is_quoted() -> None:
    lines = [" ".join(line.split()) for line in SEED.read_text(encoding="utf-8").splitlines()]
    told = lines[next(at for at, line in enumerate(lines) if line.startswith("Not every AI decision")) :]
    quoted = sorted((quote for row in ROWS for quote in quotes(row)), key=len, reverse=True)
    claims = [line for line in told if line and line not in TITLES and not any(e in line for e in ELSEWHERE)]
    left = [without(line, quoted) for line in claims]
    assert [words for words in left if re.search(r"\w", words)] == []


def without(line: str, quoted: list[str]) -> str:
    """What is left of a line; the number of a list's item and a person's address claim nothing."""
    line = re.sub(r'^[0-9]\. |^reviewer: "\S+@\S+"', "", line)
    for quote in quoted:
        line = line.replace(quote, " ")
    return line.strip()
