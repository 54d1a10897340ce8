"""PagerDuty's V3 webhooks: is it really from PagerDuty, and what does it say.

The signature covers the raw bytes and no time, so a replay is stopped by `X-Webhook-Id` (the same for
every attempt), not here. Reading never raises: a body that is not understood is a `Malformed` with words.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.adapters.json_view import child, items_at, text_at
from agent.adapters.pagerduty_facts import first_text, urgency_of
from agent.adapters.webhook_body import BODY_MAX_BYTES, object_in
from agent.domain.alert import Alert, Urgency
from agent.domain.source_event import ActorKind, EventType, SourceEvent
from agent.ports.sources import Malformed

_HEADER_MAX = 8192
_EVENT_TYPES: Mapping[str, EventType] = {
    "incident.triggered": EventType.TRIGGERED,
    "incident.acknowledged": EventType.ACKNOWLEDGED,
    "incident.reassigned": EventType.REASSIGNED,
    "incident.delegated": EventType.REASSIGNED,
    "incident.escalated": EventType.REASSIGNED,
    "incident.resolved": EventType.RESOLVED,
    "incident.reopened": EventType.REOPENED,
}


@dataclass(frozen=True, slots=True)
class IncidentPart:
    """The incident in a webhook; only `id` is always there, notes and the like carry little more."""

    id: str
    title: str = ""
    status: str = ""
    urgency: Urgency | None = None
    priority: str = ""
    service: str = ""
    team: str = ""
    url: str = ""
    incident_key: str = ""
    created_at: datetime | None = None
    assignee_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One V3 event. `simple` marks the short form `{"incident": {"id", "title", "urgency"}}`."""

    event_id: str
    event_type: str
    occurred_at: datetime | None = None
    agent_id: str = ""
    agent_type: str = ""
    agent_name: str = ""
    client_name: str = ""
    incident: IncidentPart | None = None
    simple: bool = False


def verify(raw: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Whether one of the secrets signed these bytes; during rotation the header holds several signatures."""
    if not header or len(header) > _HEADER_MAX:
        return False
    expected = [_signature(raw, secret) for secret in secrets if secret.strip()]
    offered = [part.strip().encode("utf-8", "surrogatepass") for part in header.split(",")]
    matches = [hmac.compare_digest(mine, theirs) for mine in expected for theirs in offered]
    return any(matches)


def read(raw: bytes) -> WebhookEvent | Malformed:
    """The event in a webhook's body, or why there is none."""
    if len(raw) > BODY_MAX_BYTES:  # PagerDuty drops those above 256 KB itself ("Webhooks", "Behavior")
        return Malformed(f"the body has {len(raw)} bytes; PagerDuty sends at most 262144")
    body = object_in(raw)
    return body if isinstance(body, Malformed) else _event_in(body)


def to_alert(event: WebhookEvent) -> Alert | None:
    """The alert that the incident in the event stands for; None if it carries no incident."""
    incident = event.incident
    if incident is None:
        return None
    return Alert(
        source="pagerduty",
        source_id=incident.id,
        title=incident.title,
        service=incident.service,
        urgency=incident.urgency,
        priority=incident.priority,
        team=incident.team,
        url=incident.url,
        dedup_key=incident.incident_key or incident.id,
        fired_at=incident.created_at or event.occurred_at,
    )


def to_source_event(event: WebhookEvent, delivery_id: str) -> SourceEvent:
    """The event in the agent's own words; `delivery_id` is the X-Webhook-Id, else the event's id is taken."""
    return SourceEvent(
        source="pagerduty",
        delivery_id=delivery_id or event.event_id,
        type=_EVENT_TYPES.get(event.event_type, EventType.OTHER),
        name=event.event_type,
        source_id=event.incident.id if event.incident else "",
        actor_kind=_actor_kind(event.agent_type),
        actor_id=event.agent_id,
        actor_name=event.agent_name,
        client=event.client_name,
        alert=to_alert(event),
        occurred_at=event.occurred_at,
    )


def _signature(raw: bytes, secret: str) -> bytes:
    key = secret.strip().encode("utf-8", "surrogatepass")
    return b"v1=" + hmac.new(key, raw, hashlib.sha256).hexdigest().encode()


def _event_in(body: Mapping[str, object]) -> WebhookEvent | Malformed:
    event = child(body, "event")
    if isinstance(event, Mapping):
        return _v3(event)
    if isinstance(child(body, "incident"), Mapping):
        return _simple(body)
    if "messages" in body:
        return Malformed(
            'this is a V1 or V2 webhook ("messages"); make a V3 webhook subscription in PagerDuty'
        )
    return Malformed('there is no "event" in the body; a V3 webhook is {"event": {...}}')


def _v3(event: Mapping[str, object]) -> WebhookEvent | Malformed:
    event_type = text_at(event, "event_type")
    if not event_type:
        return Malformed("event.event_type is missing")
    incident = _incident_in(event)
    if incident is None and event_type in _EVENT_TYPES:
        return Malformed(f"{event_type} without an incident id at event.data")
    return WebhookEvent(
        event_id=text_at(event, "id"),
        event_type=event_type,
        occurred_at=_time_at(event, "occurred_at"),
        agent_id=text_at(event, "agent", "id"),
        agent_type=text_at(event, "agent", "type"),
        agent_name=text_at(event, "agent", "summary"),
        client_name=text_at(event, "client", "name"),
        incident=incident,
    )


def _simple(body: Mapping[str, object]) -> WebhookEvent | Malformed:
    incident = _part(child(body, "incident"))
    if incident is None:
        return Malformed("incident.id is missing")
    return WebhookEvent(event_id="", event_type="incident.triggered", incident=incident, simple=True)


def _incident_in(event: Mapping[str, object]) -> IncidentPart | None:
    """At event.data for an incident, at event.data.incident for a note, a responder and the like."""
    data = child(event, "data")
    kind = text_at(data, "type")
    if kind == "incident" or (not kind and text_at(event, "resource_type") == "incident"):
        return _part(data) or _part(child(data, "incident"))
    return _part(child(data, "incident"))


def _part(incident: object) -> IncidentPart | None:
    incident_id = text_at(incident, "id")
    if not incident_id or "\ufffd" in incident_id:
        return None
    url = text_at(incident, "html_url")
    assignees = (text_at(each, "id") for each in items_at(incident, "assignees"))
    return IncidentPart(
        id=incident_id,
        title=text_at(incident, "title") or text_at(incident, "summary"),
        status=text_at(incident, "status"),
        urgency=urgency_of(text_at(incident, "urgency")),
        priority=text_at(incident, "priority", "summary"),
        service=text_at(incident, "service", "summary") or text_at(incident, "service"),
        team=first_text(items_at(incident, "teams"), "summary"),
        url=url if url.startswith(("https://", "http://")) else "",
        incident_key=text_at(incident, "incident_key"),
        created_at=_time_at(incident, "created_at"),
        assignee_ids=tuple(filter(None, assignees)),
    )


def _time_at(value: object, key: str) -> datetime | None:
    """An aware time in UTC; a time without a zone is taken as UTC."""
    try:
        at = datetime.fromisoformat(text_at(value, key))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _actor_kind(agent_type: str) -> ActorKind:
    if not agent_type:
        return ActorKind.UNKNOWN
    return ActorKind.HUMAN if agent_type in {"user", "user_reference"} else ActorKind.MACHINE
