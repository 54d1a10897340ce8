"""The folder of runbooks: loaded whole, reloaded where it changed, swapped in at once."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from agent.domain.alert import Alert
from agent.domain.errors import RunbookProblem
from agent.domain.runbook import Runbook
from agent.library.folder import Folder, path_of, reason
from agent.library.markdown import MAX_BYTES, parse
from agent.library.results import Broken, Documentation, Parsed, ParseResult
from agent.library.trigger_index import TriggerIndex
from agent.library.trigger_verdicts import Verdict


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
        self._swap = threading.Lock()  # held for milliseconds, unlike `_lock`
        self._triggers = TriggerIndex()
        self._problems: tuple[RunbookProblem, ...] = ()
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

    def eligible(self, alert: Alert) -> tuple[tuple[Runbook, Verdict], ...]:
        """The runbooks whose Trigger Conditions all hold, in the order of their ids, each with its reasons.

        The same as evaluating every runbook; of 10,000 only those are looked at that can hold.
        """
        with self._swap:
            held = self._triggers.eligible(alert)
            return tuple((self._snapshot.runbooks[key], verdict) for key, verdict in held)

    def reload(self) -> Changes:
        """Take in what changed on disk; a file that became broken is taken out and reported."""
        with self._lock:
            before, known = self._snapshot, self._files
            found = Folder(self._root)
            self._files = {
                path: _read(path, entry, known.get(path))
                for entry in found.files()
                for path in (path_of(entry),)
            }
            if self._is_as_before(known, found.problems):
                return Changes(broken=tuple(broken.path for broken in before.broken))
            self._problems = tuple(found.problems)
            after = _snapshot([file.result for file in self._files.values()], found.problems)
            changes = _changes(before, after)
            self._take(after, changes)
            return changes

    def _is_as_before(self, known: Mapping[str, _File], problems: Sequence[RunbookProblem]) -> bool:
        same_files = len(known) == len(self._files) and all(
            path in known and known[path].result is file.result for path, file in self._files.items()
        )
        return same_files and tuple(problems) == self._problems

    def _take(self, after: Snapshot, changes: Changes) -> None:
        """Runbooks and the index of their triggers change at one moment."""
        with self._swap:
            for key in changes.removed:
                self._triggers.remove(key)
            for key in (*changes.added, *changes.changed):
                self._triggers.put(key, after.runbooks[key].trigger)
            self._snapshot = after


def read_file(path: Path) -> ParseResult:
    """What one file is, read as the library reads it."""
    return _read(path.as_posix(), path, None).result


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
        changed=tuple(sorted(key for key in kept if _differ(before.runbooks[key], after.runbooks[key]))),
        removed=tuple(sorted(before.runbooks.keys() - after.runbooks.keys())),
        broken=tuple(broken.path for broken in after.broken),
    )


def _differ(before: Runbook, after: Runbook) -> bool:
    """Most are the same object; looking into 10,000 equal ones would take longer than the rest."""
    return before is not after and before != after
