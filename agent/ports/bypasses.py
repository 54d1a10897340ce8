"""What an emergency bypass needs: the configurations of gateways, and a book of those that are open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from agent.domain.bypasses import Bypass
from agent.domain.incident import Entry
from agent.domain.outbox import Message


class Configurations(Protocol):
    """The configurations of Keeptrusts' gateways, as texts; ServiceError if it cannot be asked."""

    def current(self, configuration: str) -> str:
        """What is in force now."""
        ...

    def put(self, configuration: str, content: str) -> None:
        """Make this the one that gateways fetch at their next sync."""
        ...


class BypassBook(Protocol):
    """Open bypasses; what is written here outlives the process."""

    def open_bypass(self, bypass: Bypass, entry: Entry) -> bool:
        """Write it down before it is sent; False if the configuration has one already."""
        ...

    def bypass_of(self, configuration: str) -> Bypass | None:
        """The one that is open."""
        ...

    def bypasses(self) -> Sequence[Bypass]:
        """All that are open, the next to end first."""
        ...

    def bypasses_due(self, now: datetime, most: int) -> Sequence[Bypass]:
        """Those whose end, or whose next try of it, is due."""
        ...

    def bypass_failed(
        self, before: Bypass, after: Bypass, entry: Entry, messages: Sequence[Message] = ()
    ) -> bool:
        """It could not be ended and is tried again; False if it is not as it was read any more."""
        ...

    def bypass_ended(self, bypass: Bypass, entry: Entry, messages: Sequence[Message] = ()) -> bool:
        """It is over, told in the same transaction; False if somebody told so before."""
        ...
