"""docs/outages.md says what the outage tests run, and each of its rows is run by one of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.outage_page import PAGE, page
from tests.acceptance.outage_rows import SECTIONS, matches

TESTS = Path(__file__).parents[1]

#: Rows that another component's tests prove.
ELSEWHERE = {"clock-watchdog": "test_a_clock_that_is_set_anew_gives_everybody_the_time_to_end_by_himself"}


def test_the_page_is_what_the_rows_say() -> None:
    assert PAGE.read_text() == page(), "run `make outage-table`"


def test_every_row_is_proved_by_a_test() -> None:
    text = "".join(path.read_text() for path in (TESTS / "acceptance").glob("test_outage_*.py"))
    proved = set(re.findall(r'"((?:clock|stop|database|audit|postgresql)-[a-z-]+)"', text)) | ELSEWHERE.keys()
    rows = {row.id for section in SECTIONS.values() for row in section}
    assert rows - proved == set()
    assert proved - rows == set()


@pytest.mark.parametrize("name", ELSEWHERE.values())
def test_what_is_proved_elsewhere_is(name: str) -> None:
    assert any(f"def {name}(" in path.read_text() for path in TESTS.rglob("test_*.py"))


@pytest.mark.parametrize(
    ("pattern", "text", "is_it"),
    [
        ("cannot be reached (<why>)", "cannot be reached (connection refused)", True),
        ("cannot be reached (<why>)", "cannot be reached", False),
        ("within <n> s", "within 0.25 s", True),
        ("within <n> s", "within 0.25 s of it", False),
        ("a.c", "abc", False),
        ("it is back<lines>", "it is back\n    and more", True),
    ],
)
def test_a_rows_text_matches_exactly_but_for_its_gaps(pattern: str, text: str, is_it: bool) -> None:
    assert matches(pattern, text) is is_it
