"""A simulated Slack, the two real adapters that talk to it, and a raw socket server for broken peers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.ports import ThreadCard
from agent.simulators.slack import SlackSimulator


@pytest.fixture
def slack() -> Iterator[SlackSimulator]:
    with SlackSimulator() as simulator:
        yield simulator


@pytest.fixture
def bot(slack: SlackSimulator) -> SlackChat:
    return SlackChat(slack.api_url, slack.bot_token, "#incidents", timeout_s=2.0)


@pytest.fixture
def hook(slack: SlackSimulator) -> SlackWebhookChat:
    return SlackWebhookChat(slack.webhook_url, timeout_s=2.0)


@pytest.fixture
def card() -> ThreadCard:
    return ThreadCard(
        title="Redis connection timeout",
        status="received",
        severity="critical",
        service="api-gateway",
        runbook="redis-timeout",
        progress="0/2 steps",
        url="http://localhost:8080/console/incidents/1",
        source_url="https://acme.pagerduty.com/incidents/Q1",
    )


class RawServer:
    """Answers every connection with bytes of the test's choosing, well formed or not."""

    def __init__(self, answer: Callable[[socket.socket, threading.Event], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self._over = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65_536)
                    self._answer(connection, self._over)
                except OSError:
                    continue

    def stop(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)


@pytest.fixture
def raw_server() -> Iterator[Callable[[Callable[[socket.socket, threading.Event], None]], RawServer]]:
    started: list[RawServer] = []

    def start(answer: Callable[[socket.socket, threading.Event], None]) -> RawServer:
        started.append(RawServer(answer))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@contextmanager
def _nobody_listens() -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def closed_port() -> Iterator[str]:
    with _nobody_listens() as url:
        yield url
