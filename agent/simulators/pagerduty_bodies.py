"""JSON in the forms that PagerDuty sends: the REST API's incident, alert, note, user; V3 webhook events."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from agent.simulators.pagerduty_state import (
    Actor,
    SimulatedAlert,
    SimulatedIncident,
    SimulatedNote,
    new_id,
    now,
)

Body = dict[str, object]

_WEB = "https://pagerduty.example.com"
_API = "https://api.pagerduty.com"
#: Where the incident stands in event.data, for event types whose data is not the incident itself
#: (documentation "Webhooks", table "Event Types").
_DATA_TYPES: Mapping[str, str] = {
    "incident.annotated": "incident_note",
    "incident.conference_bridge.updated": "incident_conference_bridge",
    "incident.custom_field_values.updated": "incident_field_values",
    "incident.responder.added": "incident_responder",
    "incident.responder.replied": "incident_responder",
    "incident.role.assigned": "incident_role_assignment",
    "incident.status_update_published": "incident_status_update",
    "incident.task.completed": "incident_task",
    "incident.task.created": "incident_task",
    "incident.task.updated": "incident_task",
    "incident.action_invocation.created": "incident_action_invocation",
    "incident.action_invocation.terminated": "incident_action_invocation",
    "incident.action_invocation.updated": "incident_action_invocation",
    "incident.workflow.started": "incident_workflow_instance",
    "incident.workflow.completed": "incident_workflow_instance",
}


def stamp(at: datetime) -> str:
    """A time as PagerDuty writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reference(kind: str, of_id: str, summary: str | None, path: str) -> Body:
    """A pointer to something, as it stands inside other bodies."""
    return {
        "id": of_id,
        "type": kind,
        "summary": summary,
        "self": f"{_API}/{path}/{of_id}",
        "html_url": f"{_WEB}/{path}/{of_id}",
    }


def actor_reference(actor: Actor | None) -> Body | None:
    """A pointer to who did it."""
    if actor is None:
        return None
    path = "users" if actor.type == "user_reference" else "services/PSERVICE/integrations"
    return reference(actor.type, actor.id, actor.name, path)


def service_reference(name: str) -> Body:
    """A pointer to a service; its id follows from its name."""
    return reference("service_reference", service_id(name), name, "services")


def service_id(name: str) -> str:
    """The id of the service of this name, always the same."""
    return "P" + uuid.uuid5(uuid.NAMESPACE_DNS, name).hex.upper()[:6]


def user_body(user: Actor) -> Body:
    """`user` of GET /users/me and /users."""
    return {
        **reference("user", user.id, user.name, "users"),
        "name": user.name,
        "email": user.email,
        "time_zone": "Etc/UTC",
        "role": "user",
        "teams": [],
        "contact_methods": [],
        "notification_rules": [],
    }


def incident_body(incident: SimulatedIncident) -> Body:
    """`incident` of the REST API."""
    changed_at = stamp(incident.changed_at or incident.created_at)
    policy = reference("escalation_policy_reference", "PPOLICY", "Default", "escalation_policies")
    return {
        **_identity(incident, "incident"),
        "summary": f"[#{incident.number}] {incident.title}",
        "incident_number": incident.number,
        "updated_at": changed_at,
        "assigned_via": "escalation_policy",
        "assignments": [
            {"at": stamp(incident.created_at), "assignee": actor_reference(user)}
            for user in incident.assigned_to
        ],
        "acknowledgements": [
            {"at": stamp(at), "acknowledger": actor_reference(user)} for user, at in incident.acknowledged_by
        ],
        "last_status_change_at": changed_at,
        "last_status_change_by": actor_reference(incident.changed_by) or service_reference(incident.service),
        "resolved_at": changed_at if incident.status == "resolved" else None,
        "escalation_policy": policy,
        "pending_actions": [],
    }


