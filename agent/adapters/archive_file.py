"""Archives: gzipped JSON lines, on the disk and read back before anything of them is deleted."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.adapters.files import sha256_of, sync_folder
from agent.domain.errors import StoreError

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """An archive that is safely on the disk."""

    path: Path
    sha256: str


class ArchiveFolder:
    """Where the archives are; one process at a time writes into it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether nobody else writes archives here for as long as the block lasts."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            yield _is_ours(handle)
        finally:
            os.close(handle)

    def write(self, lines: Iterable[Line], *, first: datetime, last: datetime) -> ArchiveFile:
        """A new file, durable and verified when this returns; never in the place of another."""
        unfinished = self.path / "unfinished.part"
        try:
            written = _write(unfinished, lines)
            if _content_hash(unfinished) != written:
                raise StoreError(
                    f"the archive {unfinished} does not read as it was written; nothing was deleted"
                )
            path = self._free_name(first, last)
            unfinished.rename(path)
            sync_folder(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise _unwritable(self.path, error) from error
        return ArchiveFile(path, sha256_of(path))

    def _free_name(self, first: datetime, last: datetime) -> Path:
        dates = f"{first:%Y%m%d}-{last:%Y%m%d}"
        number = 1
        while (path := self.path / f"incidents-{dates}-{number}.jsonl.gz").exists():
            number += 1
        return path

    def intact(self, name: str, sha256: str) -> bool:
        """Whether the file is there with the bytes that were written."""
        path = self.path / name
        return path.is_file() and sha256_of(path) == sha256


def read(path: Path) -> Iterator[Line]:
    """The lines of an archive."""
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield json.loads(line)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise StoreError(f"the archive {path} cannot be read: {error}") from error


def _write(path: Path, lines: Iterable[Line]) -> str:
    """The hash of the content that was written."""
    content = hashlib.sha256()
    with path.open("wb") as target:
        with gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=6, mtime=0) as packed:
            for line in lines:
                raw = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
                content.update(raw)
                packed.write(raw)
        target.flush()
        os.fsync(target.fileno())
    return content.hexdigest()


def _content_hash(path: Path) -> str:
    content = hashlib.sha256()
    with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(path, "rb") as packed:
        while block := packed.read(1 << 20):
            content.update(block)
    return content.hexdigest()


def _is_ours(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the archive folder {path} cannot be written: {error.strerror or error}; nothing was deleted. "
        "Make room, or set retention.archive"
    )
