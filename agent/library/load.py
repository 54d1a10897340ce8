"""The folder of runbooks: loaded whole, reloaded where it changed, swapped in at once."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from agent.domain.errors import RunbookProblem
from agent.domain.runbook import Runbook
from agent.library.markdown import MAX_BYTES, parse
from agent.library.results import Broken, Documentation, Parsed, ParseResult

MAX_FILES = 5_000
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload changed, by runbook id; `broken` are the files that cannot be used now."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The library at one moment."""

    runbooks: Mapping[str, Runbook] = field(default_factory=lambda: MappingProxyType({}))
    documentation: tuple[Documentation, ...] = ()
    broken: tuple[Broken, ...] = ()


_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _File:
    """A file as last read; read again when its stamp differs, parsed again when its bytes do."""

    stamp: _Stamp
    digest: str
    result: ParseResult


class Library:
    """All runbooks of a folder, in one consistent state; a broken file is never run in an old form."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root)
        self._lock = threading.Lock()
        self._files: dict[Path, _File] = {}
        self._snapshot = Snapshot()
        self.reload()

    @property
    def snapshot(self) -> Snapshot:
        """Runbooks, documentation and broken files of the same moment."""
        return self._snapshot

    @property
    def runbooks(self) -> Mapping[str, Runbook]:
        """The usable runbooks by id."""
        return self._snapshot.runbooks

    @property
    def documentation(self) -> tuple[Documentation, ...]:
        """Markdown files that are no runbooks."""
        return self._snapshot.documentation

    @property
    def broken(self) -> tuple[Broken, ...]:
        """Files that are meant as runbooks and cannot be used, with every problem."""
        return self._snapshot.broken

    @property
    def problems(self) -> tuple[RunbookProblem, ...]:
        """Every problem of every broken file."""
        return tuple(problem for broken in self.broken for problem in broken.problems)

    def reload(self) -> Changes:
        """Take in what changed on disk; a file that became broken is taken out and reported."""
        with self._lock:
            before = self._snapshot
            found = _Folder(self._root)
            self._files = {path: _read(path, self._files.get(path)) for path in found.files()}
            results = [file.result for file in self._files.values()]
            self._snapshot = _snapshot(results, found.problems)
            return _changes(before, self._snapshot)


class _Folder:
    """Finds the Markdown files below a root; whatever leads out of it is a problem, not a runbook."""

    def __init__(self, root: Path) -> None:
        self.problems: list[RunbookProblem] = []
        self._root = root
        self._count = 0

    def files(self) -> list[Path]:
        """Every file to read, in a fixed order."""
        real_root = self._real(self._root)
        return list(self._below(self._root, real_root, 0)) if real_root is not None else []

    def _below(self, folder: Path, real_root: Path, depth: int) -> Iterator[Path]:
        for entry in self._entries(folder):
            if entry.name.startswith("."):
                continue  # also the ..data folders of a mounted ConfigMap, whose files are linked beside them
            if entry.is_dir():
                yield from self._below_entry(entry, real_root, depth)
            elif entry.suffix.lower() == ".md" and self._may_read(entry, real_root):
                yield entry

    def _entries(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError as error:
            self._problem(folder, f"the folder cannot be read: {_reason(error)}", "check its permissions")
            return []

    def _real(self, path: Path) -> Path | None:
        """Where the path really leads; a loop of links leads nowhere (RuntimeError before Python 3.13)."""
        try:
            return path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            self._problem(path, f"cannot be read: {_reason(error)}", "check that it exists (runbooks.path)")
            return None

    def _below_entry(self, entry: Path, real_root: Path, depth: int) -> Iterator[Path]:
        if entry.is_symlink():
            self._problem(entry, "a link to a folder is not followed", "put the folder itself there")
        elif depth >= MAX_DEPTH:
            self._problem(entry, f"folders nested more than {MAX_DEPTH} deep", "make them flatter")
        else:
            yield from self._below(entry, real_root, depth + 1)

    def _may_read(self, entry: Path, real_root: Path) -> bool:
        self._count += 1
        if self._count > MAX_FILES:
            if self._count == MAX_FILES + 1:
                self._problem(entry, f"more than {MAX_FILES} files", "split the folder")
            return False
        real = self._real(entry)
        if real is None:
            return False
        if not real.is_relative_to(real_root):
            self._problem(
                entry, "a link that leads out of the folder of runbooks", "copy the file into the folder"
            )
            return False
        return True

    def _problem(self, path: Path, message: str, fix: str) -> None:
        self.problems.append(RunbookProblem(path.as_posix(), 1, message, fix))


def read_file(path: Path) -> ParseResult:
    """What one file is, read as the library reads it."""
    return _read(path, None).result


def _read(path: Path, known: _File | None) -> _File:
    """The file's result; unchanged stamps are not read again, unchanged bytes not parsed again."""
    try:
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        if known is not None and known.stamp == stamp:
            return known
        content = _content(path)
    except OSError as error:
        return _File(
            (0, 0, 0, 0), "", _broken(path, f"cannot be read: {_reason(error)}", "check its permissions")
        )
    digest = hashlib.sha256(content).hexdigest()
    if known is not None and known.digest == digest:
        return _File(stamp, digest, known.result)
    return _File(stamp, digest, _parsed(path, content))


