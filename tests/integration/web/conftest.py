"""The web face over a real store, asked by a client in the same process."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from agent.adapters.fake_clock import FakeClock
from agent.adapters.store import Store
from agent.adapters.store_schema import metadata
from agent.config import Config, parse
from agent.domain.incident import Incident
from agent.pipeline.priced_alone import priced_alone
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
    def config(self) -> Config:
        return parse(self.settings, path="config.yaml")

    def restart(self) -> None:
        """With what is configured by now; what is stored stays."""
        self._client = None

    def database_text(self) -> str:
        """Everything that is stored, as text."""
        with self.store.database.reading() as connection:
            return "\n".join(
                str(row) for table in metadata.sorted_tables for row in connection.execute(sa.select(table))
            )

    @property
    def parts(self) -> WebParts:
        return WebParts(
            redactor=self.world.context.redactor,
            config=self.config,
            store=self.store,
            library=self.world.context.library,
            notify=self._notify,
            ready=self.ready,
            pulse=self.pulse,
            stopped=lambda: self.clerk.in_force,
            priced=lambda runbook: priced_alone(self.world.context, runbook),
        )

    @property
    def client(self) -> FlaskClient:
        if self._client is None:
            self._client = create_app(self.parts).test_client()
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
        signed = {"X-PagerDuty-Signature": signature(body, secret), **headers}
        return self.client.post("/webhook/pagerduty", data=body, headers=signed)

    def resolved(self, title: str = "Redis connection timeout") -> Incident:
        """An incident with a whole story."""
        self.world.runbook(runbook(steps=step(1, "redis-cli PING", keys='Expected output: "PONG"')))
        self.world.context.library.reload()
        self.world.answers("redis-cli PING", "LOADING", "PONG")
        return self.world.page(title=title)

    def escalated(self) -> Incident:
        return self.world.page(title="Nobody knows this", source_id="P2")


def signature(body: bytes, secret: str = WEBHOOK_SECRET) -> str:
    """What PagerDuty would send with it."""
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


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
def hashes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many passwords were really hashed so far."""
    done: list[object] = []
    whole = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, *given: str) -> bool:
        if given[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$"):  # less than a whole hash is no work
            done.append(self)
        return bool(whole(self, *given))

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    return lambda: len(done)


@pytest.fixture
def site(store: Store, clock: FakeClock, tmp_path: Path) -> Site:
    (tmp_path / "runbooks").mkdir()
    return Site(World(store, clock, tmp_path / "runbooks", HookedSandbox()), tmp_path)
