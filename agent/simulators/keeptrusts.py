"""Keeptrusts on loopback: escalations, webhooks, decision events and exports, for demo, tests, users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

from flask import Flask, Response, jsonify

from agent.simulators.keeptrusts_api import EVENT_TYPES, KeeptrustsApi, body_of_request, problem
from agent.simulators.keeptrusts_delivery import Order, Teller, Told
from agent.simulators.keeptrusts_state import Hook, KeeptrustsState, SimulatedEscalation
from agent.simulators.server import Simulator

API_TOKEN = "simulated-keeptrusts-token"  # noqa: S105  (opens nothing but this simulator)
REVIEWER = "reviewer@example.com"
_CONFIGS = "agent.simulators.keeptrusts_configs"


class KeeptrustsSimulator(Simulator):
    """`with KeeptrustsSimulator() as sim: sim.subscribe(url); sim.escalate(action="block")`.

    `resolved_twice` is what a second resolve of one escalation is answered (409, or 200).
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_token: str = API_TOKEN,
        resolved_twice: int = 409,
        teller: Teller | None = None,
    ) -> None:
        self.api_token = api_token
        self.teller = teller or Teller()
        self.state = KeeptrustsState(api_token, self.teller.tell)
        self.api = KeeptrustsApi(self.state, self.teller, resolved_twice)
        app = Flask("keeptrusts-simulator")
        self.api.install(app)
        if find_spec(_CONFIGS) is not None:
            app.register_blueprint(import_module(_CONFIGS).routes(self.state))
        _Controls(self).install(app)
        super().__init__(app, host=host, port=port)

    def start(self) -> None:
        """Begin to answer and to deliver webhooks."""
        super().start()
        self.teller.start()

    def stop(self) -> None:
        """Stop delivering and answering."""
        self.teller.stop()
        super().stop()

    def subscribe(
        self, url: str, event_types: Sequence[str] = EVENT_TYPES, headers: Mapping[str, str] | None = None
    ) -> Hook:
        """Post webhooks of these types to this URL from now on."""
        hook = Hook(self.state.next_id("whk"), url, "", tuple(event_types), headers=dict(headers or {}))
        self.teller.hooks.append(hook)
        return hook

    def escalate(self, **fields: str) -> SimulatedEscalation:
        """A policy escalates; any field of the webhook may be given."""
        return self.state.add(**fields)

    def escalation(self, escalation_id: str) -> SimulatedEscalation:
        """How one stands now."""
        return self.state.escalations[escalation_id]

    def resolve_as_human(
        self, escalation_id: str, resolution: str = "allow", notes: str = "looked at", by: str = REVIEWER
    ) -> bool:
        """A reviewer settles it in the console of Keeptrusts."""
        return self.state.resolve(self.escalation(escalation_id), resolution, notes, by)

    def add_events(self, *events: Mapping[str, object]) -> None:
        """Decision events, oldest first; an id is given to those that have none."""
        with self.state.lock:
            self.state.events.extend({"id": self.state.next_id("evt"), **each} for each in events)

    def hold_webhooks(self) -> None:
        """Keep webhooks until they are released."""
        self.teller.hold()

    def release_webhooks(self, order: Order = tuple) -> None:
        """Send the kept ones in this order."""
        self.teller.release(order)

    def deliveries(self) -> list[Told]:
        """Every webhook so far, with the statuses that it was answered."""
        return self.teller.deliveries()

    def wait_until_delivered(self, timeout_s: float = 5.0) -> bool:
        """Whether every webhook was delivered or dropped within the time."""
        return self.teller.wait_until_idle(timeout_s)


class _Controls:
    """Steered by curl: `curl -X POST URL/_sim/escalations -d '{"action": "block"}'`, `…/ID/resolve`."""

    def __init__(self, sim: KeeptrustsSimulator) -> None:
        self._sim = sim

    def install(self, app: Flask) -> None:
        app.add_url_rule("/_sim/escalations", "sim-escalate", self.escalate, methods=["POST"])
        app.add_url_rule("/_sim/escalations/<key>/resolve", "sim-resolve", self.resolve, methods=["POST"])
        app.add_url_rule("/_sim/deliveries", "sim-deliveries", self.deliveries, methods=["GET"])

    def escalate(self) -> tuple[Response, int]:
        return self._sim.api.create()

    def resolve(self, key: str) -> tuple[Response, int]:
        if key not in self._sim.state.escalations:
            return problem(404, f"there is no escalation {key}")
        asked = {name: str(value) for name, value in (body_of_request() or {}).items()}
        self._sim.resolve_as_human(key, asked.get("resolution", "allow"), asked.get("notes", "looked at"))
        return jsonify({"data": self._sim.escalation(key).shown}), 200

    def deliveries(self) -> Response:
        shown = [
            {"url": each.hook.url, "event_type": each.event_type, "body": each.raw.decode(),
             "statuses": each.statuses, "outcome": each.outcome}
            for each in self._sim.deliveries()
        ]  # fmt: skip
        return jsonify(shown)
