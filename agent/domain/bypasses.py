"""An emergency bypass: for a time a gateway lets through what its configuration would block."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Bypass:
    """One that is in force, or may be: it is written down before it is sent.

    `before` is put back when its time is over, if `during` is what stands there then. `failures` counts tries
    to put it back that failed; the next one is due at `next_at`.
    """

    configuration: str
    incident_id: str
    before: str
    during: str
    begun_at: datetime
    ends_at: datetime
    next_at: datetime
    failures: int = 0
