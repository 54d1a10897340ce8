"""Whether evidence is as it was made: every file's hash, and every entry of the audit log that is in it."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from agent.adapters.audit_chain import entry_hash
from agent.adapters.evidence_file import CLEARED, FORMAT, MANIFEST, manifest_bytes
from agent.domain.evidence import Altered, Manifest, Packed, Whole

#: Longer than any manifest of ours, and than any line: a foreign file is read with care.
_MANIFEST_BYTES = 1 << 20
_LINE_BYTES = 64 << 20
_PIECE_BYTES = 64 << 10

_ENTRIES = "timeline.jsonl"


class _AlteredError(Exception):
    """Never leaves this module."""

    def __init__(self, what: str, reason: str) -> None:
        self.found = Altered(what, reason)
        super().__init__(reason)


def check(path: Path) -> Whole | Altered:
    """Needs nothing but the file. OSError if it cannot be read at all."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(archive)
    except _AlteredError as error:
        return error.found
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return Altered(str(path.name), f"it is no whole ZIP file ({error})")


def _checked(archive: zipfile.ZipFile) -> Whole:
    names = archive.namelist()
    if names.count(MANIFEST) != 1:
        raise _AlteredError(MANIFEST, "it is missing, or there are two")
    said = archive.open(MANIFEST).read(_MANIFEST_BYTES)
    manifest = _manifest(said)
    more = sorted({*names} - {*manifest.files, MANIFEST})
    if more or len(names) != len({*names}):
        raise _AlteredError(more[0] if more else "a file", "it is not in the manifest, or is there twice")
    walk = _Walk(manifest)
    for name, packed in manifest.files.items():
        if name not in names:
            raise _AlteredError(name, "it is missing")
        with archive.open(name) as file:
            walk.file(name, packed, file)
    return Whole(
        hashlib.sha256(said).hexdigest(),
        manifest.files,
        walk.entries,
        walk.loose,
        walk.cleared,
        manifest.last_entry,
        manifest.head,
    )


def _manifest(said: bytes) -> Manifest:
    try:
        read = json.loads(said)
        files = {
            str(name): Packed(str(each["sha256"]), int(each["size"]), int(each["rows"]))
            for name, each in read["files"].items()
        }
        asked = {str(name): str(value) for name, value in read["asked"].items()}
        made = Manifest(asked, int(read["audit"]["last_entry"]), str(read["audit"]["head"]), files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _AlteredError(MANIFEST, f"it cannot be read ({type(error).__name__})") from error
    if read.get("format") != FORMAT or manifest_bytes(made) != said:
        raise _AlteredError(MANIFEST, f"it is not written as format {FORMAT} is")
    return made


@dataclass(slots=True)
class _Walk:
    """Through every file once."""

    manifest: Manifest
    entries: int = 0
    loose: int = 0
    cleared: int = 0
    seq: int = 0
    hash: str = ""

    def file(self, name: str, packed: Packed, file: IO[bytes]) -> None:
        found, size, rows = hashlib.sha256(), 0, 0
        pieces = _lines(file) if name.endswith(".jsonl") else iter(lambda: file.read(_PIECE_BYTES), b"")
        for piece in pieces:
            found.update(piece)
            size += len(piece)
            rows += 1
            if name == _ENTRIES:
                self.entry(piece)
        if (found.hexdigest(), size) != (packed.sha256, packed.size):
            raise _AlteredError(name, "it is not the file whose hash the manifest has")
        if name.endswith(".jsonl") and rows != packed.rows:
            raise _AlteredError(name, f"it has {rows} rows, the manifest says {packed.rows}")

    def entry(self, line: bytes) -> None:
        """One entry of the audit log: its own hash, and what it stands on."""
        link = _link(line)
        seq, prev, own = link["seq"], str(link["prev"]), str(link["hash"])
        if not isinstance(seq, int) or seq <= self.seq:
            raise _AlteredError(f"entry {seq}", "it does not stand behind the entry before it")
        if link.get(CLEARED):
            self.cleared += 1
        elif own != entry_hash(prev, link):
            raise _AlteredError(f"entry {seq}", "it was changed after it was written")
        if seq != self.seq + 1:
            self.loose += 1
        elif self.hash and prev != self.hash:
            raise _AlteredError(f"entry {seq}", "it does not stand on the entry before it")
        if seq == self.manifest.last_entry and own != self.manifest.head:
            raise _AlteredError(f"entry {seq}", "it is not the head that the manifest names")
        self.entries, self.seq, self.hash = self.entries + 1, seq, own


def _link(line: bytes) -> Mapping[str, Any]:
    try:
        link = json.loads(line)
        link["seq"], link["prev"], link["hash"], entry_hash("", link)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _AlteredError(_ENTRIES, f"a line is no entry ({type(error).__name__})") from error
    found: Mapping[str, Any] = link
    return found


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(_LINE_BYTES):
        yield line