def _content(path: Path) -> bytes:
    """At most one byte more than is accepted; opening never waits, as a named pipe would make it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  (an open descriptor, not a path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        return file.read(MAX_BYTES + 1)


def _parsed(path: Path, content: bytes) -> ParseResult:
    if len(content) > MAX_BYTES:
        return _broken(path, f"larger than {MAX_BYTES} bytes", "split the file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _broken(path, "not valid UTF-8", "save the file as UTF-8", line=line)
    return parse(text, path=path.as_posix())


def _broken(path: Path, message: str, fix: str, *, line: int = 1) -> Broken:
    return Broken((RunbookProblem(path.as_posix(), line, message, fix),), path.as_posix())


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _snapshot(results: Sequence[ParseResult], problems: Sequence[RunbookProblem]) -> Snapshot:
    by_id: dict[str, list[Runbook]] = {}
    for result in results:
        if isinstance(result, Parsed):
            by_id.setdefault(result.runbook.id, []).append(result.runbook)
    doubles = [runbook for same in by_id.values() if len(same) > 1 for runbook in same]
    broken = [result for result in results if isinstance(result, Broken)]
    broken += [_doubled(runbook, by_id[runbook.id]) for runbook in doubles]
    broken += [Broken((problem,), problem.path) for problem in problems]
    return Snapshot(
        MappingProxyType({same[0].id: same[0] for same in by_id.values() if len(same) == 1}),
        tuple(result for result in results if isinstance(result, Documentation)),
        tuple(sorted(broken, key=lambda each: each.path)),
    )


def _doubled(runbook: Runbook, same: Sequence[Runbook]) -> Broken:
    """Neither of two runbooks with one id is used: it could not be told which one an incident means."""
    others = ", ".join(other.path for other in same if other.path != runbook.path)
    message = f"the id {runbook.id} is also that of {others}"
    return Broken(
        (RunbookProblem(runbook.path, 1, message, "give one of them its own id: in front matter"),),
        runbook.path,
    )


def _changes(before: Snapshot, after: Snapshot) -> Changes:
    kept = before.runbooks.keys() & after.runbooks.keys()
    return Changes(
        added=tuple(sorted(after.runbooks.keys() - before.runbooks.keys())),
        changed=tuple(sorted(key for key in kept if before.runbooks[key] != after.runbooks[key])),
        removed=tuple(sorted(before.runbooks.keys() - after.runbooks.keys())),
        broken=tuple(broken.path for broken in after.broken),
    )
