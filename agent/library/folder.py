"""Finds the Markdown files below a folder; whatever leads out of it is a problem, not a runbook."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

from agent.domain.errors import RunbookProblem

#: Twice the largest library that the timings in docs/matching.md were taken with.
MAX_FILES = 20_000
MAX_DEPTH = 16

_name = attrgetter("name")


class Folder:
    """One look at a folder; asks the file system as little as it can, since a reload looks at every file."""

    def __init__(self, root: Path) -> None:
        self.problems: list[RunbookProblem] = []
        self._root = root
        self._count = 0
        self._is_full = False

    def files(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Every file to read with its path, in a fixed order; all problems are told once it was gone through.

        One at a time: ten thousand entries that are kept cost more than looking at them.
        """
        real_root = self._real(self._root.as_posix())
        if real_root is not None:
            yield from self._below(self._root.as_posix(), real_root, depth=0)

    def _below(self, folder: str, real_root: Path, *, depth: int) -> Iterator[tuple[str, os.DirEntry[str]]]:
        for entry in self._entries(folder):
            name = entry.name
            if name.startswith("."):
                continue  # also the ..data folders of a mounted ConfigMap, whose files are linked beside them
            is_link = entry.is_symlink()
            if Path(entry.path).is_dir() if is_link else entry.is_dir(follow_symlinks=False):
                if self._may_enter(entry, depth, is_link=is_link):
                    yield from self._below(entry.path, real_root, depth=depth + 1)
            elif name.lower().endswith(".md"):
                # a plain file in plain folders is inside
                if self._count >= MAX_FILES:
                    self._tell_too_many(entry)
                elif not is_link or self._is_inside(entry, real_root):
                    self._count += 1
                    yield entry.path.removeprefix("./"), entry

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

    def _may_enter(self, entry: os.DirEntry[str], depth: int, *, is_link: bool) -> bool:
        if is_link:
            self._problem(entry.path, "a link to a folder is not followed", "put the folder itself there")
        elif depth >= MAX_DEPTH:
            self._problem(entry.path, f"folders nested more than {MAX_DEPTH} deep", "make them flatter")
        return not is_link and depth < MAX_DEPTH

    def _is_inside(self, entry: os.DirEntry[str], real_root: Path) -> bool:
        real = self._real(entry.path)
        if real is not None and not real.is_relative_to(real_root):
            self._problem(
                entry.path,
                "a link that leads out of the folder of runbooks",
                "copy the file into the folder",
            )
        return real is not None and real.is_relative_to(real_root)

    def _tell_too_many(self, entry: os.DirEntry[str]) -> None:
        if not self._is_full:
            self._problem(entry.path, f"more than {MAX_FILES} files", "split the folder")
        self._is_full = True

    def _problem(self, path: str, message: str, fix: str) -> None:
        self.problems.append(RunbookProblem(Path(path).as_posix(), 1, message, fix))


def reason(error: Exception) -> str:
    """What the system says."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
