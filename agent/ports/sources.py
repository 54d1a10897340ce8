"""Where alerts come from: whoever posts them to us, in their own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.domain.source_event import SourceEvent


@dataclass(frozen=True, slots=True)
class Malformed:
    """A body that is not what this source sends, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotGenuine:
    """It does not prove that it is from this source, and what is missing.

    `again`: nobody can tell right now, so its source is asked to send it again.
    """

    reason: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What a delivery says: no event at all (a test, a ping), one, or one for each alert of a group.

    The delivery id of an event is the same for each attempt to deliver it, and another one for anything new.
    `kept`: what is kept of the body with each event, where one body holds many; left out, it is all of it.
    """

    events: Sequence[SourceEvent]
    why_none: str = ""
    kept: Sequence[str] = ()


class AlertSource(Protocol):
    """One source's webhook. Reading never raises: what is not understood is told with words.

    `headers` have their names in lower case. Whether it is genuine is asked over the raw bytes, first.
    `asks_others`: proving it may take an exchange over the network, so that it must hold up nobody else.
    """

    name: str
    asks_others: bool

    def genuine(self, raw: bytes, headers: Mapping[str, str]) -> NotGenuine | None:
        """None if it proves that it is from this source: a signature, or a secret that only it knows."""
        ...

    def read(self, raw: bytes, headers: Mapping[str, str]) -> Read | Malformed:
        """What it says, in our own words."""
        ...
