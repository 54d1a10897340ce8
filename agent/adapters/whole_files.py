"""Small files that are there whole or not at all, whoever is killed while writing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_whole(path: Path, data: Mapping[str, object]) -> None:
    """Replace the file; OSError if that cannot be done."""
    write_text(path, json.dumps(data) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace the file with this text; OSError if that cannot be done."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
