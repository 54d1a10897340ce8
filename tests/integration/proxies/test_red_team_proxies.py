"""Ways past the metering and the egress proxy that a hostile kubectl or curl tried on the wire."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from raw_origin import origin

from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.proxies.egress_proxy import EgressProxy
from agent.adapters.proxies.metering_proxy import MeteringProxy
from agent.adapters.proxies.metering_upstream import ApiServer
from agent.domain.access import Access, ChangeForm, ClusterChange, ClusterRight, Network
from agent.simulators.kubernetes.simulator import KubernetesSimulator

TOKEN = "canary-token-of-the-agent"
PODS = "/api/v1/namespaces/production/pods"
EXEC = f"{PODS}/api-1/exec"
UPGRADE = (
    "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Protocol: v5.channel.k8s.io\n"
)
ACCESS = Access(
    network=Network.CLUSTER,
    cluster=(
        ClusterRight("get", "pods", namespace="production", name="api-1"),
        ClusterRight("list", "pods", namespace="production"),
    ),
    changes=(
        ClusterChange(
            ClusterRight("create", "pods", subresource="exec", namespace="production", name="api-1"),
            ChangeForm.EXEC,
            argv=("say", "a", "b"),
        ),
        ClusterChange(
            ClusterRight("delete", "pods", namespace="production", name="api-1"), ChangeForm.DELETE
        ),
    ),
)


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as sim:
        for name in ("api-1", "api-2"):
            sim.add_pod("production", name)
        sim.add_deployment("production", "web", replicas=2)
        sim.add_user("oncall-agent", groups=("system:masters",), token=TOKEN)
        yield sim


def say(sim: KubernetesSimulator, *texts: str, access: Access = ACCESS) -> list[str]:
    """Everything that the proxy answers to each text, on a connection of its own; {path} is its prefix."""
    with MeteringProxy(ApiServer.of(ClusterCredentials(sim.url, static_token=TOKEN)), access) as proxy:
        prefix = urlsplit(proxy.url).path
        return [_exchange(proxy.port, text.replace("{path}", prefix)) for text in texts]


def _exchange(port: int, text: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(text.replace("\n", "\r\n").encode("latin-1"))
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode("latin-1")


def ask(method: str, path: str, *, headers: str = "", body: str = "") -> str:
    length = f"Content-Length: {len(body)}\n" if body else ""
    return f"{method} {{path}}{path} HTTP/1.1\nHost: x\n{headers}{length}\n{body}"


def statuses(answers: list[str]) -> list[str]:
    return [code for answer in answers for code in re.findall(r"HTTP/1\.1 (\d+)", answer)]


OTHER_READINGS = [
    *("/api/v1/namespaces/production/pods/../secrets", "/api/v1/namespaces/production//secrets"),
    *("/api/v1/namespaces/production/pods/%2e%2e/secrets", "/api/v1/namespaces/production/%73ecrets"),
    *("/api/v1/namespaces/production/pods%2fapi-1", "/api/v1/namespaces/production/pods%252fapi-1"),
    *("/api/v1/namespaces/production/pods/", "/api/v1/namespaces/production/pods;x"),
    *("/api/v1/namespaces/production/pods/.", "/api/v1/namespaces/production/pods\\api-1"),
    *("/API/v1/namespaces/production/pods", "/api/v1/watch/namespaces/production/pods"),
    *("/api/v1/pods", "/api/v1/namespaces/kube-system/pods", "/api/v1/namespaces/production/secrets"),
    *("/api/v1/proxy/namespaces/production/pods/api-1", "/api/v1/nodes/node-a/proxy/runningpods"),
    *(f"{PODS}/api-1/{name}" for name in ("proxy", "portforward", "attach", "ephemeralcontainers")),
    *(f"{PODS}/api-1/proxy/env", f"{PODS}/http:api-1:80/proxy", f"{PODS}/api-1/log", f"{PODS}/api-2"),
    *("/metrics", "/logs", "/debug/pprof/heap", "/apis/apps/v1/namespaces/production/deployments/web"),
    *(f"{PODS}?watch=1", f"{PODS}?watch=yes", f"{PODS}?limit=1&limit=2", f"{PODS}?unknown=1"),
    *(f"{PODS}?%6cimit=1", f"{PODS}?limit=%zz", f"{PODS}?labelSelector=a;watch=1"),
    "/api/v1/namespaces/production/secrets?fieldSelector=metadata.name=api-1",
    "/api/v1/secrets?fieldSelector=metadata.namespace=production",
]


@pytest.mark.parametrize("path", OTHER_READINGS)
def test_a_path_that_a_server_could_read_as_another_is_not_sent_on(
    cluster: KubernetesSimulator, path: str
) -> None:
    assert statuses(say(cluster, ask("GET", path)))[0] in {"400", "403"}
    assert cluster.calls() == []


REFUSED_CHANGES = [
    ask("DELETE", f"{PODS}/api-2"),
    ask("DELETE", PODS),
    ask("DELETE", f"{PODS}?fieldSelector=metadata.name=api-1"),
    ask("DELETE", f"{PODS}/api-1?gracePeriodSeconds=0"),
    ask("DELETE", f"{PODS}/api-1?orphanDependents=true"),
    ask("DELETE", f"{PODS}/api-1?dryRun="),
    ask("DELETE", f"{PODS}/api-1?dryRun=All", body="{}"),
    ask("DELETE", f"{PODS}/api-1", body='{"gracePeriodSeconds":0}'),
    ask("DELETE", f"{PODS}/api-1", body='{"GracePeriodSeconds":0}'),
    ask("DELETE", f"{PODS}/api-1", body='{"dryRun":["All"],"dryRun":[]}'),
    ask("DELETE", f"{PODS}/api-1", body='{"dryRun":["All"],"\\u0064ryRun":[]}'),
    ask("DELETE", f"{PODS}/api-1", body='{"dryRun":["None"]}'),
    ask("POST", f"{PODS}/api-1/eviction", body='{"kind":"Eviction","metadata":{"name":"api-1"}}'),
    ask("POST", PODS, body='{"kind":"Pod"}'),
    ask("PUT", f"{PODS}/api-1", body='{"kind":"Pod"}'),
    ask("PATCH", f"{PODS}/api-1", headers="Content-Type: application/apply-patch+yaml\n", body="{}"),
    ask("GET", f"{PODS}/api-1", headers="X-HTTP-Method-Override: DELETE\n"),
    ask("GET", f"{PODS}/api-1", headers="Impersonate-User: system:admin\n"),
    ask("GET", f"{PODS}/api-1", headers="X-Remote-User: system:admin\n"),
    ask("GET", f"{PODS}/api-1", headers="Authorization: Bearer x\n"),
    ask("GET", f"{PODS}/api-1", headers=UPGRADE),
    ask("GET", f"{PODS}/api-1/log", headers=UPGRADE),
    ask("CONNECT", "/x"),
    ask("OPTIONS", PODS),
    ask("get", PODS),
]


@pytest.mark.parametrize("text", REFUSED_CHANGES)
def test_a_change_that_says_more_than_was_priced_is_not_sent_on(
    cluster: KubernetesSimulator, text: str
) -> None:
    assert statuses(say(cluster, text))[0] in {"400", "403"}
    assert cluster.calls() == []


OTHER_EXECS = [
    *("command=say", "command=say&command=b&command=a", "command=say&command=a&command=b&command=c"),
    *("command=say&command=a%20b", "command=say+a+b", "command=say&command=a&command=b%0a"),
    *("command=say&command=a&Command=x&command=b", "command[]=say&command=a&command=b", "command="),
    *("command=say&command=a&command=b&stdin=true", "command=say&command=a&command=b&stdin=1"),
    *("command=say&command=a&command=b&tty=t", "command=say&command=a&command=b&container=other"),
    *("command=say&command=a&command=b&container=a&container=b", "command=say&command=a&command=b&x=y"),
]


@pytest.mark.parametrize("query", OTHER_EXECS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_exec_of_anything_else_is_not_sent_on(
    cluster: KubernetesSimulator, method: str, query: str
) -> None:
    headers = UPGRADE if method == "GET" else "Connection: Upgrade\nUpgrade: SPDY/3.1\n"
    assert statuses(say(cluster, ask(method, f"{EXEC}?{query}", headers=headers)))[0] in {"400", "403"}
    assert [call for call in cluster.calls() if call.resource == "pods/exec"] == []


@pytest.mark.parametrize("empty", ["stdin=", "stdin", "tty=", "stdin=&tty="])
def test_an_exec_with_an_input_by_an_empty_value_is_not_sent_on(
    cluster: KubernetesSimulator, empty: str
) -> None:
    query = f"command=say&command=a&command=b&stdout=true&{empty}"
    answers = say(cluster, ask("GET", f"{EXEC}?{query}", headers=UPGRADE))
    assert "stdin" in answers[0] or "tty" in answers[0]
    assert [call for call in cluster.calls() if call.resource == "pods/exec"] == []


@pytest.mark.parametrize("empty", ["watch=", "watch"])
def test_a_watch_by_an_empty_value_is_none_that_a_list_grants(
    cluster: KubernetesSimulator, empty: str
) -> None:
    assert statuses(say(cluster, ask("GET", f"{PODS}?{empty}")))[0] == "403"


def test_a_change_with_two_content_types_is_not_sent_on(cluster: KubernetesSimulator) -> None:
    two = "Content-Type: application/json;\nContent-Type: application/vnd.kubernetes.protobuf\n"
    text = ask("DELETE", f"{PODS}/api-1", headers=two, body='{"dryRun":["All"]}')
    assert statuses(say(cluster, text)) == ["403"]


SMUGGLED = [
    "Content-Length: 3\nContent-Length: 4\n",
    "Content-Length: 3\nTransfer-Encoding: chunked\n",
    "Transfer-Encoding: chunked, identity\n",
    "Transfer-Encoding: \x0bchunked\n",
    "Content-Length: +3\n",
    "Content-Length: 0x3\n",
    "Content-Length : 3\n",
    " Content-Length: 3\n",
]


@pytest.mark.parametrize("framing", SMUGGLED)
def test_a_request_behind_another_one_is_never_hidden_in_its_body(
    cluster: KubernetesSimulator, framing: str
) -> None:
    hidden = f"DELETE {PODS}/api-2 HTTP/1.1\nHost: x\n\n"
    say(cluster, f"DELETE {{path}}{PODS}/api-1 HTTP/1.1\nHost: x\n{framing}\nabc{hidden}")
    assert "api-2" not in [call.name for call in cluster.calls(verb="delete")]


def test_a_chunk_extension_changes_nothing_of_what_is_judged(cluster: KubernetesSimulator) -> None:
    head = f"DELETE {{path}}{PODS}/api-1 HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n"
    zero = '{"gracePeriodSeconds":0}'
    answers = say(cluster, f'{head}{len(zero):x};a="b"\n{zero}\n0\nX-HTTP-Method-Override: GET\n\n')
    assert statuses(answers)[0] in {"400", "403"}
    assert cluster.calls() == []


def test_a_head_without_end_is_not_kept(cluster: KubernetesSimulator) -> None:
    with contextlib.suppress(OSError):  # it is closed while the rest of the head arrives, or just after
        answers = say(cluster, ask("GET", PODS, headers=f"X-A: {'a' * 100_000}\n"))
        assert statuses(answers) in ([], ["400"], ["431"])
    assert cluster.calls() == []


def test_a_refusal_leaves_nothing_on_its_connection_for_the_next_request(
    cluster: KubernetesSimulator,
) -> None:
    first = ask("POST", f"{PODS}/api-2/eviction", body="x" * 40)
    answers = say(cluster, first + ask("GET", f"{PODS}/api-2") + ask("DELETE", f"{PODS}/api-2"))
    assert statuses(answers) == ["403", "403", "403"]
    assert cluster.calls() == []


@pytest.mark.parametrize("how", ["/", "//{token}", "/{token}x", "/{upper}", "/%{hex}", "http://h/{token}"])
def test_the_token_is_known_whole_or_not_at_all(cluster: KubernetesSimulator, how: str) -> None:
    credentials = ClusterCredentials(cluster.url, static_token=TOKEN)
    with MeteringProxy(ApiServer.of(credentials), ACCESS) as proxy:
        token = urlsplit(proxy.url).path[1:]
        prefix = how.format(token=token, upper=token.swapcase(), hex=f"{ord(token[0]):x}{token[1:]}")
        answer = _exchange(proxy.port, f"GET {prefix}{PODS} HTTP/1.1\nHost: x\n\n")
    assert statuses([answer]) == ["403"]
    assert cluster.calls() == []


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT 127.0.0.1:{other} HTTP/1.1",
        "CONNECT localhost:{port} HTTP/1.1",
        "CONNECT 127.0.0.1.:{port} HTTP/1.1",
        "CONNECT 0x7f.1:{port} HTTP/1.1",
        "CONNECT 127.1:{port} HTTP/1.1",
        "CONNECT 2130706433:{port} HTTP/1.1",
        "CONNECT 0177.0.0.1:{port} HTTP/1.1",
        "CONNECT 0.0.0.0:{port} HTTP/1.1",
        "CONNECT [::]:{port} HTTP/1.1",
        "CONNECT [::1]:{port} HTTP/1.1",
        "CONNECT [::ffff:127.0.0.1]:{port} HTTP/1.1",
        "CONNECT [::127.0.0.1]:{port} HTTP/1.1",
        "CONNECT user@127.0.0.1:{port} HTTP/1.1",
        "CONNECT 127.0.0.1:{port}@evil:80 HTTP/1.1",
        "CONNECT 127.0.0.1 HTTP/1.1",
        "CONNECT http://127.0.0.1:{port} HTTP/1.1",
        "GET http://user:pw@127.0.0.1:{port}/ HTTP/1.1",
        "GET http://127.0.0.1:{port}@evil/ HTTP/1.1",
        "GET http://127.0.0.1:{other}/ HTTP/1.1",
        "GET https://127.0.0.1:{port}/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET / HTTP/1.1",
        "TRACE http://127.0.0.1:{port}/ HTTP/1.1",
    ],
)
def test_the_way_out_leads_to_the_judged_host_by_its_own_name_alone(line: str) -> None:
    with origin(OK) as there, origin(OK) as other:
        access = Access(network=Network.EGRESS, hosts=(f"127.0.0.1:{there.port}",))
        with EgressProxy(access) as proxy:
            answer = _through(proxy, line.format(port=there.port, other=other.port))
    assert answer.startswith(("HTTP/1.1 403", "HTTP/1.1 400")), answer
    assert there.requests == other.requests == []


def test_a_host_header_does_not_choose_another_site_on_the_judged_host() -> None:
    with origin(OK) as there:
        access = Access(network=Network.EGRESS, hosts=(f"127.0.0.1:{there.port}",))
        with EgressProxy(access) as proxy:
            _through(proxy, f"GET http://127.0.0.1:{there.port}/x HTTP/1.1", "Host: admin.internal\n")
    assert b"admin.internal" not in there.requests[0]
    assert b"proxy-authorization" not in there.requests[0].lower()


def _through(proxy: EgressProxy, line: str, headers: str = "Host: x\n") -> str:
    parts = urlsplit(proxy.url)
    credentials = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    return _exchange(proxy.port, f"{line}\n{headers}Proxy-Authorization: Basic {credentials}\n\n")
