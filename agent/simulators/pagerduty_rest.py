"""The simulated REST API: what the agent and its doctor ask for, refused where PagerDuty refuses.

Stricter than PagerDuty in one thing: a missing `Accept` version is refused, as the specification demands it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Flask, Response, jsonify, request

from agent.simulators.pagerduty_bodies import (
    alert_body,
    incident_body,
    note_body,
    service_id,
    service_reference,
    user_body,
)
from agent.simulators.pagerduty_delivery import Deliverer
from agent.simulators.pagerduty_state import Actor, PagerDutyState, SimulatedIncident, new_id, now

_STATUSES = ("acknowledged", "resolved", "triggered")
_NOTES_MAX = 2000
_PAGE_MAX = 100
_DEPTH_MAX = 10_000
_RANGE_MAX = timedelta(days=184)


class RefusedError(Exception):
    """The request is refused in PagerDuty's form."""

    def __init__(self, status: int, message: str, code: int, *errors: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "code": code, "errors": list(errors)}}


@dataclass(slots=True)
class RestApi:
    """The routes of the REST API over one account."""

    state: PagerDutyState
    deliverer: Deliverer
    api_token: str
    own: Actor
    token_of_user: bool = False

    def install(self, app: Flask) -> None:
        """Add the routes."""
        app.register_error_handler(RefusedError, lambda refused: (jsonify(refused.body), refused.status))
        for rule, method, view in (
            ("/incidents", "GET", self.get_incidents),
            ("/incidents", "POST", self.create_incident),
            ("/incidents/<incident_id>", "GET", self.get_incident),
            ("/incidents/<incident_id>", "PUT", self.put_incident),
            ("/incidents/<incident_id>/alerts", "GET", self.get_alerts),
            ("/incidents/<incident_id>/notes", "GET", self.get_notes),
            ("/incidents/<incident_id>/notes", "POST", self.post_note),
            ("/users/me", "GET", self.get_me),
            ("/users", "GET", self.get_users),
            ("/services/<of_id>", "GET", self.get_service),
            ("/webhook_subscriptions", "GET", self.get_subscriptions),
            ("/webhook_subscriptions/<of_id>/enable", "POST", self.enable_subscription),
        ):
            app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])

    def get_incidents(self) -> Response:
        """GET /incidents, page by page: created from `since` to before `until`, by time if it is asked so."""
        self._authenticate()
        since, until = _time_asked("since"), _time_asked("until")
        if since is not None and until is not None and until - since > _RANGE_MAX:
            raise RefusedError(400, "Invalid Input Provided", 2001, "The range must not exceed 6 months")
        wanted = request.args.getlist("statuses[]")
        with self.state.lock:
            found = [
                each
                for each in self.state.incidents.values()
                if (since is None or each.created_at >= since)
                and (until is None or each.created_at < until)
                and (not wanted or each.status in wanted)
            ]
            if request.args.get("sort_by", "").startswith("created_at"):
                found.sort(
                    key=lambda each: each.created_at, reverse=request.args["sort_by"].endswith(":desc")
                )
            return jsonify(_page("incidents", [incident_body(each) for each in found]))

    def get_incident(self, incident_id: str) -> Response:
        """GET /incidents/{id}."""
        self._authenticate()
        with self.state.lock:
            return jsonify({"incident": incident_body(self._incident(incident_id))})

    def put_incident(self, incident_id: str) -> Response:
        """PUT /incidents/{id}: status, resolution, title, urgency."""
        by = self._author()
        change = _wrapped("incident")
        if change.get("type") not in {"incident", "incident_reference"}:
            raise RefusedError(400, "Invalid Input Provided", 2001, "Type is invalid")
        with self.state.lock:
            incident = self._incident(incident_id)
            _retitle(incident, change)
            self._turn(incident, change, by)
            return jsonify({"incident": incident_body(incident)})

    def create_incident(self) -> tuple[Response, int]:
        """POST /incidents."""
        by = self._author()
        asked = _wrapped("incident")
        service, title = asked.get("service"), asked.get("title")
        if not isinstance(service, Mapping) or not isinstance(title, str) or not title.strip():
            raise RefusedError(400, "Invalid Input Provided", 2001, "Title and service are required")
        name = str(service.get("summary") or service.get("id"))
        key = asked.get("incident_key")
        created = SimulatedIncident(
            new_id(),
            0,
            title,
            name,
            str(asked.get("urgency") or "high"),
            now(),
            incident_key=key if isinstance(key, str) else None,
        )
        self.state.add(created, by)
        return jsonify({"incident": incident_body(created)}), 201

    def get_alerts(self, incident_id: str) -> Response:
        """GET /incidents/{id}/alerts, page by page."""
        self._authenticate()
        wanted = request.args.getlist("statuses[]")
        with self.state.lock:
            incident = self._incident(incident_id)
            alerts = [
                alert_body(incident, each) for each in incident.alerts if not wanted or each.status in wanted
            ]
        return jsonify(_page("alerts", alerts))

    def get_notes(self, incident_id: str) -> Response:
        """GET /incidents/{id}/notes."""
        self._authenticate()
        with self.state.lock:
            return jsonify({"notes": [note_body(each) for each in self._incident(incident_id).notes]})

    def post_note(self, incident_id: str) -> Response:
        """POST /incidents/{id}/notes."""
        by = self._author()
        content = _wrapped("note").get("content")
        if not isinstance(content, str) or not content.strip():
            raise RefusedError(400, "Invalid Input Provided", 2001, "Content cannot be empty")
        with self.state.lock:
            incident = self._incident(incident_id)
            if len(incident.notes) >= _NOTES_MAX:
                raise RefusedError(400, "Product Limit Reached", 2019, f"At most {_NOTES_MAX} notes")
            return jsonify({"note": note_body(self.state.annotate(incident, content, by))})

    def get_me(self) -> Response:
        """GET /users/me: only a user's own token has a "me"."""
        self._authenticate()
        if not self.token_of_user:
            raise RefusedError(400, "Arguments Caused Error", 2002, "Only a user's token has a `me`")
        return jsonify({"user": user_body(self.own)})

    def get_users(self) -> Response:
        """GET /users?query=."""
        self._authenticate()
        query = request.args.get("query", "").casefold()
        with self.state.lock:
            users = [
                user_body(user)
                for user in self.state.users
                if query in user.email.casefold() or query in user.name.casefold()
            ]
        return jsonify(_page("users", users))

    def get_service(self, of_id: str) -> Response:
        """GET /services/{id}, for services that incidents are known of."""
        self._authenticate()
        with self.state.lock:
            names = {each.service for each in self.state.incidents.values()}
        name = next((name for name in names if of_id in {name, service_id(name)}), None)
        if name is None:
            raise RefusedError(404, "Not Found", 2100)
        return jsonify({"service": {**service_reference(name), "type": "service", "name": name}})

    def get_subscriptions(self) -> Response:
        """GET /webhook_subscriptions."""
        self._authenticate()
        known = self.deliverer.subscription
        bodies = [] if known is None else [_subscription_body(known.id, known.url, disabled=known.disabled)]
        return jsonify(_page("webhook_subscriptions", bodies))

    def enable_subscription(self, of_id: str) -> Response:
        """POST /webhook_subscriptions/{id}/enable."""
        self._authenticate()
        known = self.deliverer.subscription
        if known is None or known.id != of_id:
            raise RefusedError(404, "Not Found", 2100)
        self.deliverer.enable()
        return jsonify({"webhook_subscription": _subscription_body(known.id, known.url, disabled=False)})

    def _turn(self, incident: SimulatedIncident, change: Mapping[str, object], by: Actor) -> None:
        status = change.get("status")
        if status is None:
            return
        if status not in _STATUSES:
            raise RefusedError(400, "Invalid Status Provided", 1003)
        if status == "resolved" and incident.status == "resolved":
            raise RefusedError(400, "Incident Already Resolved", 1001)
        if status == "resolved":
            self.state.resolve(incident, by, str(change.get("resolution") or ""))
        elif status == "acknowledged":
            self.state.acknowledge(incident, by)
        else:
            self.state.trigger_again(incident, by)

    def _incident(self, incident_id: str) -> SimulatedIncident:
        incident = self.state.incidents.get(incident_id)
        if incident is None:
            raise RefusedError(404, "Not Found", 2100)
        return incident

    def _authenticate(self) -> None:
        if request.headers.get("Authorization", "") != f"Token token={self.api_token}":
            raise RefusedError(401, "Authentication failed", 2006)
        if "application/vnd.pagerduty+json;version=2" not in request.headers.get("Accept", ""):
            raise RefusedError(400, "Arguments Caused Error", 2002, "Accept must name version=2")

    def _author(self) -> Actor:
        """Who a write is counted for."""
        self._authenticate()
        if request.mimetype != "application/json":
            raise RefusedError(400, "Arguments Caused Error", 2002, "Content-Type must be application/json")
        email = request.headers.get("From", "")
        if not email:
            raise RefusedError(400, "Missing Arguments", 2003, "From header is required")
        user = self.state.user_of(email)
        if user is None:
            raise RefusedError(400, "Requester User Not Found", 1008)
        return user


