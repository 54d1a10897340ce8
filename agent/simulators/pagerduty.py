"""A PagerDuty account on loopback: REST API, Events API v2 and signed V3 webhooks, for demo, tests, users.

One server holds both APIs: `api_url` and `events_url` are both `sim.url`. It validates as the vendor does
and keeps state, so that what the agent does can be read from `sim.incident(id)` afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Flask

from agent.simulators.pagerduty_bodies import webhook_event
from agent.simulators.pagerduty_controls import Controls, alertmanager_details
from agent.simulators.pagerduty_delivery import Deliverer, Delivery, Subscription
from agent.simulators.pagerduty_events import EventsApi
from agent.simulators.pagerduty_rest import RestApi
from agent.simulators.pagerduty_state import (
    INTEGRATION,
    Actor,
    Change,
    PagerDutyState,
    SimulatedAlert,
    SimulatedIncident,
    new_id,
    now,
)
from agent.simulators.server import Simulator

API_TOKEN = "simulated-api-token"  # noqa: S105  (opens nothing but this simulator)
ROUTING_KEY = "simulated0routing0key00000000000"
WEBHOOK_SECRET = "simulated-webhook-secret"  # noqa: S105
FROM_EMAIL = "oncall-agent@example.com"
RESPONDER = "On-call Responder"


class PagerDutySimulator(Simulator):
    """`with PagerDutySimulator() as sim: sim.subscribe(url); sim.create_incident("Redis is down")`.

    `echo_own_writes`: the agent's own acknowledge, note and resolve come back as webhooks.
    `webhooks_for_pages`: what the agent triggers through the Events API comes back as incidents' webhooks.
    `token_of_user`: the API token is a user's own, so that `GET /users/me` is answered.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_token: str = API_TOKEN,
        routing_key: str = ROUTING_KEY,
        from_email: str = FROM_EMAIL,
        echo_own_writes: bool = True,
        webhooks_for_pages: bool = True,
        token_of_user: bool = False,
        deliverer: Deliverer | None = None,
    ) -> None:
        self.api_token, self.routing_key, self.from_email = api_token, routing_key, from_email
        self.echo_own_writes = echo_own_writes
        self.webhooks_for_pages = webhooks_for_pages
        self.own_user = Actor("PAGENT0", "On-call Agent", email=from_email)
        self._state = PagerDutyState([self.own_user], self._announce)
        self._deliverer = deliverer or Deliverer()
        self.rest = RestApi(self._state, self._deliverer, api_token, self.own_user, token_of_user)
        self.events = EventsApi(self._state, {routing_key: "On-call escalations"})
        app = Flask("pagerduty-simulator")
        self.rest.install(app)
        self.events.install(app)
        Controls(self).install(app)
        super().__init__(app, host=host, port=port)

    def start(self) -> None:
        """Begin to answer and to deliver webhooks."""
        super().start()
        self._deliverer.start()

    def stop(self) -> None:
        """Stop delivering and answering."""
        self._deliverer.stop()
        super().stop()

    def subscribe(self, url: str, secrets: Sequence[str] = (WEBHOOK_SECRET,)) -> Subscription:
        """Send every webhook to this URL from now on, signed with each of the secrets."""
        self._deliverer.subscription = subscription = Subscription(url, tuple(secrets))
        return subscription

    def create_incident(
        self,
        title: str,
        *,
        service: str = "checkout-api",
        urgency: str = "high",
        severity: str | None = "critical",
        labels: Mapping[str, str] | None = None,
        details: Mapping[str, object] | None = None,
        alert_key: str | None = None,
        priority: str = "",
        team: str = "",
        client: str = "Alertmanager",
        links: Sequence[Mapping[str, str]] = (),
    ) -> SimulatedIncident:
        """A tool raises an alert; `labels` arrive as Alertmanager's block, `details` as they are."""
        shown = {**(alertmanager_details(labels) if labels else {}), **(details or {})}
        alert = self._alert(title, severity, shown, alert_key=alert_key, client=client)
        alert.links = links
        incident = SimulatedIncident(
            new_id(),
            0,
            title,
            service,
            urgency,
            now(),
            priority=priority,
            team=team,
            client=client,
            alerts=[alert],
            assigned_to=[self._state.human(RESPONDER)],
        )
        return self._state.add(incident, Actor("PINTEGR", client, INTEGRATION) if client else None)

    def add_alert(
        self,
        incident_id: str,
        summary: str,
        *,
        severity: str | None = "critical",
        details: Mapping[str, object] | None = None,
        alert_key: str | None = None,
        client: str = "Alertmanager",
    ) -> SimulatedAlert:
        """One more alert is grouped into an incident."""
        alert = self._alert(summary, severity, details or {}, alert_key=alert_key, client=client)
        with self._state.lock:
            self.incident(incident_id).alerts.append(alert)
        return alert

    def incident(self, incident_id: str) -> SimulatedIncident:
        """How the incident stands now."""
        return self._state.incidents[incident_id]

    def incidents(self) -> list[SimulatedIncident]:
        """Every incident, oldest first."""
        with self._state.lock:
            return list(self._state.incidents.values())

    def pages(self) -> list[SimulatedAlert]:
        """What was triggered through the Events API, oldest first; `status` says whether it is still open."""
        return [alert for each in self.incidents() for alert in each.alerts if alert.routing_key]

    def acknowledge_as_human(self, incident_id: str, name: str = RESPONDER) -> None:
        """Somebody takes it."""
        self._state.acknowledge(self.incident(incident_id), self._state.human(name))

    def resolve_as_human(self, incident_id: str, name: str = RESPONDER) -> None:
        """Somebody closes it."""
        self._state.resolve(self.incident(incident_id), self._state.human(name))

    def reassign_as_human(
        self, incident_id: str, name: str = RESPONDER, to: str = "Second Responder"
    ) -> None:
        """Somebody gives it to somebody else."""
        self._state.reassign(self.incident(incident_id), self._state.human(to), self._state.human(name))

    def reopen_as_human(self, incident_id: str, name: str = RESPONDER) -> None:
        """Somebody opens it again."""
        self._state.trigger_again(self.incident(incident_id), self._state.human(name))

    def note_as_human(self, incident_id: str, content: str, name: str = RESPONDER) -> None:
        """Somebody writes a note."""
        self._state.annotate(self.incident(incident_id), content, self._state.human(name))

    def clear_by_monitoring(self, incident_id: str) -> None:
        """The monitoring tool says that its alerts are over; the incident resolves with them."""
        incident = self.incident(incident_id)
        self._state.resolve(incident, Actor("PINTEGR", incident.client or "Events API V2", INTEGRATION))

    def deliver(self, url: str, event: Mapping[str, object], *, webhook_id: str = "") -> int:
        """Send one signed webhook now, once; gives the status that was answered, 0 for none."""
        return self._deliverer.deliver(url, event, webhook_id=webhook_id)

    def enqueue(self, event: Mapping[str, object], order: str = "") -> None:
        """Send one webhook in the background, like those of the simulator's own making."""
        self._deliverer.enqueue(event, order)

    def deliveries(self) -> list[Delivery]:
        """Every webhook so far, with the statuses that it was answered."""
        return self._deliverer.deliveries()

    def wait_until_delivered(self, timeout_s: float = 5.0) -> bool:
        """Whether every webhook was delivered or dropped within the time."""
        return self._deliverer.wait_until_idle(timeout_s)

    def _alert(
        self,
        summary: str,
        severity: str | None,
        details: Mapping[str, object],
        *,
        alert_key: str | None,
        client: str,
    ) -> SimulatedAlert:
        key = alert_key or new_id("", 32).lower()
        return SimulatedAlert(new_id(), summary, key, severity, details, now(), client=client)

    def _announce(self, change: Change) -> None:
        own = change.by is not None and change.by.id == self.own_user.id
        page = any(alert.routing_key for alert in change.incident.alerts)
        if (own and not self.echo_own_writes) or (page and not self.webhooks_for_pages):
            return
        event = webhook_event(change.event_type, change.incident, agent=change.by, note=change.note)
        self._deliverer.enqueue(event, change.incident.id)
