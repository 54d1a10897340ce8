"""One incident or escalation out of the archives, as a store of its own: every view of it is as it was."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.adapters import archive_file, archive_rows
from agent.adapters.archive_file import Line
from agent.adapters.store import Store
from agent.domain.errors import StoreError
from agent.domain.queue import stories
from agent.ports import Clock


@contextlib.contextmanager
def archived(folder: Path, name: str, clock: Clock) -> Iterator[Store | None]:
    """A store with this one alone, by its id, its escalation's or the source's; None if no archive has it."""
    found = _find(folder, name)
    if found is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="oncall-agent-") as place:
        store = Store(f"sqlite:///{place}/archived.db", clock)
        store.migrate()
        with store.database.writing() as connection:
            archive_rows.restore(connection, found)
        try:
            yield store
        finally:
            store.close()


def _find(folder: Path, name: str) -> Line | None:
    """The newest archive first: what was archived twice is whole in the later one."""
    names = stories(name)
    for path in sorted(folder.glob("incidents-*.jsonl.gz"), key=_written_at, reverse=True):
        with contextlib.suppress(StoreError):  # `audit verify --archives` is who finds a damaged one
            for line in archive_file.read(path):
                if archive_rows.story_of(line) in names or _is_at_source(line, name):
                    return line
    return None


def _is_at_source(line: Line, name: str) -> bool:
    return bool(line["type"] == "incident" and line["incident"]["source_id"] == name)


def _written_at(path: Path) -> int:
    return path.stat().st_mtime_ns