def _wrapped(name: str) -> Mapping[str, object]:
    body = request.get_json(silent=True)
    inner = body.get(name) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        raise RefusedError(400, "Invalid Input Provided", 2001, f"The body must be an object with `{name}`")
    return inner


def _retitle(incident: SimulatedIncident, change: Mapping[str, object]) -> None:
    title, urgency = change.get("title"), change.get("urgency")
    if urgency not in {None, "high", "low"}:
        raise RefusedError(400, "Invalid Input Provided", 2001, "Urgency must be high or low")
    incident.title = title if isinstance(title, str) else incident.title
    incident.urgency = urgency if isinstance(urgency, str) else incident.urgency


def _time_asked(name: str) -> datetime | None:
    text = request.args.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(400, "Invalid Input Provided", 2001, f"{name} is no time") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _page(name: str, bodies: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    try:
        limit = min(int(request.args.get("limit", "25")), _PAGE_MAX)
        offset = int(request.args.get("offset", "0"))
    except ValueError:
        raise RefusedError(400, "Invalid Input Provided", 2001, "Limit and offset are numbers") from None
    if limit < 1 or offset < 0 or offset + limit > _DEPTH_MAX:
        raise RefusedError(400, "Invalid Input Provided", 2001, "Offset plus limit must not exceed 10000")
    more = offset + limit < len(bodies)
    return {
        name: bodies[offset : offset + limit],
        "limit": limit,
        "offset": offset,
        "more": more,
        "total": None,
    }


def _subscription_body(of_id: str, url: str, *, disabled: bool) -> Mapping[str, object]:
    method = {"type": "http_delivery_method", "url": url, "secret": None, "temporarily_disabled": disabled}
    return {
        "id": of_id,
        "type": "webhook_subscription",
        "active": True,
        "delivery_method": method,
        "events": ["incident.triggered", "incident.acknowledged", "incident.resolved", "incident.reassigned"],
        "filter": {"type": "account_reference"},
    }
