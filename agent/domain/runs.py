"""The run of an incident: it goes in legs, parks between them, and remembers its steps by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Leg:
    """What a run does in one go: from its start, or from the end of a wait, to the next wait or the end."""

    incident_id: str
    number: int = 1

    @property
    def id(self) -> str:
        """The name under which the engine starts it, once."""
        return self.incident_id if self.number == 1 else f"{self.incident_id}.{self.number}"

    @property
    def next(self) -> Leg:
        """What follows it: after a wait, or with whoever takes the run over."""
        return Leg(self.incident_id, self.number + 1)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The leg that a run is at, and whether it waits behind it."""

    leg: Leg
    is_parked: bool


@dataclass(frozen=True, slots=True)
class Memory:
    """What a leg finds at its start: what the steps of earlier legs returned, as text."""

    steps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Places:
    """How many incidents may be worked on at once, and whether a service has only one place of them."""

    at_once: int
    one_per_service: bool = True


@dataclass(frozen=True, slots=True)
class Agenda:
    """What there is to do for a dispatcher; cheap to ask for."""

    events: bool = False
    decisions: bool = False
    waits: bool = False
    starts: bool = False


class RunState(StrEnum):
    """What became of a run."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    DONE = "done"
    DEAD = "dead"
    WORN_OUT = "worn out"
    OTHER_VERSION = "of another version"


class LegOver(BaseException):
    """The leg of a run ends here; no error: nobody but who began the leg is to catch it."""


class Parked(LegOver):
    """The run waits; its next leg is begun when it is woken or its time is over."""


class Lost(LegOver):
    """Somebody else carries the run on; what was about to be written is not."""


class Closing(LegOver):
    """The process ends; the leg goes on at its next start, or elsewhere."""
