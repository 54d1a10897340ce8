"""The web face over a real store, asked by a client in the same process."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.config import parse
from agent.domain.incident import Incident
from agent.pipeline.stops import StopsClerk
from agent.pulse import Pulse
from agent.web.app import WebParts, create_app
from tests.unit.pipeline.conftest import HookedSandbox, World, runbook, step

WEBHOOK_SECRET = "webhook-secret-canary"
API_TOKEN = "api-token-canary"


class Site:
    """One agent's web face; what is configured may be changed before the first request."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.store = world.store
        self.directory = directory
        self.notified = 0
        self.pulse = Pulse(world.clock)
        self.ready = threading.Event()
        self.ready.set()
        self.settings: dict[str, Any] = {
            "pagerduty": {"webhook_secrets": [self.secret("webhook", WEBHOOK_SECRET)]}
        }
        self._client: FlaskClient | None = None
        self._clerk: StopsClerk | None = None

    def secret(self, name: str, value: str) -> dict[str, str]:
        path = self.directory / name
        path.write_text(value)
        return {"file": str(path)}

    @property
    def client(self) -> FlaskClient:
        if self._client is None:
            parts = WebParts(
                redactor=self.world.context.redactor,
                config=parse(self.settings, path="config.yaml"),
                store=self.store,
                library=self.world.context.library,
                notify=self._notify,
                ready=self.ready,
                pulse=self.pulse,
                stopped=lambda: self.clerk.in_force,
            )
            self._client = create_app(parts).test_client()
        return self._client

    @property
    def clerk(self) -> StopsClerk:
        if self._clerk is None:
            self._clerk = StopsClerk(self.world.context)
        return self._clerk

    def _notify(self) -> None:
        self.notified += 1

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers=headers)

    def webhook(self, data: object, *, secret: str = WEBHOOK_SECRET, **headers: str) -> TestResponse:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        signature = "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        signed = {"X-PagerDuty-Signature": signature, **headers}
        return self.client.post("/webhook/pagerduty", data=body, headers=signed)

    def resolved(self, title: str = "Redis connection timeout") -> Incident:
        """An incident with a whole story."""
        self.world.runbook(runbook(steps=step(1, "redis-cli PING", keys='Expected output: "PONG"')))
        self.world.context.library.reload()
        self.world.answers("redis-cli PING", "LOADING", "PONG")
        return self.world.page(title=title)

    def escalated(self) -> Incident:
        return self.world.page(title="Nobody knows this", source_id="P2")


def triggered(source_id: str = "P777", *, event_type: str = "incident.triggered") -> dict[str, Any]:
    return {
        "event": {
            "id": f"01{source_id}{event_type}",
            "event_type": event_type,
            "occurred_at": "2026-01-05T04:17:23.000Z",
            "data": {
                "id": source_id,
                "type": "incident",
                "title": "Redis connection timeout",
                "urgency": "high",
                "service": {"id": "PS", "summary": "api-gateway", "type": "service_reference"},
            },
        }
    }


@pytest.fixture
def site(store: Store, clock: FakeClock, tmp_path: Path) -> Site:
    (tmp_path / "runbooks").mkdir()
    return Site(World(store, clock, tmp_path / "runbooks", HookedSandbox()), tmp_path)
