"""One process hears at once what another one stored for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from agent.adapters.bell import Bell, ServerBell, bell_of
from agent.adapters.clock import SystemClock
from agent.adapters.store import Store
from agent.domain.alert import Alert
from agent.domain.errors import StoreError
from agent.domain.source_event import EventType, SourceEvent
from tests.integration.replicas.conftest import eventually
from tests.postgres import PostgresServer


@pytest.fixture
def web(database_url: str) -> Iterator[Store]:
    """The store of a process that answers the web."""
    store = Store(database_url, SystemClock())
    yield store
    store.close()


@pytest.fixture
def ringing(database_url: str) -> Iterator[Bell]:
    bell = bell_of(database_url)
    yield bell
    bell.close()


@pytest.fixture
def listening(database_url: str, web: Store) -> Iterator[Bell]:
    bell = bell_of(database_url)
    bell.heard(0.05)  # whatever was there before
    yield bell
    bell.close()


def accept(store: Store, source_id: str = "P1") -> None:
    alert = Alert("pagerduty", source_id, "Redis")
    store.accept(
        SourceEvent(
            "pagerduty", f"w-{source_id}", EventType.TRIGGERED, "incident.triggered", source_id, alert=alert
        ),
        "{}",
    )


def test_what_another_process_accepts_is_heard_at_once(web: Store, ringing: Bell, listening: Bell) -> None:
    heard: list[float] = []
    listener = threading.Thread(target=lambda: heard.append(listening.heard(10.0) and time.monotonic()))
    listener.start()
    time.sleep(0.1)  # it listens
    stored = time.monotonic()
    accept(web)
    ringing.ring()
    listener.join(10.0)
    assert heard
    assert 0 <= heard[0] - stored < 1.0


def test_nothing_is_heard_when_nothing_came(listening: Bell) -> None:
    assert not listening.heard(0.1)


def test_what_came_is_heard_once(web: Store, ringing: Bell, listening: Bell) -> None:
    accept(web)
    ringing.ring()
    assert listening.heard(5.0)
    eventually(lambda: not listening.heard(0.05), "it is silent again")


def test_what_rang_before_anybody_listened_is_not_missed(web: Store, database_url: str) -> None:
    accept(web)
    bell = bell_of(database_url)
    assert bell.heard(5.0)
    bell.close()


def test_a_bell_without_a_database_says_so(postgres_server: PostgresServer, tmp_path: object) -> None:
    for url in (postgres_server.url("nowhere"), f"sqlite:///{tmp_path}/nowhere/oncall.db"):
        bell = bell_of(url)
        with pytest.raises(StoreError, match="the database cannot be"):
            bell.heard(0.1)
        bell.ring()  # what cannot be said is lost: everybody looks every second anyway
        bell.close()


def test_a_bell_rings_again_after_its_connection_was_lost(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    ringing, listening = ServerBell(postgres_url), ServerBell(postgres_url)
    name = postgres_url.rpartition("/")[2]
    listening.heard(0.05)
    ringing.ring()
    assert listening.heard(5.0)
    postgres_server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with pytest.raises(StoreError):
        listening.heard(5.0)
    assert listening.heard(0.05), "it listens again, and looks after what it missed"

    def heard() -> bool:
        ringing.ring()
        return listening.heard(0.5)

    eventually(heard, "it is heard again")
    ringing.close()
    listening.close()
