"""What a look at the agent from outside can find, and what the watcher remembers of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Well:
    """The agent says that it can do its work; or its last word to that is not old yet."""


@dataclass(frozen=True, slots=True)
class Silent:
    """It does not answer, or says that it cannot do its work. `since`: if it is known to be longer."""

    why: str
    since: datetime | None = None


Look = Well | Silent


@dataclass(frozen=True, slots=True)
class WatchMemory:
    """What outlives the watcher.

    `is_paged`: a human was paged and it is not taken back; None: not known. `silent_s`: how much of the
    silence was watched: while the watcher is off, the whole machine may be.
    """

    is_paged: bool | None = None
    silent_since: datetime | None = None
    silent_s: float = 0.0
    why: str = ""
