"""The Kubernetes client gives up in time on a server that sends its answer one byte at a time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from agent.adapters import patience
from agent.adapters.kubernetes import exec as in_pod
from agent.adapters.kubernetes.client import KubernetesApi
from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.live_job import OutcomeUnknownError
from agent.domain.access import ClusterRight
from agent.domain.errors import Reason, ServiceError
from tests.raw_server import Answer, RawServer, raw_servers

GET = ClusterRight("get", "pods", namespace="production", name="api-1")
EXEC = ClusterRight("get", "pods", subresource="exec", namespace="production", name="api-1")


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], RawServer]]:
    with raw_servers() as start:
        yield start


def drip(first: bytes) -> Answer:
    def answer(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(first)
        while not over.wait(0.02):
            peer.sendall(b"x")

    return answer


def api(url: str) -> KubernetesApi:
    return KubernetesApi(ClusterCredentials(server=url), timeout_s=0.3)


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"kind": "'],
    ids=["before the status", "in a header", "in the body"],
)
def test_an_answer_that_drips_is_given_up(serve: Callable[[Answer], RawServer], first: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        api(serve(drip(first)).url).call(GET)
    assert caught.value.reason is Reason.TIMEOUT
    assert str(caught.value).endswith("was sent and not answered within 0.3 s")
    assert time.monotonic() - began < 3


def test_a_handshake_that_drips_leaves_the_command_unknown(
    serve: Callable[[Answer], RawServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_pod, "_CONNECT_S", 0.3)
    url = serve(drip(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")).url
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        in_pod._open(api(url), EXEC, container="api", words=("ls",))
    assert time.monotonic() - began < 3


def test_a_name_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(patience.socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    try:
        with pytest.raises(ServiceError) as caught:
            api("http://dead-name-server.example").call(GET)
        assert caught.value.reason is Reason.UNREACHABLE
        assert str(caught.value).endswith("could not be sent: the server does not answer")
    finally:
        over.set()
