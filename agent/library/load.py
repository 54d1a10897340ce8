"""The folder of runbooks: loaded whole, reloaded where it changed, swapped in at once."""

from __future__ import annotations

import gc
import hashlib
import os
import stat
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from agent.domain.errors import RunbookProblem
from agent.domain.runbook import Runbook
from agent.library.folder import Folder, reason
from agent.library.markdown import MAX_BYTES, parse
from agent.library.results import Broken, Documentation, Parsed, ParseResult


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
        self._files: dict[str, _File] = {}
        self._snapshot = Snapshot()
        self._problems: tuple[RunbookProblem, ...] = ()
        with _collector_paused():
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
            before, known = self._snapshot, self._files
            found = Folder(self._root)
            self._files, touched = _read_all(found, known)
            if not touched and tuple(found.problems) == self._problems:
                return Changes(broken=tuple(broken.path for broken in before.broken))
            same_problems = tuple(found.problems) == self._problems
            self._problems = tuple(found.problems)
            short = _with_changed(before, touched, known, self._files) if same_problems else None
            after = short or _snapshot([file.result for file in self._files.values()], found.problems)
            changes = _changes(before, after, _ids(touched, known) | _ids(touched, self._files))
            self._snapshot = after
            return changes


@contextmanager
def _collector_paused() -> Iterator[None]:
    """What a first load makes is kept: to search it for garbage again and again takes a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_file(path: Path) -> ParseResult:
    """What one file is, read as the library reads it."""
    return _read(path.as_posix(), path, None).result


def _read_all(found: Folder, known: Mapping[str, _File]) -> tuple[dict[str, _File], set[str]]:
    """Every file, and the paths of those that say something else now, or are gone."""
    files: dict[str, _File] = {}
    touched: set[str] = set()
    for path, entry in found.files():
        old = known.get(path)
        files[path] = file = _read(path, entry, old)
        if file is not old and (old is None or old.result is not file.result):
            touched.add(path)
    return files, touched | (known.keys() - files.keys())


def _with_changed(
    before: Snapshot, touched: Iterable[str], known: Mapping[str, _File], files: Mapping[str, _File]
) -> Snapshot | None:
    """The everyday case in little time: runbooks that stayed runbooks under their ids; None for any other."""
    changed: dict[str, Runbook] = {}
    for path in touched:
        old, new = (each[path].result if path in each else None for each in (known, files))
        if not (isinstance(old, Parsed) and isinstance(new, Parsed) and old.runbook.id == new.runbook.id):
            return None
        if before.runbooks.get(old.runbook.id) is not old.runbook:
            return None
        changed[new.runbook.id] = new.runbook
    if not changed:
        return None
    return Snapshot(MappingProxyType({**before.runbooks, **changed}), before.documentation, before.broken)


def _ids(paths: Iterable[str], files: Mapping[str, _File]) -> set[str]:
    results = (files[path].result for path in paths if path in files)
    return {result.runbook.id for result in results if isinstance(result, Parsed)}


def _read(path: str, place: os.DirEntry[str] | Path, known: _File | None) -> _File:
    """The file's result; unchanged stamps are not read again, unchanged bytes not parsed again."""
    try:
        status = place.stat()
        stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        if known is not None and known.stamp == stamp:
            return known
        content = _content(path)
    except OSError as error:
        return _File(
            (0, 0, 0, 0), "", _broken(path, f"cannot be read: {reason(error)}", "check its permissions")
        )
    digest = hashlib.sha256(content).hexdigest()
    if known is not None and known.digest == digest:
        return _File(stamp, digest, known.result)
    return _File(stamp, digest, _parsed(path, content))


def _content(path: str) -> bytes:
    """At most one byte more than is accepted; opening never waits, as a named pipe would make it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  (an open descriptor, not a path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        return file.read(MAX_BYTES + 1)


def _parsed(path: str, content: bytes) -> ParseResult:
    if len(content) > MAX_BYTES:
        return _broken(path, f"larger than {MAX_BYTES} bytes", "split the file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _broken(path, "not valid UTF-8", "save the file as UTF-8", line=line)
    return parse(text, path=path)


def _broken(path: str, message: str, fix: str, *, line: int = 1) -> Broken:
    return Broken((RunbookProblem(path, line, message, fix),), path)


def _snapshot(results: Sequence[ParseResult], problems: Sequence[RunbookProblem]) -> Snapshot:
    usable: dict[str, Runbook] = {}
    doubles: dict[str, list[Runbook]] = {}
    rest: list[Documentation | Broken] = []
    for result in results:
        if not isinstance(result, Parsed):
            rest.append(result)
        elif usable.setdefault(result.runbook.id, result.runbook) is not result.runbook:
            doubles.setdefault(result.runbook.id, []).append(result.runbook)
    for key, others in doubles.items():
        others.insert(0, usable.pop(key))
    broken = [result for result in rest if isinstance(result, Broken)]
    broken += [_doubled(runbook, same) for same in doubles.values() for runbook in same]
    broken += [Broken((problem,), problem.path) for problem in problems]
    return Snapshot(
        MappingProxyType(usable),
        tuple(result for result in rest if isinstance(result, Documentation)),
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


def _changes(before: Snapshot, after: Snapshot, ids: Collection[str]) -> Changes:
    """`ids` are those that touched files have or had: nothing else can have changed."""
    old, new = before.runbooks, after.runbooks
    return Changes(
        added=tuple(sorted(key for key in ids if key in new and key not in old)),
        changed=tuple(sorted(key for key in ids if key in new and key in old and old[key] != new[key])),
        removed=tuple(sorted(key for key in ids if key in old and key not in new)),
        broken=tuple(broken.path for broken in after.broken),
    )
