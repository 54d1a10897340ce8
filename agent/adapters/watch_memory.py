"""What the watcher remembers, in one small file; losing it costs one needless clearing, never a page."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import structlog

from agent.adapters.whole_files import write_whole
from agent.domain.watching import WatchMemory

log = structlog.get_logger()


class MemoryFile:
    """A file that cannot be used is told, and the watcher goes on without."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> WatchMemory:
        """What was remembered; nothing, if there is no file or it makes no sense."""
        try:
            return _memory_in(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return WatchMemory()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("watch_memory_unreadable", path=str(self._path), error=str(error))
            return WatchMemory()

    def save(self, memory: WatchMemory) -> None:
        """Whole or not at all."""
        data = {
            "is_paged": memory.is_paged,
            "silent_since": memory.silent_since.isoformat() if memory.silent_since else None,
            "silent_s": round(memory.silent_s, 3),
            "why": memory.why,
        }
        try:
            write_whole(self._path, data)
        except OSError as error:
            log.warning("watch_memory_unwritable", path=str(self._path), error=str(error))


def _memory_in(text: str) -> WatchMemory:
    data = json.loads(text)
    since = datetime.fromisoformat(data["silent_since"]) if data["silent_since"] else None
    if since is not None and since.tzinfo is None:
        raise ValueError("a time without its zone")
    is_paged = None if data["is_paged"] is None else bool(data["is_paged"])
    return WatchMemory(is_paged, since, max(0.0, float(data["silent_s"])), str(data["why"]))
