"""The folder of runbooks: loaded whole, reloaded where it changed, swapped in at once."""

from __future__ import annotations

import gc
import hashlib
import os
import stat
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
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

    runbooks: MappingProxyType[str, Runbook] = field(default_factory=lambda: MappingProxyType({}))
    documentation: tuple[Documentation, ...] = ()
    broken: tuple[Broken, ...] = ()


_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _File:
    """A file as last read; parsed again when its bytes differ."""

    digest: str
    result: ParseResult


@dataclass(slots=True)
class _Look:
    """One look at the folder: when each file was last written; nothing else of most files is touched."""

    stamps: dict[str, _Stamp | None] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)


class Library:
    """All runbooks of a folder, in one consistent state; a broken file is never run in an old form."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root)
        self._lock = threading.Lock()
        self._files: dict[str, _File] = {}
        self._stamps: dict[str, _Stamp | None] = {}
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
            before, found = self._snapshot, Folder(self._root)
            look = _looked(found, self._stamps)
            self._stamps = look.stamps
            old = self._take_in(look)
            same_problems = tuple(found.problems) == self._problems
            if not old and same_problems:
                return Changes(broken=tuple(broken.path for broken in before.broken))
            self._problems = tuple(found.problems)
            new = {path: self._files.get(path) for path in old}
            short = _with_changed(before, old, new) if same_problems else None
            # in the order of the folder, which is the same whoever looks
            files = (self._files[path] for path in look.stamps)
            after = short or _snapshot([file.result for file in files], found.problems)
            changes = _changes(before, after, _ids(old) | _ids(new))
            self._snapshot = after
            return changes

    def _take_in(self, look: _Look) -> Mapping[str, _File | None]:
        """Read what was written since; gives what stood there of each file that says something else now."""
        old: dict[str, _File | None] = {}
        for path in look.fresh:
            known = self._files.get(path)
            self._files[path] = file = _read(path, known)
            if not file.digest:
                look.stamps[path] = None  # it is tried again at the next look
            if known is None or known.result is not file.result:
                old[path] = known
        if len(self._files) != len(look.stamps):
            for path in self._files.keys() - look.stamps.keys():
                old[path] = self._files.pop(path)
        return old


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
    return _read(path.as_posix(), None).result


def _looked(found: Folder, before: Mapping[str, _Stamp | None]) -> _Look:
    """When every file was last written, and the paths of those that were since."""
    look = _Look()
    for path, entry in found.files():
        try:
            status = entry.stat()
        except OSError:
            stamp = None  # reading it tells why
        else:
            stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        look.stamps[path] = stamp
        if stamp is None or before.get(path) != stamp:
            look.fresh.append(path)
    return look


_Files = Mapping[str, _File | None]


def _with_changed(before: Snapshot, old: _Files, new: _Files) -> Snapshot | None:
    """The everyday case in little time: runbooks that stayed runbooks under their ids; None for any other."""
    changed: dict[str, Runbook] = {}
    for path, was in old.items():
        now = new[path]
        if was is None or now is None:
            return None
        if not (isinstance(was.result, Parsed) and isinstance(now.result, Parsed)):
            return None
        was_one, is_one = was.result.runbook, now.result.runbook
        if was_one.id != is_one.id or before.runbooks.get(was_one.id) is not was_one:
            return None
        changed[is_one.id] = is_one
    if not changed:
        return None
    runbooks = MappingProxyType(before.runbooks | changed)
    return Snapshot(runbooks, before.documentation, before.broken)


def _ids(files: _Files) -> set[str]:
    results = (file.result for file in files.values() if file is not None)
    return {result.runbook.id for result in results if isinstance(result, Parsed)}


def _read(path: str, known: _File | None) -> _File:
    """The file's result; unchanged bytes are not parsed again."""
    try:
        content = _content(path)
    except OSError as error:
        return _File("", _broken(path, f"cannot be read: {reason(error)}", "check its permissions"))
    digest = hashlib.sha256(content).hexdigest()
    if known is not None and known.digest == digest:
        return known
    return _File(digest, _parsed(path, content))


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
