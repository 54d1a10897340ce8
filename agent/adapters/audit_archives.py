"""The audit chain from its very first entry: what is in the database, joined with what archives took out."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.adapters import archive_file
from agent.adapters.archive_file import ArchiveFolder
from agent.adapters.audit_chain import ARCHIVES, Intact, Tampered, named_gaps, verify_chain
from agent.adapters.audit_log import chain_of
from agent.adapters.store import Store
from agent.adapters.store_retention import StoredRetention
from agent.domain.incident import TimelineEvent

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Named:
    """An archive as the chain names it in its entry `seq`."""

    seq: int
    file: str
    sha256: str
    first: int


def verify_archives(folder: Path, store: Store) -> Intact | Tampered:
    """Whether every archive is as it was written, and the chain is whole with what is in them."""
    in_database = verify_chain(chain_of(store))
    if isinstance(in_database, Tampered):
        return in_database
    named = [_named(each) for each in store.timeline(ARCHIVES) if "sha256" in each.data]
    broken = _unlisted(named, store) or _damaged(named, folder)
    return broken or verify_chain(_merged(named, folder, store), whole=True)


def _named(event: TimelineEvent) -> _Named:
    first = min((gap.first for gap in named_gaps(event.data)), default=0)
    return _Named(event.seq, str(event.data["file"]), str(event.data["sha256"]), first)


def _unlisted(named: Sequence[_Named], store: Store) -> Tampered | None:
    """The table of archives says the same as the chain."""
    listed = {(each.file, each.sha256) for each in StoredRetention(store).archives()}
    for each in named:
        if (each.file, each.sha256) not in listed:
            return Tampered(each.seq, f"the archive {each.file} of the chain is not in the list of archives")
    unknown = sorted(file for file, _ in listed - {(each.file, each.sha256) for each in named})
    return (
        Tampered(0, f"the archive {unknown[0]} is listed, and the chain does not name it")
        if unknown
        else None
    )


def _damaged(named: Sequence[_Named], folder: Path) -> Tampered | None:
    for each in named:
        if not ArchiveFolder(folder).intact(each.file, each.sha256):
            reason = f"the archive {folder / each.file} is missing, or is not what was written"
            return Tampered(each.seq, reason)
    return None


def _merged(named: Sequence[_Named], folder: Path, store: Store) -> Iterator[Entry]:
    """Every entry in order, once; an archive is opened when its first one is due."""
    waiting = sorted((each for each in named if each.first), key=lambda each: each.first, reverse=True)
    due: list[tuple[int, int, Entry, Iterator[Entry]]] = []
    _push(due, 0, chain_of(store))
    last: Entry | None = None
    while due or waiting:
        if waiting and (not due or waiting[-1].first <= due[0][0]):
            archive = waiting.pop()
            _push(due, archive.seq, iter(_links(folder / archive.file)))
            continue
        _, place, entry, source = heapq.heappop(due)
        if last is None or (entry["seq"], entry["hash"]) != (last["seq"], last["hash"]):
            yield entry
        last = entry
        _push(due, place, source)


def _push(due: list[tuple[int, int, Entry, Iterator[Entry]]], place: int, source: Iterator[Entry]) -> None:
    entry = next(source, None)
    if entry is not None:
        heapq.heappush(due, (int(entry["seq"]), place, entry, source))


def _links(path: Path) -> list[Entry]:
    lines = archive_file.read(path)
    links = (link for line in lines for link in line.get("timeline", ()))
    return sorted(links, key=lambda link: int(link["seq"]))
