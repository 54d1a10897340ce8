"""Backup and restore of the SQLite files: our database and, beside it, the one of the durable engine.

The engine's is copied first, so that ours is never the older one of the two. Each copy is one moment of its
database, taken while a daemon works, and is checked before it counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from agent.adapters.executor_lock import executor_lock_name
from agent.adapters.files import sha256_of, sync_file, sync_folder
from agent.domain.errors import StoreError

FORMAT = 1

_MANIFEST = "manifest.json"
_OURS, _RUNS = "oncall.db", "oncall.runs.db"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself; `sha256` of each file in it."""

    format: int
    at: str
    version: str
    entries: int
    head: str
    sha256: Mapping[str, str]

    @property
    def taken_at(self) -> datetime:
        """When the backup was begun."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True)
class Databases:
    """Where both databases are."""

    ours: Path
    runs: Path

    def named(self) -> dict[str, Path]:
        """By their names in a backup, in the order in which they are copied."""
        return {_RUNS: self.runs, _OURS: self.ours}


def back_up(databases: Databases, target: Path, *, now: datetime, version: str) -> Manifest:
    """Write a backup that is durable and checked when this returns; never over another file."""
    if target.exists():
        raise StoreError(f"{target} exists; a backup is never written over another file")
    if not databases.ours.is_file():
        raise StoreError(f"there is no database at {databases.ours}")
    try:
        with _work_folder(target) as folder:
            manifest = _copied(databases, folder, now=now, version=version)
            unfinished = folder / "backup.tar.gz"
            _pack(folder, [_MANIFEST, *manifest.sha256], unfinished)
            unfinished.replace(target)
            sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"the backup {target} cannot be written: {error.strerror or error}") from error
    return manifest


def _copied(databases: Databases, folder: Path, *, now: datetime, version: str) -> Manifest:
    hashes = {}
    for name, path in databases.named().items():
        if path.is_file():
            copy_of(path, folder / name)
            hashes[name] = sha256_of(folder / name)
    entries, head = _chain_end(folder / _OURS)
    manifest = Manifest(FORMAT, now.isoformat(), version, entries, head, hashes)
    (folder / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    return manifest


def copy_of(source: Path, target: Path) -> None:
    """One moment of a database that may be in use; checked."""
    try:
        with (
            contextlib.closing(sqlite3.connect(source, timeout=10)) as original,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            # in one step: page by page it would begin anew with each write of a working daemon
            original.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode=DELETE")
        check(target)
    except sqlite3.Error as error:
        raise StoreError(f"the database {source} cannot be copied: {error}") from error


def check(path: Path) -> None:
    """Whether SQLite finds the file whole."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} is damaged: {error}") from error
    if found != "ok":
        raise StoreError(f"the database {path} is damaged: {found}")


def _chain_end(path: Path) -> tuple[int, str]:
    """The number and the hash of the last entry of the audit chain."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT seq, hash FROM timeline ORDER BY seq DESC LIMIT 1").fetchone()
    return (int(row[0]), str(row[1])) if row else (0, "")


def _pack(folder: Path, names: list[str], target: Path) -> None:
    with tarfile.open(target, "w:gz", compresslevel=1) as packed:
        for name in names:
            packed.add(folder / name, arcname=name)
    sync_file(target)


@contextlib.contextmanager
def unpacked(backup: Path, beside: Path) -> Iterator[tuple[Databases, Manifest]]:
    """The databases of a backup in a folder of their own beside the place where they belong, checked."""
    try:
        with _work_folder(beside) as folder:
            yield _unpack(backup, folder)
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise StoreError(f"the backup {backup} cannot be read: {error}") from error


def _unpack(backup: Path, folder: Path) -> tuple[Databases, Manifest]:
    with tarfile.open(backup, "r:gz") as packed:
        for member in packed:
            content = packed.extractfile(member) if member.name in (_MANIFEST, _OURS, _RUNS) else None
            if content is not None:
                with content, (folder / member.name).open("wb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
    try:
        manifest = Manifest(**json.loads((folder / _MANIFEST).read_text()))
    except (OSError, TypeError) as error:
        raise StoreError(f"{backup} is no backup of the agent: it has no manifest") from error
    if manifest.format != FORMAT:
        raise StoreError(f"{backup} has format {manifest.format}; this version reads {FORMAT}")
    for name, sha256 in manifest.sha256.items():
        if name not in (_OURS, _RUNS) or sha256_of(folder / name) != sha256:
            raise StoreError(f"{backup} is damaged: {name} is not what was backed up")
        check(folder / name)
    return Databases(folder / _OURS, folder / _RUNS), manifest


def put_in_place(new: Databases, old: Databases, *, suffix: str) -> list[Path]:
    """Put restored databases where the old ones are; these are kept under another name, which is given.

    Each is exchanged at once: a crash leaves the old one or the new one in its place, never none.
    """
    kept = []
    for name, path in old.named().items():
        fresh = new.named()[name]
        if path.exists():
            kept.append(_put_aside(path, suffix))
        for left in ("-wal", "-shm"):
            path.with_name(path.name + left).unlink(missing_ok=True)
        if fresh.exists():
            sync_file(fresh)
            fresh.replace(path)
        else:
            path.unlink(missing_ok=True)
        sync_folder(path.parent)
    return kept


def _put_aside(path: Path, suffix: str) -> Path:
    """A second name for the file as it is, its log of recent writes written back or kept with it."""
    aside = path.with_name(f"{path.name}.{suffix}")
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        shutil.copy2(log, aside.with_name(f"{aside.name}-wal"))
    try:
        os.link(path, aside)
    except OSError:  # a file system without second names
        shutil.copy2(path, aside)
    return aside


def executors_of(databases: Databases) -> set[str]:
    """Every executor that ever worked here, by the locks that it left beside the database."""
    pattern = f"{databases.runs.stem}.{executor_lock_name('*')}.lock"
    start = len(f"{databases.runs.stem}.{executor_lock_name('')}")
    names = (path.name[start:].removesuffix(".lock") for path in databases.runs.parent.glob(pattern))
    return {unquote(name) for name in names}


@contextlib.contextmanager
def _work_folder(beside: Path) -> Iterator[Path]:
    folder = beside.with_name(f".{beside.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
