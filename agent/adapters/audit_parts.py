"""The parts of an audit log: the file that grows, and before it those that were closed and compressed."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.adapters.files import sync_folder

_TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Part:
    """A closed part and the entries in it."""

    path: Path
    first: int
    last: int


def closed(path: Path) -> Sequence[Part]:
    """The closed parts of the audit log, oldest first: `audit.1-5000.jsonl.gz` beside `audit.jsonl`."""
    pattern = re.compile(rf"{re.escape(path.stem)}\.([0-9]+)-([0-9]+){re.escape(path.suffix)}\.gz")
    named = ((each, pattern.fullmatch(each.name)) for each in path.parent.glob(f"{path.stem}.*.gz"))
    parts = (Part(each, int(match[1]), int(match[2])) for each, match in named if match)
    return sorted(parts, key=lambda part: part.first)


def close(path: Path, file: BinaryIO, *, last: int) -> Part:
    """Compress the file into a part of its own and empty it; a crash in between leaves both."""
    file.seek(0)
    first = int(json.loads(file.readline())["seq"])
    part = Part(path.with_name(f"{path.stem}.{first}-{last}{path.suffix}.gz"), first, last)
    unfinished = part.path.with_name(f"{part.path.name}.part")
    file.seek(0)
    with unfinished.open("wb") as target:
        with gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0) as packed:
            shutil.copyfileobj(file, packed, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    unfinished.replace(part.path)
    sync_folder(path.parent)
    file.truncate(0)
    return part


def lines(path: Path) -> Iterator[str]:
    """Every line in order; a part that cannot be read gives an empty one in its place."""
    parts = closed(path)
    for part in parts:
        yield from _unpacked(part.path)
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for place, line in enumerate(file):
            if place == 0 and parts and _first_of(line) == parts[-1].first:
                return  # closed, and the crash came before the file was emptied
            yield line


def _first_of(line: str) -> object:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry.get("seq") if isinstance(entry, dict) else None


def _unpacked(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="\n") as file:
            yield from file
    except (OSError, EOFError, zlib.error):
        yield ""


def end_of_last_line(file: BinaryIO, before: int) -> int:
    """The place behind the last line break before `before`; read from the end, the file may be large."""
    while before > 0:
        start = max(0, before - _TAIL_BYTES)
        file.seek(start)
        found = file.read(before - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0
