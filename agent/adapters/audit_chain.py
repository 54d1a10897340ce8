"""The hash chain that makes the timeline tamper-evident.

Every entry carries the SHA-256 of its own canonical JSON together with the hash of the entry before
it; `seq` has no gaps. A changed, dropped or reordered entry breaks the chain from there on.

What was archived leaves the database, wherever it stood in the chain. An entry of the chain itself says
which links an archive took out, on what the first of them stood and what the last one's hash was: a hole
that no such entry names is a broken chain, and so is one whose edges do not fit.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: What the first entry stands on.
GENESIS = "0" * 64

#: In the place of an incident's id: the entries that name what the archives took out of the chain.
ARCHIVES = "archives"

#: What the hashes stand on: not one byte of it may ever change.
_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode

_HASHED = ("seq", "incident", "key", "at", "kind", "actor", "text", "data")


def entry_hash(prev_hash: str, entry: Mapping[str, object]) -> str:
    """The hash of an entry that stands on `prev_hash`."""
    body = _canonical({name: entry[name] for name in _HASHED})
    return hashlib.sha256(f"{prev_hash}\n{body}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Intact:
    """Nothing was changed, dropped or reordered; `head` is the hash of the last entry, `last` its number.

    `archived` entries are not there; the chain says in which archives they are.
    """

    entries: int
    head: str
    last: int = 0
    archived: int = 0


@dataclass(frozen=True, slots=True)
class Tampered:
    """The chain breaks at `seq`."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Links `first` to `last`, which stand on `prev` and end with `hash`."""

    first: int
    last: int
    prev: str
    hash: str


def gaps_of(links: Iterable[Gap]) -> list[Gap]:
    """The fewest gaps that hold these links, each given as a gap of its own."""
    gaps: list[Gap] = []
    for link in sorted(links, key=lambda each: each.first):
        if gaps and gaps[-1].last + 1 == link.first:
            gaps[-1] = Gap(gaps[-1].first, link.last, gaps[-1].prev, link.hash)
        else:
            gaps.append(link)
    return gaps


def verify_chain(entries: Iterable[Mapping[str, object]], *, whole: bool = False) -> Intact | Tampered:
    """Walk the chain from its first entry; `whole`: what was archived must be there too."""
    walk = _Walk()
    for entry in entries:
        broken = walk.take(entry)
        if broken:
            return Tampered(walk.expected, broken)
    return walk.end(whole=whole)


@dataclass
class _Walk:
    """Where the walk along the chain stands."""

    expected: int = 1
    prev: str = GENESIS
    count: int = 0
    holes: list[Gap] = field(default_factory=list)
    named: list[Gap] = field(default_factory=list)

    def take(self, entry: Mapping[str, object]) -> str:
        """One step; what is wrong with it, else nothing."""
        broken = _malformed(entry, self.expected)
        if broken:
            return broken
        seq, prev = _number(entry["seq"]), str(entry["prev"])
        if seq > self.expected:
            self.holes.append(Gap(self.expected, seq - 1, self.prev, prev))
            self.expected, self.prev = seq, prev
        broken = _broken_link(entry, expected_seq=self.expected, prev_hash=self.prev)
        if broken:
            return broken
        if entry["incident"] == ARCHIVES:
            self.named += named_gaps(entry["data"])
        self.count += 1
        self.expected, self.prev = seq + 1, str(entry["hash"])
        return ""

    def end(self, *, whole: bool) -> Intact | Tampered:
        """What the whole walk says."""
        known = _Coverage(() if whole else self.named)
        for hole in self.holes:
            broken = known.objection(hole)
            if broken:
                return Tampered(hole.first, broken)
        archived = sum(hole.last - hole.first + 1 for hole in self.holes)
        return Intact(self.count, self.prev, self.expected - 1, archived)


class _Coverage:
    """What archives took out of the chain, as the chain says."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        self._prevs = {(gap.first, gap.prev) for gap in gaps}
        self._firsts = {gap.first for gap in gaps}
        self._hashes = {(gap.last, gap.hash) for gap in gaps}
        self._lasts = {gap.last for gap in gaps}
        self._spans = _joined(gaps)
        self._starts = [first for first, _ in self._spans]

    def objection(self, hole: Gap) -> str:
        """Why the hole is not what an archive took out; a part of that is one too, while it is deleted."""
        place = bisect_right(self._starts, hole.first) - 1
        named = f"entries {hole.first}–{hole.last}" if hole.last > hole.first else f"entry {hole.first}"
        if place < 0 or hole.last > self._spans[place][1]:
            return (
                f"{named} are missing: they were dropped or reordered, and no archive of the chain has them"
            )
        if hole.first in self._firsts and (hole.first, hole.prev) not in self._prevs:
            return f"{named} were archived, and what is before them was changed since"
        if hole.last in self._lasts and (hole.last, hole.hash) not in self._hashes:
            return f"{named} were archived, and what is behind them was changed since"
        return ""


def _joined(gaps: Sequence[Gap]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for gap in sorted(gaps, key=lambda each: each.first):
        if spans and gap.first <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(spans[-1][1], gap.last))
        else:
            spans.append((gap.first, gap.last))
    return spans


def named_gaps(data: object) -> list[Gap]:
    """The gaps that an entry about an archive names."""
    listed = data.get("gaps") if isinstance(data, Mapping) else None
    found = []
    for each in listed if isinstance(listed, list) else ():
        match each:
            case [int(first), int(last), str(prev), str(own)] if 0 < first <= last:
                found.append(Gap(first, last, prev, own))
    return found


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _malformed(entry: Mapping[str, object], expected_seq: int) -> str:
    missing = [name for name in (*_HASHED, "prev", "hash") if name not in entry]
    if missing:
        return f"entry {expected_seq} lacks {', '.join(missing)}"
    unknown = sorted(set(entry) - {*_HASHED, "prev", "hash"})
    if unknown:
        return f"entry {expected_seq} has {', '.join(unknown)} added"
    if _number(entry["seq"]) < expected_seq:
        return f"expected entry {expected_seq}, found {entry['seq']}: entries were dropped or reordered"
    return ""


def _broken_link(entry: Mapping[str, object], *, expected_seq: int, prev_hash: str) -> str:
    if entry["prev"] != prev_hash:
        return f"entry {expected_seq} does not stand on the entry before it"
    if entry["hash"] != entry_hash(prev_hash, entry):
        return f"entry {expected_seq} was changed after it was written"
    return ""
