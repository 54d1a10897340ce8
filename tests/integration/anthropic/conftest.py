"""A simulated Messages API, the real advisor on the real SDK, and a raw socket for broken peers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from agent.adapters.anthropic_advisor import AnthropicAdvisor, Asking
from agent.domain.advice import AdviceRequest, Offered
from agent.domain.runbook import Parameter
from agent.library.bindings import why_not_allowed
from agent.simulators.anthropic import AnthropicSimulator
from tests.raw_server import Answer, RawServer, raw_servers

MODEL = "claude-haiku-4-5"
POD = Parameter("pod", 1, label="pod", pattern="[a-z0-9-]+")
ZONE = Parameter("zone", 2, one_of=("a", "b"))


@pytest.fixture(scope="session")
def served() -> Iterator[AnthropicSimulator]:
    with AnthropicSimulator() as simulator:
        yield simulator


@pytest.fixture
def llm(served: AnthropicSimulator) -> AnthropicSimulator:
    served.forget()
    return served


@pytest.fixture
def ask() -> AdviceRequest:
    return AdviceRequest(
        (
            Offered("c1", "Redis connection timeout", "flush the redis pool", ("title",), (POD, ZONE)),
            Offered("c2", "Disk full", "rotate logs", (), (ZONE,)),
        ),
        '{"title": "Redis timeout", "labels": {"pod": "cache-7"}}',
    )


@pytest.fixture
def plain_ask() -> AdviceRequest:
    return AdviceRequest((Offered("c1", "Redis timeout"), Offered("c2", "Disk full")), '{"title": "Redis"}')


@pytest.fixture
def advisor(llm: AnthropicSimulator) -> AnthropicAdvisor:
    return advisor_at(llm.url, key=llm.api_key)


def advisor_at(url: str, *, key: str = "sk-ant-test", **asking: object) -> AnthropicAdvisor:
    settings = Asking(**{"model": MODEL, "deadline_s": 5.0, **asking})  # type: ignore[arg-type]
    return AnthropicAdvisor(key, settings, why_not_allowed=why_not_allowed, base_url=url)


@pytest.fixture
def at() -> Callable[..., AnthropicAdvisor]:
    return advisor_at


@pytest.fixture
def raw() -> Iterator[Callable[[Answer], RawServer]]:
    with raw_servers() as start:
        yield start


@pytest.fixture
def closed_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