def alert_body(incident: SimulatedIncident, alert: SimulatedAlert) -> Body:
    """`alert` of GET /incidents/{id}/alerts, with the details in both of their places."""
    contexts = [{"type": "link", **link} for link in alert.links]
    cef: Body = {
        "client": alert.client or None,
        "contexts": contexts,
        "dedup_key": alert.alert_key,
        "description": alert.summary,
        "details": alert.details,
        "severity": alert.severity,
        "source_origin": alert.source or None,
        "source_component": alert.component or None,
    }
    return {
        **reference("alert", alert.id, alert.summary, "alerts"),
        "created_at": stamp(alert.created_at),
        "status": alert.status,
        "alert_key": alert.alert_key,
        "suppressed": False,
        "severity": alert.severity,
        "service": service_reference(incident.service),
        "incident": reference("incident_reference", incident.id, incident.title, "incidents"),
        "body": {"type": "alert_body", "contexts": contexts, "details": alert.details, "cef_details": cef},
        "integration": None,
    }


def note_body(note: SimulatedNote) -> Body:
    """`note` of the notes API."""
    return {
        "id": note.id,
        "user": actor_reference(note.by),
        "channel": {"summary": "The PagerDuty website or APIs"},
        "content": note.content,
        "created_at": stamp(note.created_at),
    }


def webhook_event(
    event_type: str,
    incident: SimulatedIncident | None,
    *,
    agent: Actor | None = None,
    note: SimulatedNote | None = None,
    occurred_at: datetime | None = None,
    **data: object,
) -> Body:
    """The body of one V3 webhook of any event type; `data` adds to or replaces fields of event.data."""
    return {
        "event": {
            "id": new_id("01", 26),
            "event_type": event_type,
            "resource_type": event_type.partition(".")[0],
            "occurred_at": (occurred_at or now()).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "agent": actor_reference(agent),
            "client": {"name": incident.client} if incident and incident.client else None,
            "data": {**_data(event_type, incident, note), **data},
        }
    }


def ping_event() -> Body:
    """The body that "Send Test Event" sends."""
    return webhook_event("pagey.ping", None)


def _data(event_type: str, incident: SimulatedIncident | None, note: SimulatedNote | None) -> Body:
    if event_type == "pagey.ping":
        return {"message": "A test event from the simulated PagerDuty", "type": "ping"}
    if event_type.startswith("service."):
        name = incident.service if incident else "checkout-api"
        return {**service_reference(name), "type": "service", "teams": []}
    assert incident is not None, f"{event_type} is about an incident"
    kind = _DATA_TYPES.get(event_type)
    if kind is None:
        return _webhook_incident(incident)
    about = reference("incident_reference", incident.id, incident.title, "incidents")
    return {"incident": about, "id": new_id("P", 7), "type": kind, **_note_part(note)}


def _note_part(note: SimulatedNote | None) -> Body:
    return {} if note is None else {"id": note.id, "content": note.content, "trimmed": False}


def _webhook_incident(incident: SimulatedIncident) -> Body:
    return {
        **_identity(incident, "incident"),
        "number": incident.number,
        "reopened_at": None,
        "assignees": [actor_reference(user) for user in incident.assigned_to],
        "escalation_policy": reference(
            "escalation_policy_reference", "PPOLICY", "Default", "escalation_policies"
        ),
        "conference_bridge": None,
        "resolve_reason": None,
        "incident_type": {"name": "incident_default"},
    }


def _identity(incident: SimulatedIncident, kind: str) -> Body:
    return {
        "id": incident.id,
        "type": kind,
        "self": f"{_API}/incidents/{incident.id}",
        "html_url": f"{_WEB}/incidents/{incident.id}",
        "status": incident.status,
        "incident_key": incident.incident_key,
        "created_at": stamp(incident.created_at),
        "title": incident.title,
        "service": service_reference(incident.service),
        "teams": _named("team_reference", incident.team, "teams"),
        "priority": next(iter(_named("priority_reference", incident.priority, "priorities")), None),
        "urgency": incident.urgency,
    }


def _named(kind: str, name: str, path: str) -> Sequence[Body]:
    return [reference(kind, service_id(name), name, path)] if name else []
