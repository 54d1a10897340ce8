"""The audit log as a file: the timeline's chain, one JSON line an entry, appended as it grows."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from agent.adapters.audit_chain import Intact, Tampered, verify_chain
from agent.adapters.database import moment
from agent.adapters.store import Store
from agent.domain.errors import StoreError

_BATCH = 500

#: A working daemon appends within a second; longer than this the file is not lagging, it is short.
_MAY_LAG = timedelta(seconds=60)


class AuditLog:
    """Writes what the database's chain has and the file has not yet; safe to start again at any point."""

    def __init__(self, path: Path, store: Store) -> None:
        self.path = path
        self._store = store
        self._written = 0
        self._end: int | None = None

    def catch_up(self) -> int:
        """Append new entries; how many there were."""
        try:
            return self._append()
        except OSError as error:
            raise StoreError(f"the audit log {self.path} cannot be written: {error.strerror}") from error

    def _append(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # a run by hand appends to the daemon's file
            if file.seek(0, os.SEEK_END) != self._end:
                self._written = _last_whole_line(file)
            entries = list(self._store.audit_entries(after=self._written, limit=_BATCH))
            if entries:
                file.write("".join(map(_line, entries)).encode())
                self._written = int(entries[-1]["seq"])
            self._end = file.tell()
        return len(entries)


def _last_whole_line(file: BinaryIO) -> int:
    """The last sequence number in the file; a line that a crash cut off is cut away."""
    file.seek(0)
    raw = file.read()
    end = raw.rfind(b"\n") + 1
    if end != len(raw):
        file.truncate(end)
        file.seek(0, os.SEEK_END)
    lines = raw[:end].splitlines()
    try:
        return int(json.loads(lines[-1])["seq"]) if lines else 0
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"the last line of the audit log {file.name} is no entry; move the file away, "
            "and it is written anew from the database"
        ) from error


def read(path: Path) -> Iterator[dict[str, object]]:
    """The entries of an audit log file; a line that is no JSON object breaks the chain by its emptiness."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                entry = None
            # written in exactly one way: a line that reads otherwise, say with a key given twice, was forged
            yield entry if isinstance(entry, dict) and _line(entry) == line else {}


def _line(entry: dict[str, object]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def verify_file(path: Path) -> Intact | Tampered:
    """Whether anything in the file was changed, dropped or reordered."""
    if not path.is_file():
        raise StoreError(f"there is no audit log at {path}")
    return verify_chain(read(path))


def verify_against(path: Path, store: Store) -> Intact | Tampered:
    """The file against the database: each alone must hold, and the file may only lag a little behind.

    The file is read first: what a working daemon adds meanwhile is then never missed in the database.
    """
    in_file = verify_file(path)
    if isinstance(in_file, Tampered):
        return in_file
    in_database = verify_chain(store.audit_entries())
    if isinstance(in_database, Tampered):
        return Tampered(in_database.seq, f"in the database: {in_database.reason}")
    if in_file.entries > in_database.entries:
        return Tampered(in_database.entries + 1, "entries that the file has were dropped from the database")
    for entry in store.audit_entries(after=in_file.entries - 1, limit=1):
        if in_file.entries and entry["hash"] != in_file.head:
            return Tampered(in_file.entries, "file and database tell different stories")
    for missing in store.audit_entries(after=in_file.entries, limit=1):
        if store.clock.now() - moment(missing["at"]) > _MAY_LAG:
            return Tampered(missing["seq"], "the last entries of the database are missing in the file")
    return in_file
