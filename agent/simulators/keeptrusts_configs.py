"""The simulated Keeptrusts' configurations with their versions, its gateways, and a provider's status page.

Published are the version's content and the PUT; the GET of what is in force, and a new version for each PUT,
are the plainest that serve. A status page answers as those of Statuspage do: `/api/v2/status.json`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from flask import Blueprint, Response, jsonify, request

from agent.simulators.keeptrusts_state import KeeptrustsState

Answer = tuple[Response, int]


@dataclass(slots=True)
class GatewayWorld:
    """What one simulated organisation runs. `on_put` may play what a changed configuration does."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)
    gateways: dict[str, bool] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    started_at: float = field(default_factory=time.time)
    on_put: Callable[[str, str], None] | None = None

    def configure(self, configuration: str, *contents: str) -> None:
        """A configuration with versions 1, 2, …; the last one is in force."""
        with self.lock:
            self.versions[configuration] = {str(at): text for at, text in enumerate(contents, 1)}
            self.current[configuration] = contents[-1]

    def put(self, configuration: str, content: str) -> str:
        """A new version, in force at once; gives its number."""
        with self.lock:
            version = str(len(self.versions[configuration]) + 1)
            self.versions[configuration][version] = content
            self.current[configuration] = content
        if self.on_put is not None:
            self.on_put(configuration, content)
        return version


_WORLDS: WeakKeyDictionary[KeeptrustsState, GatewayWorld] = WeakKeyDictionary()


def world_of(state: KeeptrustsState) -> GatewayWorld:
    """The gateways and configurations of one simulated organisation."""
    return _WORLDS.setdefault(state, GatewayWorld())


def routes(state: KeeptrustsState) -> Blueprint:
    """What is asked of configurations under /v1/, of gateways and of status pages."""
    views = _Views(world_of(state))
    blueprint = Blueprint("keeptrusts-configurations", __name__)
    for rule, method, view in (
        ("/v1/configurations/<configuration>", "GET", views.current),
        ("/v1/configurations/<configuration>", "PUT", views.put),
        ("/v1/configurations/<configuration>/versions/<version>", "GET", views.version),
        ("/gateways/<gateway>/health", "GET", views.health),
        ("/providers/<provider>/api/v2/status.json", "GET", views.status),
    ):
        blueprint.add_url_rule(rule, f"{method}-{view.__name__}", view, methods=[method])
    return blueprint


@dataclass(slots=True)
class _Views:
    world: GatewayWorld

    def current(self, configuration: str) -> Answer:
        with self.world.lock:
            content = self.world.current.get(configuration)
        if content is None:
            return _no(f"there is no configuration {configuration}")
        return jsonify({"data": {"id": configuration, "content": content}}), 200

    def version(self, configuration: str, version: str) -> Answer:
        with self.world.lock:
            content = self.world.versions.get(configuration, {}).get(version)
        if content is None:
            return _no(f"configuration {configuration} has no version {version}")
        return jsonify({"data": {"version": version, "content": content}}), 200

    def put(self, configuration: str) -> Answer:
        asked = request.get_json(force=True, silent=True)
        content = asked.get("content") if isinstance(asked, dict) else None
        if not isinstance(asked, dict) or set(asked) != {"content"} or not isinstance(content, str):
            return jsonify({"error": {"message": "content: a text is wanted, and nothing else"}}), 400
        if configuration not in self.world.current:
            return _no(f"there is no configuration {configuration}")
        version = self.world.put(configuration, content)
        return jsonify({"data": {"id": configuration, "version": version}}), 200

    def health(self, gateway: str) -> Answer:
        if not self.world.gateways.get(gateway, False):
            return jsonify({"status": "unhealthy"}), 503
        uptime_s = int(time.time() - self.world.started_at)
        return jsonify({"status": "healthy", "uptime_seconds": uptime_s}), 200

    def status(self, provider: str) -> Answer:
        indicator = self.world.providers.get(provider)
        if indicator is None:
            return _no(f"there is no provider {provider}")
        words = {"none": "All Systems Operational", "major": "Partial System Outage"}
        description = words.get(indicator, indicator.capitalize())
        return jsonify({"status": {"indicator": indicator, "description": description}}), 200


def _no(message: str) -> Answer:
    return jsonify({"error": {"message": message}}), 404
