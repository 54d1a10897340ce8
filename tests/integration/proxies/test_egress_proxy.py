"""Through the egress proxy a command reaches the hosts that it was priced for, and nothing else."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from raw_origin import origin

from agent.adapters.proxies.egress_proxy import EgressProxy
from agent.adapters.proxies.gateways import LiveGateways
from agent.config.sections import Kubernetes
from agent.domain.access import Access, Network
from agent.domain.command import PricedCommand

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-From: origin\r\n\r\nhello"
METADATA_NAME = "instance-data.ec2.internal:80"


@pytest.fixture
def needs_curl() -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")


def _curl(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    base = ("curl", "-q", "-sS", "-m", "10")
    return subprocess.run(
        [*base, *arguments], env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True
    )


@contextmanager
def _step(*hosts: str) -> Iterator[dict[str, str]]:
    access = Access(network=Network.EGRESS, hosts=hosts)
    gateways = LiveGateways(Kubernetes())
    with gateways.open(PricedCommand(("curl",), access=access), marker="m") as opening:
        assert opening.port
        yield dict(opening.environment)


@contextmanager
def _proxy(*hosts: str, leads_to: Sequence[str] = ("127.0.0.1",), **more: float) -> Iterator[EgressProxy]:
    def look_up(_: str, port: int) -> Sequence[tuple[str, int]]:
        return [(ip, port) for ip in leads_to]

    with EgressProxy(Access(hosts=hosts), look_up=look_up, **more) as proxy:  # type: ignore[arg-type]
        yield proxy


def _say(proxy: EgressProxy, text: str, *, authorized: bool = True) -> bytes:
    """Everything that the proxy answers to these bytes."""
    token = base64.b64encode(proxy.url.split("//")[1].split("@")[0].encode()).decode()
    line = f"Proxy-Authorization: Basic {token}\r\n" if authorized else ""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(text.replace("\n", "\r\n").replace("{auth}\r\n", line).encode("latin-1"))
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.usefixtures("needs_curl")
def test_curl_gets_a_plain_url_of_its_own_host() -> None:
    with origin(OK) as there, _step(f"127.0.0.1:{there.port}") as environment:
        ran = _curl(environment, f"http://127.0.0.1:{there.port}/health?a=b")
    assert ran.stdout == "hello", ran.stderr
    request = there.requests[0].decode()
    assert request.startswith("GET /health?a=b HTTP/1.1\r\n")
    assert "proxy" not in request.lower()


@pytest.mark.usefixtures("needs_curl")
def test_curl_tunnels_to_its_own_host() -> None:
    with origin(OK) as there, _step(f"localhost:{there.port}") as environment:
        ran = _curl(environment, "--proxytunnel", f"http://localhost:{there.port}/")
    assert ran.stdout == "hello", ran.stderr


@pytest.mark.usefixtures("needs_curl")
def test_curl_sends_a_body_through() -> None:
    with origin(OK) as there, _step(f"127.0.0.1:{there.port}") as environment:
        ran = _curl(environment, "-X", "POST", "-d", "x=1", f"http://127.0.0.1:{there.port}/")
        chunked = _curl(
            environment,
            *("-H", "Transfer-Encoding: chunked", "-d", "y=2", f"http://127.0.0.1:{there.port}/"),
        )
    assert (ran.stdout, chunked.stdout) == ("hello", "hello"), chunked.stderr
    assert there.requests[0].endswith(b"x=1")
    assert b"y=2" in there.requests[1]


@pytest.mark.usefixtures("needs_curl")
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://localhost/",
        "https://localhost/",
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://127.1/",
    ],
)
def test_curl_gets_nothing_from_another_host(url: str) -> None:
    with origin(OK) as there, _step(f"127.0.0.1:{there.port}") as environment:
        ran = _curl(environment, "-w", "%{http_code} %{http_connect}", "-o", "/dev/null", url)
    assert "403" in ran.stdout, ran.stderr
    assert there.requests == []


@pytest.mark.parametrize(
    ("allowed", "asked", "leads_to", "says"),
    [
        (("169.254.169.254:80",), "169.254.169.254:80", ("169.254.169.254",), "metadata"),
        ((METADATA_NAME,), METADATA_NAME, ("10.0.0.1",), "metadata"),
        (("api.example.com:80",), "api.example.com:80", ("169.254.169.254",), "leads to 169.254.169.254"),
        (("api.example.com:80",), "api.example.com:80", ("10.0.0.1", "169.254.170.2"), "leads to"),
        (("api.example.com:80",), "api.example.com:80", ("127.0.0.1",), "this machine"),
        (("api.example.com:80",), "api.example.com:80", ("::1",), "this machine"),
        (("api.example.com:80",), "api.example.com:80", ("::ffff:10.0.0.1",), "mapped"),
        (("api.example.com:80",), "api.example.com:80", ("::ffff:169.254.169.254",), "mapped"),
        (("api.example.com:80",), "api.example.com:80", ("::127.0.0.1",), "mapped"),
        (("api.example.com:80",), "api.example.com:80", ("fe80::1%eth0",), "link-local"),
        (("api.example.com:80",), "api.example.com:80", ("fd00:ec2::254",), "metadata"),
        (("api.example.com:80",), "api.example.com:80", ("64:ff9b::a9fe:a9fe",), "metadata"),
        (("api.example.com:80",), "api.example.com:80", ("0.0.0.0",), "no address"),
        (("api.example.com:80",), "api.example.com:80", ("::",), "no address"),
        (("api.example.com:80",), "api.example.com:80", ("224.0.0.1",), "multicast"),
        (("api.example.com:80",), "api.example.com:80", ("255.255.255.255",), "no host's address"),
        (("localhost:80",), "localhost:80", ("10.0.0.1",), "not this machine"),
        (("api.example.com:443",), "api.example.com:8443", ("10.0.0.1",), "not priced for"),
        (("api.example.com",), "api.example.com:22", ("10.0.0.1",), "not priced for"),
        (("*.example.com:443",), "example.com:443", ("10.0.0.1",), "not priced for"),
        (("*.example.com:443",), "api.example.com.evil.test:443", ("10.0.0.1",), "not priced for"),
        ((), "api.example.com:443", ("10.0.0.1",), "it may reach no host"),
        (("api.example.com:443",), "api.example.com", ("10.0.0.1",), "names no port"),
        (("api.example.com:443",), "user@api.example.com:443", ("10.0.0.1",), "not a host"),
        (("127.0.0.1:80",), "2130706433:80", ("127.0.0.1",), "not a host"),
        (("127.0.0.1:80",), "0x7f.1:80", ("127.0.0.1",), "not a host"),
    ],
)
def test_a_tunnel_goes_nowhere_else_whatever_a_name_leads_to(
    allowed: Sequence[str], asked: str, leads_to: Sequence[str], says: str
) -> None:
    with _proxy(*allowed, leads_to=leads_to) as proxy:
        answer = _say(proxy, f"CONNECT {asked} HTTP/1.1\nHost: {asked}\n{{auth}}\nConnection: close\n\n")
        lines = proxy.told()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert says.encode() in answer
    assert lines


def test_the_name_is_looked_up_once_and_that_address_is_connected_to() -> None:
    asked: list[str] = []
    with origin(OK) as there:

        def look_up(host: str, port: int) -> Sequence[tuple[str, int]]:
            asked.append(host)
            return [("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port)]

        with EgressProxy(Access(hosts=(f"localhost:{there.port}",)), look_up=look_up) as proxy:
            text = f"GET http://localhost:{there.port}/ HTTP/1.1\nHost: localhost\n{{auth}}\n\n"
            assert _say(proxy, text).endswith(b"hello")
    assert asked == ["localhost"]


def test_the_host_that_is_asked_is_the_one_that_was_judged() -> None:
    with origin(OK) as there, _proxy(f"localhost:{there.port}") as proxy:
        url = f"http://localhost:{there.port}/"
        _say(proxy, f"GET {url} HTTP/1.1\nHost: internal.example.com\nX-A: b\n{{auth}}\n\n")
    assert f"host: localhost:{there.port}".encode() in there.requests[0].lower()
    assert b"internal.example.com" not in there.requests[0]


def test_another_process_on_the_machine_gets_no_way_out() -> None:
    with origin(OK) as there, _proxy(f"localhost:{there.port}") as proxy:
        url = f"http://localhost:{there.port}/"
        answer = _say(proxy, f"GET {url} HTTP/1.1\nHost: x\nConnection: close\n\n", authorized=False)
    assert answer.startswith(b"HTTP/1.1 407 ")
    assert there.requests == []


@pytest.mark.parametrize(
    "text",
    [
        "GET / HTTP/1.1\nHost: x\n{auth}\n\n",
        "GET https://localhost/ HTTP/1.1\nHost: x\n{auth}\nConnection: close\n\n",
        "GET ftp://localhost/ HTTP/1.1\nHost: x\n{auth}\nConnection: close\n\n",
        "TRACE http://localhost/ HTTP/1.1\nHost: x\n{auth}\nConnection: close\n\n",
        "POST http://localhost/ HTTP/1.1\nHost: x\n{auth}\nContent-Length: 1\nTransfer-Encoding: chunked\n\n",
        "POST http://localhost/ HTTP/1.1\nHost: x\n{auth}\nContent-Length: 1\nContent-Length: 2\n\n",
        "GET http://localhost/ HTTP/1.1\nHost: x\n folded: y\n{auth}\n\n",
        "GET http://[::1/ HTTP/1.1\nHost: x\n{auth}\nConnection: close\n\n",
        "GET http://a@localhost/ HTTP/1.1\nHost: x\n{auth}\nConnection: close\n\n",
        "nonsense\n\n",
    ],
)
def test_what_is_no_plain_proxy_request_is_refused(text: str) -> None:
    with _proxy("localhost:80", leads_to=("10.255.255.1",)) as proxy:
        answer = _say(proxy, text.replace("{auth}\n\n", "{auth}\nConnection: close\n\n"))
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 403")


def test_a_quiet_tunnel_ends_by_itself() -> None:
    with origin(b"", hold=True) as there, _proxy(f"localhost:{there.port}", idle_s=0.2) as proxy:
        where = f"localhost:{there.port}"
        answer = _say(proxy, f"CONNECT {where} HTTP/1.1\nHost: {where}\n{{auth}}\n\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_more_bytes_than_the_cap_end_the_connection() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
    with origin(large) as there, _proxy(f"localhost:{there.port}", most=200_000) as proxy:
        where = f"localhost:{there.port}"
        tunnelled = _say(
            proxy, f"CONNECT {where} HTTP/1.1\nHost: {where}\n{{auth}}\n\nGET / HTTP/1.1\nHost: a\n\n"
        )
        plain = _say(proxy, f"GET http://{where}/ HTTP/1.1\nHost: a\n{{auth}}\n\n")
    assert len(tunnelled) < 400_000
    assert len(plain) < 400_000


def test_closing_the_proxy_ends_every_tunnel() -> None:
    with origin(b"", hold=True) as there:
        where = f"localhost:{there.port}"
        ended = threading.Event()
        with _proxy(where) as proxy:
            thread = threading.Thread(target=lambda: (_tunnel(proxy, where), ended.set()), daemon=True)
            thread.start()
            there.connected.wait(5)
        assert ended.wait(5)


def _tunnel(proxy: EgressProxy, where: str) -> None:
    _say(proxy, f"CONNECT {where} HTTP/1.1\nHost: {where}\n{{auth}}\n\n")


def test_a_name_that_nobody_knows_is_told() -> None:
    where = f"{'a' * 64}.example.com:80"
    with EgressProxy(Access(hosts=(where,))) as proxy:
        answer = _say(proxy, f"CONNECT {where} HTTP/1.1\nHost: {where}\n{{auth}}\nConnection: close\n\n")
    assert answer.startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_an_origin_that_speaks_something_else_is_told(said: bytes) -> None:
    with origin(said) as there, _proxy(f"localhost:{there.port}") as proxy:
        answer = _say(
            proxy, f"GET http://localhost:{there.port}/ HTTP/1.1\nHost: x\n{{auth}}\nConnection: close\n\n"
        )
    assert answer.startswith(b"HTTP/1.1 502 ")


def test_an_origin_that_does_not_answer_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with _proxy(where) as proxy:
            answer = _say(proxy, f"CONNECT {where} HTTP/1.1\nHost: {where}\n{{auth}}\nConnection: close\n\n")
    assert answer.startswith(b"HTTP/1.1 502 ")
