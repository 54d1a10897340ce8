"""The audit log as a file: the timeline's chain, one JSON line an entry, appended as it grows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from agent.adapters.audit_chain import Intact, Tampered, verify_chain
from agent.adapters.store import Store
from agent.domain.errors import StoreError

_BATCH = 500


class AuditLog:
    """Writes what the database's chain has and the file has not yet; safe to start again at any point."""

    def __init__(self, path: Path, store: Store) -> None:
        self.path = path
        self._store = store
        self._written: int | None = None

    def catch_up(self) -> int:
        """Append new entries; how many there were."""
        if self._written is None:
            self._written = self._last_whole_line()
        entries = list(self._store.audit_entries(after=self._written, limit=_BATCH))
        if not entries:
            return 0
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        self._written = int(entries[-1]["seq"])
        return len(entries)

    def _last_whole_line(self) -> int:
        """The last sequence number in the file; a line that a crash cut off is cut away."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return 0
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) != len(raw):
            self.path.write_bytes(whole)
        lines = whole.splitlines()
        return int(json.loads(lines[-1])["seq"]) if lines else 0


def read(path: Path) -> Iterator[dict[str, object]]:
    """The entries of an audit log file; a line that is no JSON object breaks the chain by its emptiness."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {}
            yield entry if isinstance(entry, dict) else {}


def verify_file(path: Path) -> Intact | Tampered:
    """Whether anything in the file was changed, dropped or reordered."""
    if not path.is_file():
        raise StoreError(f"there is no audit log at {path}")
    return verify_chain(read(path))


def verify_against(path: Path, store: Store) -> Intact | Tampered:
    """The file against the database: each alone must hold, and the file may only lag behind."""
    in_database = verify_chain(store.audit_entries())
    if isinstance(in_database, Tampered):
        return Tampered(in_database.seq, f"in the database: {in_database.reason}")
    in_file = verify_file(path)
    if isinstance(in_file, Tampered):
        return in_file
    if in_file.entries > in_database.entries:
        return Tampered(in_database.entries + 1, "entries that the file has were dropped from the database")
    for entry in store.audit_entries(after=in_file.entries - 1, limit=1):
        if in_file.entries and entry["hash"] != in_file.head:
            return Tampered(in_file.entries, "file and database tell different stories")
    if in_file.entries < in_database.entries:
        return Tampered(in_file.entries + 1, "the last entries of the database are missing in the file")
    return in_file
