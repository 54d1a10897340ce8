"""The simulated Keeptrusts' own API: what the published pages show of it, and nothing they do not.

Requests are checked: the bearer token, the names and types of fields, the words that are known. Where the
pages say nothing of an answer (a second resolve, an export's address) it is the plainest that serves.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from flask import Flask, Response, jsonify, request

from agent.simulators.keeptrusts_delivery import Teller
from agent.simulators.keeptrusts_state import Hook, KeeptrustsState

EVENT_TYPES = ("escalation.created", "escalation.resolved")
STATUSES = ("pending", "open", "claimed", "resolved", "expired")
_FORMATS = ("jsonl", "json", "csv")
_PAGE = 50

Answer = tuple[Response, int]


@dataclass(slots=True)
class KeeptrustsApi:
    """The routes under /v1/. `resolved_twice` is what a second resolve is answered."""

    state: KeeptrustsState
    teller: Teller
    resolved_twice: int = 409

    def install(self, app: Flask) -> None:
        """Add the routes, and the token check in front of every one of them."""
        app.before_request(self._guard)
        for rule, method, view in (
            ("/v1/webhooks", "POST", self.register),
            ("/v1/webhooks", "GET", self.hooks),
            ("/v1/escalations", "GET", self.escalations),
            ("/v1/escalations", "POST", self.create),
            ("/v1/escalations/<escalation_id>/resolve", "POST", self.resolve),
            ("/v1/events", "GET", self.events),
            ("/v1/events", "POST", self.add_event),
            ("/v1/exports", "POST", self.export),
            ("/v1/exports/<export_id>/content", "GET", self.export_content),
        ):
            app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])

    def _guard(self) -> Answer | None:
        if not request.path.startswith("/v1/"):
            return None
        given = request.headers.get("Authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {self.state.token}".encode()):
            return None
        return problem(401, "Authorization: Bearer TOKEN is missing or not known")

    def register(self) -> Answer:
        """Take a webhook."""
        asked = body_of_request()
        if asked is None:
            return problem(400, "a JSON object is wanted")
        unknown = sorted(set(asked) - {"url", "description", "event_types", "active"})
        types = asked.get("event_types")
        if unknown or not isinstance(types, list) or not types or not set(types) <= set(EVENT_TYPES):
            return problem(400, f"event_types: some of {', '.join(EVENT_TYPES)}; not known: {unknown}")
        url = asked.get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            return problem(400, "url: an address that begins with https://")
        active = asked.get("active", True)
        hook = Hook(
            self.state.next_id("whk"), url, str(asked.get("description") or ""), types, active is True
        )
        self.teller.hooks.append(hook)
        return jsonify({"data": asdict(hook)}), 201

    def hooks(self) -> Answer:
        """Every webhook."""
        found = [asdict(each) for each in self.teller.hooks]
        return jsonify({"meta": {"total": len(found)}, "data": found}), 200

    def escalations(self) -> Answer:
        """A page of escalations, newest first; `meta.total` counts all that match."""
        status, limit = request.args.get("status", ""), request.args.get("limit", str(_PAGE))
        if (status and status not in STATUSES) or not limit.isdigit():
            return problem(400, f"status: one of {', '.join(STATUSES)}; limit: a number")
        found = self.state.newest_first(status)
        shown = [each.shown for each in found[: int(limit)]]
        return jsonify({"meta": {"total": len(found)}, "data": shown}), 200

    def create(self) -> Answer:
        """A gateway makes an escalation."""
        asked = body_of_request()
        if asked is None or not all(isinstance(each, str) for each in asked.values()):
            return problem(400, "a JSON object of texts is wanted")
        try:
            made = self.state.add(**{name: str(value) for name, value in asked.items()})
        except TypeError as error:
            return problem(400, str(error))
        return jsonify({"data": made.shown}), 201

    def resolve(self, escalation_id: str) -> Answer:
        """Settle one."""
        asked = body_of_request()
        escalation = self.state.escalations.get(escalation_id)
        if escalation is None:
            return problem(404, f"there is no escalation {escalation_id}")
        if asked is None or set(asked) - {"resolution", "notes"}:
            return problem(400, "resolution and notes are wanted, and nothing else")
        resolution, notes = asked.get("resolution"), asked.get("notes", "")
        if not isinstance(resolution, str) or not resolution.strip() or not isinstance(notes, str):
            return problem(400, "resolution: a text is wanted; notes: a text")
        if not self.state.resolve(escalation, resolution, notes, "API"):
            if self.resolved_twice == 409:
                return problem(409, f"{escalation_id} is resolved already")
            return jsonify({"data": escalation.shown}), self.resolved_twice
        return jsonify({"data": escalation.shown}), 200

    def events(self) -> Answer:
        """Decision events, newest first."""
        outcome, since = request.args.get("outcome", ""), request.args.get("since", "")
        limit = request.args.get("limit", "")
        start = moment(since)
        if (since and start is None) or (limit and not limit.isdigit()):
            return problem(400, "since: a time like 2026-04-23T14:00:00Z; limit: a number")
        with self.state.lock:
            found = [
                each for each in self.state.events if is_wanted(each, outcome=outcome, start=start, end=None)
            ]
        found.reverse()
        shown = found[: int(limit)] if limit else found
        return jsonify({"meta": {"total": len(found)}, "data": shown}), 200

    def add_event(self) -> Answer:
        """A gateway tells a decision."""
        asked = body_of_request()
        if asked is None or moment(str(asked.get("timestamp", ""))) is None:
            return problem(400, "a JSON object with a timestamp is wanted")
        with self.state.lock:
            self.state.events.append({"id": self.state.next_id("evt"), **asked})
        return jsonify({"data": self.state.events[-1]}), 201

    def export(self) -> Answer:
        """Make an export; it is ready at once."""
        asked = body_of_request()
        if asked is None or asked.get("type") != "events" or asked.get("format") not in _FORMATS:
            return problem(400, f"type: events; format: one of {', '.join(_FORMATS)}")
        window = asked.get("filter")
        if not isinstance(window, dict) or set(window) - {"start_time", "end_time"}:
            return problem(400, "filter: {start_time, end_time}")
        start, end = moment(str(window.get("start_time"))), moment(str(window.get("end_time")))
        if start is None or end is None:
            return problem(400, "filter.start_time and filter.end_time: times like 2026-04-23T14:00:00Z")
        key = self.state.next_id("exp")
        with self.state.lock:
            found = [each for each in self.state.events if is_wanted(each, outcome="", start=start, end=end)]
            self.state.exports[key] = {"format": asked["format"], "events": found}
        shown = {"id": key, "type": "events", "format": asked["format"], "status": "completed"}
        where = f"{request.host_url}v1/exports/{key}/content"
        return jsonify({"data": shown | {"total": len(found), "download_url": where}}), 201

    def export_content(self, export_id: str) -> Response | Answer:
        """What was exported, one event a line."""
        made = self.state.exports.get(export_id)
        if made is None:
            return problem(404, f"there is no export {export_id}")
        events = made["events"]
        assert isinstance(events, list)
        if made["format"] == "json":
            return jsonify(events)
        text = _csv(events) if made["format"] == "csv" else "".join(json.dumps(e) + "\n" for e in events)
        return Response(text, mimetype="text/csv" if made["format"] == "csv" else "application/x-ndjson")


def is_wanted(
    event: Mapping[str, object], *, outcome: str, start: datetime | None, end: datetime | None
) -> bool:
    """Whether an event is of this outcome and within these times."""
    at = moment(str(event.get("timestamp", "")))
    if outcome and outcome not in (event.get("outcome"), event.get("decision")):
        return False
    if start is not None and (at is None or at < start):
        return False
    return end is None or (at is not None and at <= end)


def _csv(events: Sequence[Mapping[str, object]]) -> str:
    names = list(dict.fromkeys(name for each in events for name in each))
    lines = [names, *([str(each.get(name, "")) for name in names] for each in events)]
    return "".join(
        ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) + "\n" for row in lines
    )


def moment(text: str) -> datetime | None:
    """An aware time, or None."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def body_of_request() -> dict[str, object] | None:
    """The request's JSON object."""
    asked = request.get_json(force=True, silent=True)
    return asked if isinstance(asked, dict) else None


def problem(status: int, message: str) -> Answer:
    """An error as this API tells it."""
    return jsonify({"error": {"message": message}}), status
