"""The page that a security engineer reads: each claim names a test, and that test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_the_page_names_a_test_for_every_claim() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "proved by" not in line]
    claims = [row for row in rows if "**" not in row and "threat" not in row and "---" not in row]
    assert claims
    assert [row for row in claims if "::test_" not in row] == []


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_named_test_is_there(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1
    assert not any("skip" in ast.dump(each) or "xfail" in ast.dump(each) for each in found[0].decorator_list)
