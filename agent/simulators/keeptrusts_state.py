"""What a simulated Keeptrusts holds: escalations, decision events, exports, and who may ask."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

Json = Mapping[str, object]


@dataclass(slots=True)
class SimulatedEscalation:
    """One escalation as it stands now; the first ten fields are what its webhook tells."""

    escalation_id: str
    event_id: str
    policy_name: str
    policy_type: str
    action: str
    model: str
    gateway_id: str
    org_id: str
    user_id: str
    timestamp: str
    status: str = "pending"
    resolution: str = ""
    notes: str = ""
    resolved_by: str = ""
    resolved_at: str = ""

    @property
    def told(self) -> dict[str, object]:
        """The body of `escalation.created`."""
        return {name: getattr(self, name) for name in TOLD}

    @property
    def shown(self) -> dict[str, object]:
        """As `GET /v1/escalations` gives it."""
        rest = ("status", "resolution", "notes", "resolved_by", "resolved_at")
        ended = {name: getattr(self, name) or None for name in rest}
        return {"id": self.escalation_id, **self.told, "created_at": self.timestamp, **ended}


TOLD = (
    "event_id", "escalation_id", "policy_name", "policy_type", "action", "model", "gateway_id", "org_id",
    "user_id", "timestamp",
)  # fmt: skip


class KeeptrustsState:
    """The organisation's memory; every method is one atomic change."""

    def __init__(self, token: str, tell: Callable[[str, Json], None]) -> None:
        self.lock = threading.RLock()
        self.token = token
        self.escalations: dict[str, SimulatedEscalation] = {}
        self.events: list[dict[str, object]] = []
        self.exports: dict[str, Json] = {}
        self._tell = tell
        self._numbers = itertools.count(1)

    def next_id(self, prefix: str) -> str:
        """An id that nothing else has."""
        return f"{prefix}_{next(self._numbers):05d}"

    def add(self, **fields: str) -> SimulatedEscalation:
        """A policy escalates: the record is there and `escalation.created` is told."""
        at = stamp(datetime.now(UTC))
        made = {
            "escalation_id": self.next_id(f"esc_{datetime.now(UTC):%Y%m%d}"),
            "event_id": self.next_id("evt"),
            "policy_name": "phi-detection",
            "policy_type": "compliance",
            "action": "escalate",
            "model": "gpt-4o",
            "gateway_id": "gw-prod-1",
            "org_id": "org_example",
            "user_id": "consumer@example.com",
            "timestamp": at,
        }
        escalation = SimulatedEscalation(**{**made, **fields})
        with self.lock:
            self.escalations[escalation.escalation_id] = escalation
            self._tell("escalation.created", escalation.told)
        return escalation

    def resolve(self, escalation: SimulatedEscalation, resolution: str, notes: str, by: str) -> bool:
        """Somebody settles it and `escalation.resolved` is told; False if it was settled before."""
        with self.lock:
            if escalation.status == "resolved":
                return False
            escalation.status, escalation.resolution, escalation.notes = "resolved", resolution, notes
            escalation.resolved_by, escalation.resolved_at = by, stamp(datetime.now(UTC))
            said = {"escalation_id": escalation.escalation_id, "resolution": resolution, "notes": notes}
            self._tell("escalation.resolved", said | {"resolved_by": by})
            return True

    def newest_first(self, status: str = "") -> Sequence[SimulatedEscalation]:
        """Escalations of one status, or all."""
        with self.lock:
            found = [each for each in self.escalations.values() if status in ("", each.status)]
        found.reverse()
        return sorted(found, key=lambda each: each.timestamp, reverse=True)


@dataclass(slots=True)
class Hook:
    """One registered webhook."""

    id: str
    url: str
    description: str
    event_types: Sequence[str]
    active: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)


def stamp(at: datetime) -> str:
    """A time as the published pages write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
