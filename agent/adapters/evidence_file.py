"""Evidence as one ZIP file: JSONL and CSV of each kind, and a manifest of their hashes.

Written from front to back in bounded memory, and the same data give the same bytes: no time of making, no
order that a database chose. The manifest names the audit chain's head, so that whoever has the log can show
that the entries in the file are its own.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from agent.adapters.evidence_rows import Dataset, Row, datasets
from agent.adapters.store import Store
from agent.domain.evidence import EvidenceAsked, Manifest, Packed

FORMAT = 1

MANIFEST = "manifest.json"

#: Added to an entry of the audit log that was redacted once more: its hash is that of what it was.
CLEARED = "redacted_again"

#: A spreadsheet takes a cell that begins so for a formula, and runs it; and by its language a cell begins
#: behind a semicolon or a tab too, and a formula with a full-width sign.
_FORMULA = re.compile(r"(^|[;；\t\r\n])(?=\"*[=+\-@＝＋－＠\t\r])")

_SPOOLED_BYTES = 1 << 20
_PIECE_BYTES = 64 << 10

Clear = Callable[[object], object]


def evidence(store: Store, asked: EvidenceAsked, clear: Clear) -> Iterator[bytes]:
    """The file, piece by piece; `clear` redacts a row."""
    last_entry, head = _head(store)
    files: dict[str, Packed] = {}
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for dataset in datasets(store.database, asked, last_entry=last_entry):
            with tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as table:
                yield from _written(archive, sink, dataset, table, clear, files)
        manifest = Manifest(_said(asked), last_entry, head, files)
        archive.writestr(_info(MANIFEST), manifest_bytes(manifest))
        yield from sink.taken(everything=True)
    yield from sink.taken(everything=True)


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it stands in the file."""
    said = {
        "format": FORMAT,
        "asked": dict(manifest.asked),
        "audit": {"last_entry": manifest.last_entry, "head": manifest.head},
        "files": {
            name: {"sha256": each.sha256, "size": each.size, "rows": each.rows}
            for name, each in sorted(manifest.files.items())
        },
    }
    return (json.dumps(said, indent=1) + "\n").encode()


def _head(store: Store) -> tuple[int, str]:
    last = store.last_seq()
    for entry in store.audit_entries(after=last - 1, limit=1):
        return int(entry["seq"]), str(entry["hash"])
    return 0, ""


def _said(asked: EvidenceAsked) -> dict[str, str]:
    window = {"since": asked.since.isoformat(), "until": asked.until.isoformat()}
    return {"incident": asked.incident, **window} if asked.incident else window


def _written(
    archive: zipfile.ZipFile,
    sink: _Sink,
    dataset: Dataset,
    table: IO[bytes],
    clear: Clear,
    files: dict[str, Packed],
) -> Iterator[bytes]:
    """Both forms of one kind of rows, which are read once."""
    lines, cells = _Counted(), _Counted()
    rows = csv.writer(text := io.StringIO(), lineterminator="\r\n")
    rows.writerow(dataset.columns)
    with archive.open(_info(f"{dataset.name}.jsonl"), "w", force_zip64=True) as file:
        for row in dataset.rows:
            shown = _cleared(row, clear, is_entry=dataset.name == "timeline")
            file.write(lines.count(_line(shown)))
            rows.writerow([_cell(shown[name]) for name in dataset.columns])
            table.write(cells.count(_drained(text)))
            yield from sink.taken()
    files[f"{dataset.name}.jsonl"] = lines.packed(lines.pieces)
    table.write(cells.count(_drained(text)))  # the head alone, where there is no row
    table.seek(0)
    with archive.open(_info(f"{dataset.name}.csv"), "w", force_zip64=True) as file:
        while piece := table.read(_PIECE_BYTES):
            file.write(piece)
            yield from sink.taken()
    files[f"{dataset.name}.csv"] = cells.packed(lines.pieces)


def _cleared(row: Row, clear: Clear, *, is_entry: bool) -> Row:
    shown = clear(row)
    if not isinstance(shown, dict):
        raise TypeError("a row that is redacted is still a row")
    if is_entry and shown != row:
        return {**shown, CLEARED: True}
    return shown


def _line(row: Mapping[str, object]) -> bytes:
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return _FORMULA.sub(r"\1'", text)


def _drained(text: io.StringIO) -> bytes:
    written = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return written


def _info(name: str) -> zipfile.ZipInfo:
    """The same for each making: the earliest time that the format knows, and no trace of this machine."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = 0o600 << 16
    return info


class _Counted:
    """What went by: how much, in how many pieces, and its hash."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0
        self.pieces = 0

    def count(self, piece: bytes) -> bytes:
        self._hash.update(piece)
        self.size += len(piece)
        self.pieces += 1
        return piece

    def packed(self, rows: int) -> Packed:
        return Packed(self._hash.hexdigest(), self.size, rows)


class _Sink(io.RawIOBase):
    """Takes what the ZIP file is made of, until it is taken on."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        data = bytes(piece)
        self._pieces.append(data)
        self._size += len(data)
        return len(data)

    def taken(self, *, everything: bool = False) -> Iterator[bytes]:
        """What has come together, once it is worth a piece."""
        if self._pieces and (everything or self._size >= _PIECE_BYTES):
            yield b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
