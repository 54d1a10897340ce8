"""The hash chain that makes the timeline tamper-evident.

Every entry carries the SHA-256 of its own canonical JSON together with the hash of the entry before
it; `seq` has no gaps. A changed, dropped or reordered entry breaks the chain from there on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: What the first entry stands on.
GENESIS = "0" * 64

_HASHED = ("seq", "incident", "key", "at", "kind", "actor", "text", "data")


def entry_hash(prev_hash: str, entry: Mapping[str, object]) -> str:
    """The hash of an entry that stands on `prev_hash`."""
    body = json.dumps(
        {name: entry[name] for name in _HASHED}, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(f"{prev_hash}\n{body}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Intact:
    """Nothing was changed, dropped or reordered; `head` is the last hash."""

    entries: int
    head: str


@dataclass(frozen=True, slots=True)
class Tampered:
    """The chain breaks at `seq`."""

    seq: int
    reason: str


def verify_chain(entries: Iterable[Mapping[str, object]]) -> Intact | Tampered:
    """Walk the chain from its first entry."""
    prev, count = GENESIS, 0
    for entry in entries:
        count += 1
        broken = _broken_link(entry, expected_seq=count, prev_hash=prev)
        if broken:
            return Tampered(count, broken)
        prev = str(entry["hash"])
    return Intact(count, prev)


def _broken_link(entry: Mapping[str, object], *, expected_seq: int, prev_hash: str) -> str:
    missing = [name for name in (*_HASHED, "prev", "hash") if name not in entry]
    if missing:
        return f"entry {expected_seq} lacks {', '.join(missing)}"
    unknown = sorted(set(entry) - {*_HASHED, "prev", "hash"})
    if unknown:
        return f"entry {expected_seq} has {', '.join(unknown)} added"
    if entry["seq"] != expected_seq:
        return f"expected entry {expected_seq}, found {entry['seq']}: entries were dropped or reordered"
    if entry["prev"] != prev_hash:
        return f"entry {expected_seq} does not stand on the entry before it"
    if entry["hash"] != entry_hash(prev_hash, entry):
        return f"entry {expected_seq} was changed after it was written"
    return ""
