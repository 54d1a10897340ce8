"""What the simulated PagerDuty keeps: users, services, incidents, alerts, notes; and how they change.

Every change is told to the listener as (event type, incident, who did it, note), in the order it happened.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

INTEGRATION = "inbound_integration_reference"
USER = "user_reference"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changed something: a user, or an integration of a service."""

    id: str
    name: str
    type: str = USER
    email: str = ""


@dataclass(slots=True)
class SimulatedAlert:
    """One alert of an incident; `details` is what the monitoring tool sent along."""

    id: str
    summary: str
    alert_key: str
    severity: str | None
    details: Mapping[str, object]
    created_at: datetime
    status: str = "triggered"
    client: str = ""
    source: str = ""
    component: str = ""
    routing_key: str = ""
    links: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class SimulatedNote:
    """One note and whose it is."""

    id: str
    content: str
    by: Actor
    created_at: datetime


@dataclass(slots=True)
class SimulatedIncident:
    """One incident as it stands now."""

    id: str
    number: int
    title: str
    service: str
    urgency: str
    created_at: datetime
    incident_key: str | None = None
    status: str = "triggered"
    priority: str = ""
    team: str = ""
    client: str = ""
    resolution: str = ""
    alerts: list[SimulatedAlert] = field(default_factory=list)
    notes: list[SimulatedNote] = field(default_factory=list)
    acknowledged_by: list[tuple[Actor, datetime]] = field(default_factory=list)
    assigned_to: list[Actor] = field(default_factory=list)
    changed_by: Actor | None = None
    changed_at: datetime | None = None

    @property
    def open_alerts(self) -> list[SimulatedAlert]:
        """The alerts that are not resolved."""
        return [each for each in self.alerts if each.status != "resolved"]


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to an incident; becomes one webhook."""

    event_type: str
    incident: SimulatedIncident
    by: Actor | None
    note: SimulatedNote | None = None


class PagerDutyState:
    """The account's memory; every method is one atomic change."""

    def __init__(self, users: Sequence[Actor], tell: Callable[[Change], None]) -> None:
        self.lock = threading.RLock()
        self.users = list(users)
        self.incidents: dict[str, SimulatedIncident] = {}
        self._tell = tell
        self._numbers = itertools.count(1)

    def user_of(self, email: str) -> Actor | None:
        """The user with this address."""
        return next((u for u in self.users if u.email.casefold() == email.strip().casefold()), None)

    def human(self, name: str) -> Actor:
        """The user of this name, made up if need be."""
        with self.lock:
            known = next((user for user in self.users if user.name == name), None)
            if known is not None:
                return known
            email = f"{name.casefold().replace(' ', '.')}@example.com"
            self.users.append(user := Actor(new_id("P", 7), name, email=email))
            return user

    def add(self, incident: SimulatedIncident, by: Actor | None) -> SimulatedIncident:
        """Take a new incident in."""
        with self.lock:
            self.incidents[incident.id] = incident
            incident.number = next(self._numbers)
            self._tell(Change("incident.triggered", incident, by))
            return incident

    def acknowledge(self, incident: SimulatedIncident, by: Actor) -> None:
        """One more works on it; a resolved incident is reopened by this, as PagerDuty does."""
        with self.lock:
            if incident.status == "resolved":
                incident.acknowledged_by.clear()
            if all(user.id != by.id for user, _ in incident.acknowledged_by):
                incident.acknowledged_by.append((by, now()))
                self._turn(incident, "acknowledged", by, "incident.acknowledged")

    def trigger_again(self, incident: SimulatedIncident, by: Actor) -> None:
        """Un-acknowledge, or reopen what was resolved."""
        with self.lock:
            was = incident.status
            incident.acknowledged_by.clear()
            if was != "triggered":
                told = "incident.reopened" if was == "resolved" else "incident.unacknowledged"
                self._turn(incident, "triggered", by, told)

    def resolve(self, incident: SimulatedIncident, by: Actor | None, resolution: str = "") -> None:
        """Close it and its alerts."""
        with self.lock:
            for alert in incident.alerts:
                alert.status = "resolved"
            if incident.status != "resolved":
                incident.resolution = resolution
                incident.assigned_to.clear()
                incident.acknowledged_by.clear()
                self._turn(incident, "resolved", by, "incident.resolved")

    def reassign(self, incident: SimulatedIncident, to: Actor, by: Actor) -> None:
        """Give it to somebody else; it is triggered again for them."""
        with self.lock:
            incident.assigned_to[:] = [to]
            incident.acknowledged_by.clear()
            self._turn(incident, "triggered", by, "incident.reassigned")

    def annotate(self, incident: SimulatedIncident, content: str, by: Actor) -> SimulatedNote:
        """Add a note."""
        with self.lock:
            note = SimulatedNote(new_id("P", 7), content, by, now())
            incident.notes.append(note)
            self._tell(Change("incident.annotated", incident, by, note))
            return note

    def open_alert(self, routing_key: str, dedup_key: str) -> tuple[SimulatedIncident, SimulatedAlert] | None:
        """The open alert that an event with these keys belongs to."""
        with self.lock:
            for incident in self.incidents.values():
                for alert in incident.open_alerts:
                    if (alert.routing_key, alert.alert_key) == (routing_key, dedup_key):
                        return incident, alert
        return None

    def _turn(self, incident: SimulatedIncident, status: str, by: Actor | None, event_type: str) -> None:
        incident.status = status
        incident.changed_by, incident.changed_at = by, now()
        self._tell(Change(event_type, incident, by))


def new_id(prefix: str = "Q", length: int = 14) -> str:
    """An id in PagerDuty's manner: capital letters and digits."""
    return (prefix + uuid.uuid4().hex.upper())[:length]


def now() -> datetime:
    """The time of the simulation."""
    return datetime.now(UTC)
