"""Stops that SQLite could not take, because a process that hangs holds it: files in a folder beside it.

They are in force as if they stood in the database, until a process that can write to it takes them over. What
else lies in the folder stops everything too: something was meant by it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters import codec
from agent.adapters.files import sync_folder
from agent.domain.errors import StoreError
from agent.domain.stops import FOREIGN_PREFIX, Stop, StopScope


class StopFiles:
    """One file a stop, there as a whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Sequence[Stop]:
        """Every stop that lies there; without the folder, which is as good as always, there is none."""
        try:
            names = os.listdir(self.folder)  # noqa: PTH208  (asked before everything that starts)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be read: {error.strerror}") from error
        found = [self._read(self.folder / name) for name in sorted(names) if not name.startswith(".")]
        return [stop for stop in found if stop is not None]

    def add(self, stop: Stop) -> None:
        """On the disk when it returns."""
        draft = self.folder / f".{stop.id}"
        try:
            self.folder.mkdir(exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                file.write(codec.dump(stop))
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self._path(stop.id))
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be written: {error.strerror}") from error

    def remove(self, stop_id: str) -> None:
        """The database has it now."""
        self._path(stop_id).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another one lies there
            self.folder.rmdir()

    def _path(self, stop_id: str) -> Path:
        return self.folder / f"{stop_id}.json"

    def _read(self, path: Path) -> Stop | None:
        try:
            return _stop(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None  # taken over since we looked
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            reason = f"{path} is no stop of ours; remove it to go on"
            return Stop(f"{FOREIGN_PREFIX}{path.name}", StopScope.ALL, "", reason, "a file", _ONCE)


_ONCE = datetime.fromtimestamp(0, UTC)


def _stop(data: dict[str, object]) -> Stop:
    at = datetime.fromisoformat(str(data["at"]))
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    name, reason, by = (str(data[key]) for key in ("name", "reason", "by"))
    ends_running = data["ends_running"] is True
    return Stop(str(data["id"]), StopScope(str(data["scope"])), name, reason, by, at, ends_running)
