"""The metering proxy on the wire: one framing, no credentials out, no second chance, nothing left behind."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from raw_origin import origin
from structlog.testing import capture_logs

from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.proxies.metering_proxy import MeteringProxy
from agent.adapters.proxies.metering_upstream import ApiServer
from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight, Network
from agent.simulators.kubernetes.simulator import Disturbance, KubernetesSimulator

TOKEN = "canary-token-of-the-agent"
PODS = "/api/v1/namespaces/production/pods"
API = "/apis/apps/v1/namespaces/production/deployments/api"
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
WHEN = {"kubectl.kubernetes.io/restartedAt": "2026-03-01T10:00:00Z"}
RESTART = json.dumps({"spec": {"template": {"metadata": {"annotations": WHEN}}}})
LIST = ClusterRight("list", "pods", namespace="production")
GET = ClusterRight("get", "pods", namespace="production")
DELETE_AB = ClusterChange(
    replace(LIST, verb="delete"), ChangeForm.DELETE, at_most=2, names=("a", "b", "c", "d", "e", "f")
)
RESTART_API = ClusterChange(
    ClusterRight("patch", "deployments", "apps", namespace="production", name="api"),
    ChangeForm.RESTART,
    pods=2,
)
READS = Access(network=Network.CLUSTER, cluster=(LIST, GET))
DELETES = Access(network=Network.CLUSTER, changes=(DELETE_AB,))
RESTARTS = Access(network=Network.CLUSTER, changes=(RESTART_API,))


def _proxy(server: str, access: Access, **more: str) -> MeteringProxy:
    return MeteringProxy(ApiServer.of(ClusterCredentials(server, static_token=TOKEN, **more)), access)


def _say(proxy: MeteringProxy, text: str) -> str:
    """Everything that the proxy answers to these bytes; {path} is its own prefix."""
    parts = urlsplit(proxy.url)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(text.replace("\n", "\r\n").replace("{path}", parts.path).encode("latin-1"))
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode("latin-1")


@pytest.fixture
def small() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as sim:
        for name in "abcdef":
            sim.add_pod("production", name)
        sim.add_deployment("production", "api", replicas=2)
        sim.add_user("oncall-agent", groups=("system:masters",), token=TOKEN)
        yield sim


def test_without_its_token_nobody_gets_in(small: KubernetesSimulator) -> None:
    with _proxy(small.url, READS) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        answers = [
            httpx.get(f"{base}{path}{PODS}")
            for path in ("", "/", "/wrong", f"/{'x' * 32}", proxy.url[-33:-1])
        ]
        assert httpx.get(f"{proxy.url}{PODS}").status_code == 200
    assert {answer.status_code for answer in answers} == {403}
    assert {answer.json()["kind"] for answer in answers} == {"Status"}


def test_a_refusal_is_a_status_that_kubectl_prints(small: KubernetesSimulator) -> None:
    with _proxy(small.url, READS) as proxy:
        answer = httpx.get(f"{proxy.url}/api/v1/namespaces/production/secrets")
    said = answer.json()
    assert (said["kind"], said["reason"], said["code"]) == ("Status", "Forbidden", 403)
    assert said["message"].startswith("refused by oncall-agent: this attempt was not priced for list secrets")


def test_the_agents_token_goes_to_the_cluster_and_nowhere_else(small: KubernetesSimulator) -> None:
    with capture_logs() as logs, _proxy(small.url, READS) as proxy:
        answer = httpx.get(f"{proxy.url}{PODS}", headers={"x-extra": "no", "accept": "application/json"})
        refused = httpx.get(f"{proxy.url}{PODS}", headers={"authorization": "Bearer other"})
        lines = proxy.told()
    seen = small.requests(PODS)
    assert answer.status_code == 200
    assert refused.status_code == 403
    assert [each.headers["Authorization"] for each in seen] == [f"Bearer {TOKEN}"]
    assert "X-Extra" not in seen[0].headers
    for text in (answer.text, str(answer.headers), refused.text, str(lines), str(logs)):
        assert TOKEN not in text
        assert urlsplit(proxy.url).path[1:] not in text


def test_a_chunked_body_is_read_whole_before_it_is_judged(small: KubernetesSimulator) -> None:
    with _proxy(small.url, RESTARTS) as proxy:
        half = len(RESTART) // 2
        halves = [RESTART[:half].encode(), RESTART[half:].encode()]
        answer = httpx.patch(f"{proxy.url}{API}", content=iter(halves), headers=STRATEGIC)
    assert answer.status_code == 200, answer.text
    assert len(small.changes()) == 1


def test_pipelined_requests_are_judged_one_by_one(small: KubernetesSimulator) -> None:
    with _proxy(small.url, READS) as proxy:
        text = f"GET {{path}}{PODS} HTTP/1.1\nHost: x\n\n"
        other = "GET {path}/api/v1/secrets HTTP/1.1\nHost: x\n\n"
        answers = _say(proxy, text + other + text)
    assert re.findall(r"HTTP/1.1 (\d+)", answers) == ["200", "403", "200"]
    assert small.calls(resource="secrets") == []


@pytest.mark.parametrize(
    "text",
    [
        f"POST {{path}}{PODS} HTTP/1.1\nHost: x\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n",
        f"POST {{path}}{PODS} HTTP/1.1\nHost: x\nContent-Length: 3\nContent-Length: 4\n\nabc",
        f"POST {{path}}{PODS} HTTP/1.1\nHost: x\nTransfer-Encoding: gzip, chunked\n\n0\n\n",
        f"GET {{path}}{PODS} HTTP/1.1\n\n",
        f"GET {{path}}{PODS} HTTP/1.1\nHost: x\nHost: y\n\n",
        f"GET {{path}}{PODS} HTTP/1.1\nHost: x\nA : b\n\n",
        f"GET  {{path}}{PODS} HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\nHost: x\nA: " + "b" * 40_000,
        "\x16\x03\x01\x02\x00",
    ],
)
def test_a_message_that_could_be_framed_in_two_ways_is_not_read(
    small: KubernetesSimulator, text: str
) -> None:
    with _proxy(small.url, READS) as proxy:
        answer = _say(proxy, text)
    assert answer.startswith("HTTP/1.1 400 ")
    assert small.calls() == []


def test_a_body_over_the_cap_is_not_read_to_its_end(small: KubernetesSimulator) -> None:
    with _proxy(small.url, RESTARTS) as proxy:
        answer = httpx.patch(f"{proxy.url}{API}", content=b" " * 3_000_000, headers=STRATEGIC)
    assert answer.status_code == 413
    assert small.calls() == []


def test_threads_at_once_delete_no_more_than_was_charged(small: KubernetesSimulator) -> None:
    with _proxy(small.url, DELETES) as proxy, ThreadPoolExecutor(6) as pool:
        gate = threading.Barrier(6, timeout=10)

        def delete(name: str) -> int:
            gate.wait()
            return httpx.delete(f"{proxy.url}{PODS}/{name}").status_code

        statuses = list(pool.map(delete, "abcdef"))
    assert sorted(statuses) == [200, 200, 403, 403, 403, 403]
    assert len(small.changes()) == 2


def test_a_change_without_an_answer_stays_charged() -> None:
    with origin(b"") as gone, _proxy(f"http://127.0.0.1:{gone.port}", DELETES) as proxy:
        answers = [httpx.delete(f"{proxy.url}{PODS}/a") for _ in range(3)]
        lines = proxy.told()
    assert [answer.status_code for answer in answers] == [502, 502, 403]
    assert "it may have been done; it stays charged" in answers[0].text
    assert lines[0] == "sent to the cluster: delete pods a in production → no answer: it may have been done"
    assert len(gone.requests) == 2


def test_a_change_that_could_not_be_sent_is_not_used_up() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with _proxy(f"http://127.0.0.1:{port}", DELETES) as proxy:
            statuses = [httpx.delete(f"{proxy.url}{PODS}/a").status_code for _ in range(3)]
    assert statuses == [503, 503, 503]


def test_a_restart_is_tied_to_the_state_that_was_counted(small: KubernetesSimulator) -> None:
    with _proxy(small.url, RESTARTS) as proxy:
        small.disturb(Disturbance(status=409, verb="patch", resource="deployments", times=2))
        answer = httpx.patch(f"{proxy.url}{API}", content=RESTART, headers=STRATEGIC)
    patches = small.calls(verb="patch")
    assert answer.status_code == 200
    assert [each.status for each in patches] == [409, 409, 200]
    assert all(each.body["metadata"]["resourceVersion"] for each in patches)  # type: ignore[index, call-overload]
    assert len(small.calls(verb="get", resource="deployments")) == 3


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_cannot_be_read_is_told(said: bytes) -> None:
    with origin(said) as there, _proxy(f"http://127.0.0.1:{there.port}", READS) as proxy:
        answer = httpx.get(f"{proxy.url}{PODS}")
    assert answer.status_code == 502
    assert "the API server gave no answer" in answer.json()["message"]


def test_an_answer_that_breaks_off_is_not_made_whole() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    with (
        origin(half) as there,
        _proxy(f"http://127.0.0.1:{there.port}", READS) as proxy,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        httpx.get(f"{proxy.url}{PODS}")


def test_a_redirect_is_not_followed_with_our_credentials() -> None:
    away = b"HTTP/1.1 307 Go\r\nLocation: http://elsewhere.example.com/\r\nContent-Length: 0\r\n\r\n"
    with origin(away) as there, _proxy(f"http://127.0.0.1:{there.port}", READS) as proxy:
        answer = httpx.get(f"{proxy.url}{PODS}")
    assert answer.status_code == 502
    assert "location" not in answer.headers


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410, 422, 429, 500, 503, 504])
def test_what_the_cluster_says_is_passed_on(status: int) -> None:
    said = f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nRetry-After: 1\r\n\r\nno".encode()
    with origin(said) as there, _proxy(f"http://127.0.0.1:{there.port}", READS) as proxy:
        answer = httpx.get(f"{proxy.url}{PODS}")
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (status, "no", "1")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("said", [b'{"kind": "Status", "message": "pods is forbidden"}', b"not json", b"[]"])
def test_a_403_of_the_cluster_names_the_missing_rule(said: bytes) -> None:
    forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)
    with origin(forbidden) as there, _proxy(f"http://127.0.0.1:{there.port}", READS) as proxy:
        answer = httpx.get(f"{proxy.url}{PODS}")
    assert answer.status_code == 403
    assert answer.json()["message"].endswith("your Role misses list on pods in production")


def test_a_count_that_our_own_role_forbids_names_the_missing_rule(small: KubernetesSimulator) -> None:
    token = small.add_service_account("production", "weak")
    server = ApiServer.of(ClusterCredentials(small.url, static_token=token))
    with MeteringProxy(server, RESTARTS) as proxy:
        answer = httpx.patch(f"{proxy.url}{API}", content=RESTART, headers=STRATEGIC)
    assert "cannot look at the deployment api right before it is changed" in answer.json()["message"]
    assert "your Role misses get on deployments (apiGroup apps) in production" in answer.json()["message"]


def test_a_server_with_another_certificate_is_not_talked_to() -> None:
    with KubernetesSimulator(tls=True) as sim, _proxy(sim.tls_url, READS) as proxy:
        answer = httpx.get(f"{proxy.url}{PODS}")
        assert answer.status_code == 503
        assert ssl.SSLCertVerificationError.__name__ in answer.text
        assert sim.calls() == []


def test_closing_the_proxy_ends_a_watch_that_goes_on(small: KubernetesSimulator) -> None:
    access = replace(READS, cluster=(*READS.cluster, replace(LIST, verb="watch")))
    with ExitStack() as until_the_end, httpx.Client(timeout=10) as client:
        proxy = until_the_end.enter_context(_proxy(small.url, access))
        answer = until_the_end.enter_context(client.stream("GET", f"{proxy.url}{PODS}?watch=true"))
        lines = answer.iter_lines()
        assert json.loads(next(lines))["type"] == "ADDED"
        proxy.__exit__()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
        until_the_end.pop_all()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{proxy.url}{PODS}")
    assert not [thread for thread in threading.enumerate() if thread.name == "metering-proxy"]


def test_connections_beyond_the_bound_are_closed(small: KubernetesSimulator) -> None:
    with _proxy(small.url, READS) as proxy:
        held = [socket.create_connection(("127.0.0.1", proxy.port), timeout=5) for _ in range(32)]
        for sock in held:
            sock.sendall(b"GET ")
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as one_more:
            assert one_more.recv(1) == b""
        for sock in held:
            sock.close()
