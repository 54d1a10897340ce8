"""A simulated Slack, the two real adapters that talk to it, and a raw socket server for broken peers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.adapters.slack import SlackChat, SlackWebhookChat
from agent.ports import ThreadCard
from agent.simulators.slack import SlackSimulator
from tests.raw_server import Answer, RawServer, raw_servers


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


@pytest.fixture
def raw_server() -> Iterator[Callable[[Answer], RawServer]]:
    with raw_servers() as start:
        yield start


@contextmanager
def _nobody_listens() -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def closed_port() -> Iterator[str]:
    with _nobody_listens() as url:
        yield url
