"""docs/outages.md, from the rows that the tests run: `python -m tests.acceptance.outage_page` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.acceptance.outage_faults import Fault
from tests.acceptance.outage_rows import NEIGHBOURS, SECTIONS, Neighbour, Row

PAGE = Path(__file__).parents[2] / "docs" / "outages.md"

_HEAD = """# When a neighbour is away

Written by `make outage-table` from the rows that `tests/acceptance/test_outage_*.py` run: change those, and
not this page.

An incident is never held up by Slack, by notes, or by a page that is not taken: what is to be told is
written down with the decision itself, and senders of their own deliver it, in order for each incident, for
as long as it takes. Whatever a neighbour does, one request to it is over in time: from looking its name up
to the last byte of its answer it takes no longer than its timeout, also when the answer comes one byte at a
time. A wait that a vendor asks for is honoured up to five minutes, and for pages up to thirty seconds.

`<…>` stands for what differs from case to case.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_neighbours(), *_sections()]).rstrip() + "\n"


def _neighbours() -> Iterator[str]:
    yield "## Neighbours that speak HTTP\n"
    for neighbour in NEIGHBOURS:
        yield f"### {neighbour.name}\n"
        yield f"- **You see**: {neighbour.sees}.\n- **Tried again**: {_retried(neighbour)}."
        yield f"- **Escalated**: {neighbour.escalated}.\n- **Lost**: {neighbour.lost}."
        yield f"- **Bounded**: {neighbour.bounded}.\n"
        yield from _errors(neighbour)
        yield ""


def _retried(neighbour: Neighbour) -> str:
    if not neighbour.waits:
        return neighbour.retried
    waits = ", ".join(f"{wait:g}" for wait in neighbour.waits)
    limited = f"{neighbour.limited_wait_s:g} s when it asks for an hour"
    return f"{neighbour.retried}; after {waits}, … s ({limited})"


def _errors(neighbour: Neighbour) -> Iterator[str]:
    """Faults with the same words share a line."""
    yield "| the neighbour | the error, in the log and wherever it is told |\n| --- | --- |"
    words = {fault: neighbour.errors[fault] for fault in Fault if fault in neighbour.errors}
    for error, faults in groupby(words, key=lambda fault: words[fault]):
        yield f"| {'; '.join(fault.value for fault in faults)} | `{error}` |"


def _sections() -> Iterator[str]:
    for title, rows in SECTIONS.items():
        yield f"## {title}\n"
        yield "| what happens | you see | tried again | escalated | lost |\n| --- | --- | --- | --- | --- |"
        yield from map(_line, rows)
        yield ""


def _line(row: Row) -> str:
    shown = f"`{row.told}`: {row.sees}" if row.told else row.sees
    return f"| {row.what} | {shown} | {row.retried} | {row.escalated} | {row.lost} |"


if __name__ == "__main__":
    PAGE.write_text(page())
