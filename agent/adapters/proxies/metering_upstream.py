"""The metering proxy's own connection to the API server: it alone carries our credentials."""

from __future__ import annotations

import json
import socket
import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import h11

from agent.adapters.kubernetes.credentials import ClusterCredentials
from agent.adapters.proxies.gateway_listener import Sockets
from agent.adapters.proxies.gateway_wire import Head, Headers, TooLargeError, Wire

_CONNECT_S = 10.0
_ANSWER_S = 60.0
#: A connection that was quiet for longer may be closed under our hands: not one to send a change on.
_FRESH_S = 2.0
_MOST_LOOKED_AT = 16 * 1024 * 1024

LOST = (OSError, h11.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is and how to talk to it; made once, used by every connection."""

    credentials: ClusterCredentials
    tls: ssl.SSLContext | None
    where: SplitResult

    @classmethod
    def of(cls, credentials: ClusterCredentials) -> ApiServer:
        """Read certificates and key once."""
        return cls(credentials, credentials.tls(), urlsplit(credentials.server))

    def connect(self) -> socket.socket:
        """A new connection; the server's certificate is checked."""
        host = self.where.hostname or ""
        port = self.where.port or (443 if self.tls else 80)
        plain = socket.create_connection((host, port), timeout=_CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return plain
        try:
            return self.tls.wrap_socket(plain, server_hostname=self.credentials.server_name or host)
        except OSError:
            plain.close()
            raise

    def headers(self) -> Headers:
        """Who is asked, and who asks."""
        token = self.credentials.token()
        bearer = (("authorization", f"Bearer {token}"),) if token else ()
        return (("host", self.where.netloc), *bearer)


@dataclass(slots=True)
class Upstream:
    """One connection to the API server, opened when it is needed and kept for the next request."""

    server: ApiServer
    sockets: Sockets
    _held: ExitStack = field(default_factory=ExitStack)
    _wire: Wire | None = None
    _used_at: float = 0.0

    def close(self) -> None:
        """Let go of the connection."""
        self._wire = None
        self._held.close()

    def ready(self) -> None:
        """Have a token and a connection that was used just now; OSError if there is none to be had."""
        self.server.headers()
        if self._wire is not None and time.monotonic() - self._used_at > _FRESH_S:
            self.close()
        self._connected()

    def ask(self, method: str, target: str, headers: Headers, *, body: bytes = b"") -> tuple[Head, Wire]:
        """Send a request and read the answer's head; its body is to be read from the wire."""
        wire = self._connected()
        wire.sock.settimeout(_ANSWER_S)
        length = (("content-length", str(len(body))),) if body or method in ("POST", "PUT", "PATCH") else ()
        prefix = self.server.where.path.rstrip("/")
        wire.send_request(method, prefix + target, (*self.server.headers(), *headers, *length))
        if body:
            wire.send_chunk(body)
        wire.send_end()
        return wire.answer(), wire

    def ask_again(self, method: str, target: str, headers: Headers) -> tuple[Head, Wire]:
        """Ask for something that changes nothing: once more if a kept connection was closed meanwhile."""
        kept = self._wire is not None
        try:
            return self.ask(method, target, headers)
        except LOST:
            self.close()
            if not kept:
                raise
            return self.ask(method, target, headers)

    def done(self) -> None:
        """The answer was read: keep the connection if it can be used again."""
        self._used_at = time.monotonic()
        if self._wire is not None and not self._wire.again():
            self.close()

    def look(self, target: str) -> tuple[int, object | None]:
        """The status and the decoded object at a path; (0, None) if nobody answers."""
        try:
            head, wire = self.ask_again("GET", target, (("accept", "application/json"),))
            body = wire.body(limit=_MOST_LOOKED_AT)
            self.done()
            return head.status, json.loads(body) if head.status == 200 else None
        except (*LOST, TooLargeError, ValueError):
            self.close()
            return 0, None

    def _connected(self) -> Wire:
        if self._wire is None:
            sock = self._held.enter_context(self.sockets.kept(self.server.connect()))
            self._wire = Wire(sock, server=False)
        return self._wire
