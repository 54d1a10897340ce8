"""Finds the Markdown files below a folder; whatever leads out of it is a problem, not a runbook."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from agent.domain.errors import RunbookProblem

#: Twice the largest library that the timings in docs/matching.md were taken with.
MAX_FILES = 20_000
MAX_DEPTH = 16


class Folder:
    """One look at a folder; asks the file system as little as it can, since a reload looks at every file."""

    def __init__(self, root: Path) -> None:
        self.problems: list[RunbookProblem] = []
        self._root = root
        self._count = 0

    def files(self) -> Iterator[os.DirEntry[str]]:
        """Every file to read, in a fixed order."""
        real_root = self._real(self._root.as_posix())
        if real_root is not None:
            yield from self._below(self._root.as_posix(), real_root, 0)

    def _below(self, folder: str, real_root: Path, depth: int) -> Iterator[os.DirEntry[str]]:
        for entry in self._entries(folder):
            name = entry.name
            if name.startswith("."):
                continue  # also the ..data folders of a mounted ConfigMap, whose files are linked beside them
            is_link = entry.is_symlink()
            if Path(entry.path).is_dir() if is_link else entry.is_dir(follow_symlinks=False):
                yield from self._below_entry(entry, real_root, depth)
            elif name[-3:].lower() == ".md" and self._may_read(entry, real_root, is_link=is_link):
                yield entry

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=_name)
        except OSError as error:
            self._problem(folder, f"the folder cannot be read: {reason(error)}", "check its permissions")
            return []

    def _real(self, path: str) -> Path | None:
        """Where the path really leads; a loop of links leads nowhere (RuntimeError before Python 3.13)."""
        try:
            return Path(path).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            self._problem(path, f"cannot be read: {reason(error)}", "check that it exists (runbooks.path)")
            return None

    def _below_entry(
        self, entry: os.DirEntry[str], real_root: Path, depth: int
    ) -> Iterator[os.DirEntry[str]]:
        path = path_of(entry)
        if entry.is_symlink():
            self._problem(path, "a link to a folder is not followed", "put the folder itself there")
        elif depth >= MAX_DEPTH:
            self._problem(path, f"folders nested more than {MAX_DEPTH} deep", "make them flatter")
        else:
            yield from self._below(entry.path, real_root, depth + 1)

    def _may_read(self, entry: os.DirEntry[str], real_root: Path, *, is_link: bool) -> bool:
        self._count += 1
        if self._count > MAX_FILES:
            if self._count == MAX_FILES + 1:
                self._problem(path_of(entry), f"more than {MAX_FILES} files", "split the folder")
            return False
        if not is_link:
            return True  # a plain file in plain folders is inside
        real = self._real(entry.path)
        if real is not None and not real.is_relative_to(real_root):
            self._problem(
                path_of(entry),
                "a link that leads out of the folder of runbooks",
                "copy the file into the folder",
            )
        return real is not None and real.is_relative_to(real_root)

    def _problem(self, path: str, message: str, fix: str) -> None:
        self.problems.append(RunbookProblem(Path(path).as_posix(), 1, message, fix))


def path_of(entry: os.DirEntry[str]) -> str:
    """The entry's path as it is told: `a.md` and not `./a.md`."""
    return entry.path.removeprefix("./")


def reason(error: Exception) -> str:
    """What the system says."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name
