"""The real curl in the real sandbox reaches the host of its URL through the egress proxy, nothing else."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from raw_origin import origin
from sandboxed import carried_out, given, judged

from agent.domain.access import Access, Network
from agent.safety.effects import TRUSTED_PATH
from agent.simulators.kubernetes.tls import make_certificate

pytestmark = pytest.mark.skipif(
    shutil.which("curl", path=":".join(TRUSTED_PATH)) is None, reason="curl is not installed"
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
#: curl's exit codes: cannot connect, refused by the proxy or broken off, an unknown certificate.
NO_CONNECTION, BROKEN_OFF, UNKNOWN_CERTIFICATE = 7, 56, 60


def _to(port: int) -> Access:
    return Access(network=Network.EGRESS, hosts=(f"127.0.0.1:{port}",))


def test_the_host_of_its_url_is_reached() -> None:
    with origin(OK) as there:
        result = carried_out(judged(f"curl -sS http://127.0.0.1:{there.port}/health"))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "hello", "")
    assert there.requests[0].startswith(b"GET /health HTTP/1.1\r\n")
    assert b"proxy-authorization" not in there.requests[0].lower()


def test_a_host_that_it_was_not_priced_for_is_refused_in_words() -> None:
    with origin(OK) as there, origin(OK) as other:
        command = given(_to(there.port), "curl", "-sS", f"http://127.0.0.1:{other.port}/")
        result = carried_out(command)
    words = f"refused by oncall-agent: this command was not priced for 127.0.0.1:{other.port}"
    assert words in result.stdout
    assert f"oncall-agent: refused: this command was not priced for 127.0.0.1:{other.port}" in result.stderr
    assert other.requests == []


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/"])
def test_the_metadata_address_is_refused_though_it_was_priced(url: str) -> None:
    access = Access(network=Network.EGRESS, hosts=("169.254.169.254:80", "169.254.169.254:443"))
    result = carried_out(given(access, "curl", "-sS", "-m", "5", url))
    assert "is a metadata or link-local address, where machines find credentials" in result.stderr
    assert "ami-id" not in result.stdout


@pytest.mark.parametrize("way", [("--noproxy", "*"), ("--proxy", ""), ("--noproxy", "127.0.0.1")])
def test_a_program_that_leaves_the_proxy_out_connects_to_nothing(way: tuple[str, str]) -> None:
    with origin(OK) as there:
        command = given(_to(there.port), "curl", "-sS", *way, f"http://127.0.0.1:{there.port}/")
        result = carried_out(command)
    assert result.exit_code == NO_CONNECTION
    assert not there.connected.is_set()


def test_another_proxy_is_not_reached_either() -> None:
    with origin(OK) as there, origin(OK) as other:
        proxy = f"http://127.0.0.1:{other.port}"
        command = given(_to(there.port), "curl", "-sS", "-x", proxy, f"http://127.0.0.1:{there.port}/")
        result = carried_out(command)
    assert result.exit_code == NO_CONNECTION
    assert not other.connected.is_set()


def test_a_file_of_the_agent_cannot_be_sent(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    with origin(OK) as there:
        command = given(_to(there.port), "curl", "-sS", "-d", f"@{secret}", f"http://127.0.0.1:{there.port}/")
        carried_out(command)
    assert b"canary" not in b"".join(there.requests)


@dataclass
class TlsOrigin:
    """A server with a certificate that nobody trusts."""

    port: int
    ends: list[str] = field(default_factory=list)


@contextmanager
def _tls_origin() -> Iterator[TlsOrigin]:
    context = make_certificate().context()
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = TlsOrigin(server.getsockname()[1])

        def serve() -> None:
            connection, _ = server.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
                there.ends.append("a whole handshake")
            except (ssl.SSLError, OSError) as error:
                there.ends.append(str(error))
            finally:
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield there
        if not there.ends:
            server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_https_goes_through_to_the_servers_own_handshake() -> None:
    with _tls_origin() as there:
        result = carried_out(judged(f"curl -sS https://127.0.0.1:{there.port}/"))
    assert result.exit_code == UNKNOWN_CERTIFICATE, result.stderr
    assert "unknown ca" in there.ends[0].lower()


def test_https_to_another_host_is_refused_before_a_byte_is_sent() -> None:
    with origin(OK) as there, origin(OK, hold=True) as other:
        command = given(_to(there.port), "curl", "-sS", f"https://127.0.0.1:{other.port}/")
        result = carried_out(command)
        assert not other.connected.is_set()
    assert result.exit_code == BROKEN_OFF
    assert f"refused: this command was not priced for 127.0.0.1:{other.port}" in result.stderr
