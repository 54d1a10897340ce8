"""The simulated Events API v2: validates as PagerDuty does and applies at once.

Where PagerDuty only queues, an effect is seen here immediately. A summary over 1,024 characters is
truncated, not refused; a dedup_key over 255 characters and an event over 512 KB are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Flask, Response, jsonify, request

from agent.simulators.pagerduty_state import (
    INTEGRATION,
    Actor,
    PagerDutyState,
    SimulatedAlert,
    SimulatedIncident,
    new_id,
    now,
)

_EVENT_MAX_BYTES = 512 * 1024
_SUMMARY_MAX = 1024
_SEVERITIES = ("critical", "error", "warning", "info")
_ACTIONS = ("trigger", "acknowledge", "resolve")

Json = Mapping[str, object]


@dataclass(slots=True)
class EventsApi:
    """POST /v2/enqueue; each routing key belongs to an integration of a service."""

    state: PagerDutyState
    services: dict[str, str]

    def install(self, app: Flask) -> None:
        """Add the route."""
        app.add_url_rule("/v2/enqueue", "enqueue", self.enqueue, methods=["POST"])

    def enqueue(self) -> tuple[Response, int]:
        """Take one event."""
        raw = request.get_data()
        if len(raw) > _EVENT_MAX_BYTES:
            return _refused(413, "Event is too large", ["The event is larger than 512 KB"])
        event = _object_in(raw)
        if event is None:
            return _refused(400, "Event object format is unrecognized", ["JSON parse error"])
        problems = [*_problems(event), *self._key_problems(event)]
        if problems:
            return _refused(400, "Event object is invalid", problems)
        key = self._apply(event)
        return jsonify({"status": "success", "message": "Event processed", "dedup_key": key}), 202

    def _key_problems(self, event: Json) -> Iterator[str]:
        key = event.get("routing_key")
        if not isinstance(key, str) or len(key) != 32:
            yield "Length of 'routing_key' is incorrect (should be 32 characters)"
        elif key not in self.services:
            yield "Invalid routing key"

    def _apply(self, event: Json) -> str:
        routing_key = str(event["routing_key"])
        dedup_key = str(event.get("dedup_key") or new_id("", 32).lower())
        integration = Actor("PINTEGR", "Events API V2", INTEGRATION)
        with self.state.lock:
            found = self.state.open_alert(routing_key, dedup_key)
            match event["event_action"], found:
                case "trigger", None:
                    self._open(event, dedup_key, integration)
                case "trigger", (_, alert):
                    alert.summary = _summary_of(event)
                case "acknowledge", (incident, _) if incident.status == "triggered":
                    self.state.acknowledge(incident, integration)
                case "resolve", (incident, alert):
                    alert.status = "resolved"
                    if not incident.open_alerts:
                        self.state.resolve(incident, integration)
                case _:
                    pass  # nothing is open: dropped in silence although answered 202
        return dedup_key

    def _open(self, event: Json, dedup_key: str, by: Actor) -> None:
        routing_key = str(event["routing_key"])
        payload = _payload_of(event)
        severity = str(payload["severity"])
        details = payload.get("custom_details")
        client = event.get("client")
        alert = SimulatedAlert(
            new_id(),
            _summary_of(event),
            dedup_key,
            severity,
            details if isinstance(details, dict) else {},
            now(),
            client=client if isinstance(client, str) else "",
            source=str(payload["source"]),
            component=str(payload.get("component") or ""),
            routing_key=routing_key,
            links=_links_of(event),
        )
        incident = SimulatedIncident(
            new_id(),
            0,
            alert.summary,
            self.services[routing_key],
            "high" if severity in {"critical", "error"} else "low",
            now(),
            client=alert.client,
            alerts=[alert],
        )
        self.state.add(incident, by)


def _object_in(raw: bytes) -> Json | None:
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _problems(event: Json) -> Iterator[str]:
    action = event.get("event_action")
    if action not in _ACTIONS:
        yield "'event_action' is invalid (must be one of: trigger, acknowledge, resolve)"
    key = event.get("dedup_key")
    if key is not None and not (isinstance(key, str) and len(key) <= 255):
        yield "'dedup_key' must be a string of at most 255 characters"
    if not key and action in {"acknowledge", "resolve"}:
        yield "'dedup_key' is missing or blank"
    if action == "trigger":
        yield from _payload_problems(_payload_of(event))
        yield from _context_problems(event)


def _payload_problems(payload: Json) -> Iterator[str]:
    for name in ("summary", "source"):
        value = payload.get(name)
        if not isinstance(value, str) or not value.strip():
            yield f"'payload.{name}' is missing or blank"
    if payload.get("severity") not in _SEVERITIES:
        yield "'payload.severity' is invalid (must be one of: critical, warning, error, info)"
    if not isinstance(payload.get("custom_details", {}), dict | str):
        yield "'payload.custom_details' must be an object"
    if not isinstance(payload.get("component", ""), str):
        yield "'payload.component' must be a string"


def _context_problems(event: Json) -> Iterator[str]:
    for name, needed, start in (("links", "href", "http"), ("images", "src", "https://")):
        entries = event.get(name, [])
        if not isinstance(entries, list):
            yield f"'{name}' must be an array"
            continue
        for entry in entries:
            value = entry.get(needed) if isinstance(entry, dict) else None
            if not isinstance(value, str) or not value.startswith(start):
                yield f"'{name}' entries need a valid '{needed}'"


def _payload_of(event: Json) -> Json:
    payload = event.get("payload")
    return payload if isinstance(payload, dict) else {}


def _summary_of(event: Json) -> str:
    return str(_payload_of(event).get("summary"))[:_SUMMARY_MAX]


def _links_of(event: Json) -> Sequence[Mapping[str, str]]:
    links = event.get("links")
    return [dict(each) for each in links] if isinstance(links, list) else []


def _refused(status: int, message: str, errors: Sequence[str]) -> tuple[Response, int]:
    return jsonify({"status": "invalid event", "message": message, "errors": list(errors)}), status
