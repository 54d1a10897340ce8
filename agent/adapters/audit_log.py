"""The audit log as a file: the timeline's chain, one JSON line an entry, appended as it grows.

A file that has become large is closed, compressed and kept beside its successor, which goes on where it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from agent.adapters import audit_parts
from agent.adapters.audit_chain import Intact, Tampered, verify_chain
from agent.adapters.database import moment
from agent.adapters.store import Store
from agent.domain.errors import StoreError

_BATCH = 500

#: Entries read of the database at once: a walk of minutes must not hold one view of it all the time.
_PAGE = 2_000

#: A working daemon appends within a second; longer than this the file is not lagging, it is short.
_MAY_LAG = timedelta(seconds=60)

_encode = json.JSONEncoder(ensure_ascii=False).encode

#: A file is closed at this size; compressed it is about a tenth of it.
_CLOSED_AT_BYTES = 128 << 20


class AuditLog:
    """Writes what the database's chain has and the file has not yet; safe to start again at any point."""

    def __init__(self, path: Path, store: Store, *, closed_at_bytes: int = _CLOSED_AT_BYTES) -> None:
        self.path = path
        self._store = store
        self._closed_at = closed_at_bytes
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
                self._written = self._look_up_written(file)
            entries = list(self._store.audit_entries(after=self._written, limit=_BATCH))
            if entries:
                file.write("".join(map(_line, entries)).encode())
                self._written = int(entries[-1]["seq"])
            if file.tell() >= self._closed_at:
                file.flush()
                audit_parts.close(self.path, file, last=self._written)
            self._end = file.seek(0, os.SEEK_END)
        return len(entries)

    def _look_up_written(self, file: BinaryIO) -> int:
        """The last entry that is in the file or in a closed part before it."""
        closed = max((part.last for part in audit_parts.closed(self.path)), default=0)
        last = _last_whole_line(file)
        if 0 < last <= closed:  # closed, and the crash came before the file was emptied
            file.truncate(0)
            file.seek(0, os.SEEK_END)
        return max(last, closed)


def _last_whole_line(file: BinaryIO) -> int:
    """The last sequence number in the file; a line that a crash cut off is cut away."""
    size = file.seek(0, os.SEEK_END)
    end = audit_parts.end_of_last_line(file, size)
    if end != size:
        file.truncate(end)
        file.seek(0, os.SEEK_END)
    start = audit_parts.end_of_last_line(file, max(end - 1, 0))
    file.seek(start)
    line = file.read(end - start)
    file.seek(0, os.SEEK_END)
    try:
        return int(json.loads(line)["seq"]) if line else 0
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"the last line of the audit log {file.name} is no entry; move the file away, "
            "and it is written anew from the database"
        ) from error


def read(path: Path) -> Iterator[dict[str, object]]:
    """The entries of an audit log, closed parts first; a line that is none breaks the chain: it is empty."""
    for line in audit_parts.lines(path):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        # written in exactly one way: a line that reads otherwise, say with a key given twice, was forged
        yield entry if isinstance(entry, dict) and _line(entry) == line else {}


def _line(entry: dict[str, object]) -> str:
    return _encode(entry) + "\n"


def chain_of(store: Store) -> Iterator[dict[str, object]]:
    """The chain in the database, read in pages."""
    last = 0
    while page := list(store.audit_entries(after=last, limit=_PAGE)):
        yield from page
        last = int(page[-1]["seq"])


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
    in_database = verify_chain(chain_of(store))
    if isinstance(in_database, Tampered):
        return Tampered(in_database.seq, f"in the database: {in_database.reason}")
    if in_file.last > in_database.last:
        return Tampered(in_database.last + 1, "entries that the file has were dropped from the database")
    return _same_story(in_file, store) or in_file


def _same_story(in_file: Intact, store: Store) -> Tampered | None:
    """Where the file ends, the database must have the same entry, and nothing much that is newer."""
    for entry in store.audit_entries(after=in_file.last - 1, limit=1):
        if entry["seq"] == in_file.last and entry["hash"] != in_file.head:
            return Tampered(in_file.last, "file and database tell different stories")
    for missing in store.audit_entries(after=in_file.last, limit=1):
        if missing["seq"] == in_file.last + 1 and missing["prev"] != in_file.head:
            return Tampered(in_file.last, "file and database tell different stories")
        if store.clock.now() - moment(missing["at"]) > _MAY_LAG:
            return Tampered(missing["seq"], "the last entries of the database are missing in the file")
    return None
