"""Steers the simulated PagerDuty by curl: raise an incident, act as a human, look at what was delivered.

    curl -X POST localhost:9100/_sim/incidents -H 'Content-Type: application/json' \\
         -d '{"title": "Redis connection timeout", "service": "api-gateway"}'
    curl -X POST localhost:9100/_sim/incidents/QABC/acknowledge
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify, request

from agent.simulators.pagerduty_bodies import incident_body, note_body, ping_event

if TYPE_CHECKING:
    from agent.simulators.pagerduty import PagerDutySimulator
    from agent.simulators.pagerduty_state import SimulatedIncident

_TEXTS = ("service", "urgency", "severity", "alert_key", "priority", "team", "client")
_OBJECTS = ("labels", "details")


@dataclass(slots=True)
class Controls:
    """The routes under /_sim/; those for requests and faults belong to every simulator."""

    sim: PagerDutySimulator

    def install(self, app: Flask) -> None:
        """Add the routes."""
        for rule, method, view in (
            ("/_sim/incidents", "GET", self.list_incidents),
            ("/_sim/incidents", "POST", self.create),
            ("/_sim/incidents/<incident_id>", "GET", self.show),
            ("/_sim/incidents/<incident_id>/<action>", "POST", self.act),
            ("/_sim/webhook", "PUT", self.subscribe),
            ("/_sim/ping", "POST", self.ping),
            ("/_sim/deliveries", "GET", self.deliveries),
        ):
            app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])

    def list_incidents(self) -> Response:
        """Every incident."""
        return jsonify({"incidents": [_shown(each) for each in self.sim.incidents()]})

    def show(self, incident_id: str) -> tuple[Response, int]:
        """One incident with its notes."""
        found = {each.id: each for each in self.sim.incidents()}.get(incident_id)
        return (jsonify({"incident": _shown(found)}), 200) if found else _problem(404, "no such incident")

    def create(self) -> tuple[Response, int]:
        """Raise an incident."""
        asked = _asked()
        title = asked.get("title")
        if not isinstance(title, str) or not title.strip():
            return _problem(400, 'a "title" is needed')
        wrong = [key for key in _TEXTS if not isinstance(asked.get(key, ""), str)]
        wrong += [key for key in _OBJECTS if not isinstance(asked.get(key, {}), dict)]
        unknown = sorted(set(asked) - {"title", *_TEXTS, *_OBJECTS})
        if wrong or unknown:
            return _problem(400, f"not understood: {', '.join([*wrong, *unknown])}")
        incident = self.sim.create_incident(title, **{k: v for k, v in asked.items() if k != "title"})  # type: ignore[arg-type]
        return jsonify({"incident": _shown(incident)}), 201

    def act(self, incident_id: str, action: str) -> tuple[Response, int]:
        """Act as a human (`name`), or as the monitoring tool (`clear`)."""
        if incident_id not in {each.id for each in self.sim.incidents()}:
            return _problem(404, "no such incident")
        name = _asked().get("name")
        who = {"name": name} if isinstance(name, str) and name else {}
        match action:
            case "acknowledge":
                self.sim.acknowledge_as_human(incident_id, **who)
            case "resolve":
                self.sim.resolve_as_human(incident_id, **who)
            case "reassign":
                self.sim.reassign_as_human(incident_id, **who)
            case "reopen":
                self.sim.reopen_as_human(incident_id, **who)
            case "clear":
                self.sim.clear_by_monitoring(incident_id)
            case _:
                return _problem(404, "actions: acknowledge, resolve, reassign, reopen, clear")
        return jsonify({"incident": _shown(self.sim.incident(incident_id))}), 200

    def subscribe(self) -> tuple[Response, int]:
        """Send webhooks to `url`, signed with `secrets`."""
        asked = _asked()
        url, secrets = asked.get("url"), asked.get("secrets")
        if not isinstance(url, str) or not isinstance(secrets, list):
            return _problem(400, '"url" and a list "secrets" are needed')
        subscription = self.sim.subscribe(url, [str(each) for each in secrets])
        return jsonify({"id": subscription.id, "url": url}), 200

    def ping(self) -> Response:
        """Send the test event."""
        self.sim.enqueue(ping_event())
        return jsonify({"ok": True})

    def deliveries(self) -> Response:
        """Every webhook and how it was answered."""
        return jsonify(
            [
                {
                    "webhook_id": each.webhook_id,
                    "event_type": each.event_type,
                    "statuses": each.statuses,
                    "outcome": each.outcome,
                }
                for each in self.sim.deliveries()
            ]
        )


def alertmanager_details(labels: Mapping[str, str]) -> dict[str, object]:
    """Labels in the details that Alertmanager sends, in its text block."""
    lines = "".join(f" - {name} = {value}\n" for name, value in sorted(labels.items()))
    return {
        "firing": f"Labels:\n{lines}Annotations:\nSource: \n",
        "num_firing": "1",
        "num_resolved": "0",
        "resolved": "",
    }


def _shown(incident: SimulatedIncident) -> Mapping[str, object]:
    return {**incident_body(incident), "notes": [note_body(each) for each in incident.notes]}


def _asked() -> Mapping[str, object]:
    body = request.get_json(silent=True, force=True)
    return body if isinstance(body, dict) else {}


def _problem(status: int, words: str) -> tuple[Response, int]:
    return jsonify({"error": words}), status
