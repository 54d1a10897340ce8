"""A disk of a few megabytes that can be filled, and that the kernel can give up on: a mounted file.

Only root can mount one, and only where there are loop devices; elsewhere the tests that need it are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_MEGABYTES = 24


@dataclass
class SmallDisk:
    """`path` is its root."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self) -> None:
        """Not a byte more can be written."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 10, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Somebody made room."""
        self._ballast.unlink()

    def give_up(self) -> None:
        """As ext4 does after an error of the device: from here on nothing can be written."""
        _run("mount", "-o", "remount,abort", str(self.path))


@contextmanager
def small_disk(directory: Path) -> Iterator[SmallDisk]:
    """Mounted below the directory for as long as the block lasts."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root can mount a disk of its own, and mkfs.ext4 has to be there")
    image, root = directory / "disk.img", directory / "disk"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(_MEGABYTES << 20)
    _run("mkfs.ext4", "-q", "-m", "0", str(image))
    mounted = _run("mount", "-o", "loop", str(image), str(root), check=False)
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(root)
    finally:
        _run("umount", "--lazy", str(root))


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=check)
