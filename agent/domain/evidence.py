"""Evidence that is taken away: what of, what is in it, and whether it is as it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EvidenceAsked:
    """What happened from a time on and before another; or all of one incident, with what was folded into it.

    Of an incident, the times are those of the decision events that are added.
    """

    since: datetime
    until: datetime
    incident: str = ""


@dataclass(frozen=True, slots=True)
class Packed:
    """One file of the evidence: how long it is, how many rows it has, and its SHA-256."""

    sha256: str
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class Whole:
    """Every file is as the manifest says, and the audit log's entries hold.

    `loose`: entries that do not follow the one before them in the file, since other stories lie between.
    `cleared`: entries that were redacted once more when they were taken away; their own hash says nothing.
    """

    manifest_sha256: str
    files: Mapping[str, Packed]
    entries: int
    loose: int
    cleared: int
    last_entry: int
    head: str


@dataclass(frozen=True, slots=True)
class Altered:
    """It is not as it was made: which part, and what is wrong."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the evidence says of itself; `head` is the hash of the audit chain's entry `last_entry`."""

    asked: Mapping[str, str]
    last_entry: int
    head: str
    files: Mapping[str, Packed] = field(default_factory=dict)
