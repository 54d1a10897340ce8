"""The egress proxy: the one way from a step's curl or aws to the world, for the hosts that it was priced for.

It takes CONNECT and plain http:// requests, looks names up itself and connects to the address it judged.
"""

from __future__ import annotations

import base64
import hmac
import socket
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

import h11
import structlog

from agent.adapters.proxies.egress_addresses import Destination, Resolve, destination, resolve
from agent.adapters.proxies.gateway_listener import Gateway
from agent.adapters.proxies.gateway_tunnel import tunnel
from agent.adapters.proxies.gateway_wire import HOP_BY_HOP, Head, Headers, TooLargeError, Wire
from agent.domain.access import Access
from agent.domain.command import Refusal

log = structlog.get_logger()

_CONNECT_S = 10.0
_IDLE_S = 60.0
_MOST_BYTES = 256 * 1024 * 1024
_MOST_TOLD = 50
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TEXT = (("content-type", "text/plain; charset=utf-8"), ("connection", "close"))


class EgressProxy(Gateway):
    """One command's door to the world; `with EgressProxy(access) as proxy: proxy.url`.

    `idle_s` without a byte, or `most` bytes one way, end a connection.
    """

    def __init__(
        self,
        access: Access,
        *,
        marker: str = "",
        look_up: Resolve = resolve,
        idle_s: float = _IDLE_S,
        most: int = _MOST_BYTES,
    ) -> None:
        self._allowed = access.hosts
        self._look_up = look_up
        self._idle_s = idle_s
        self._most = most
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._log = log.bind(marker=marker)
        super().__init__("egress-proxy")

    @property
    def url(self) -> str:
        """What the command's proxy variables say."""
        return f"http://step:{self._token}@127.0.0.1:{self.port}"

    def told(self) -> Sequence[str]:
        """A line for each connection that was refused."""
        with self._lock:
            return tuple(self._lines)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(self._idle_s)
        wire = Wire(connection, server=True)
        try:
            while (head := wire.request()) is not None:
                self._handle(head, wire)
                if not wire.again():
                    return
        except TooLargeError as error:
            _answer(wire, 413, f"too large for a step: {error}")
        except h11.RemoteProtocolError as error:
            _answer(wire, 400, f"not plain HTTP/1.1: {error}")
        except h11.LocalProtocolError as error:
            self._log.warning("egress_broken_off", reason=str(error))

    def _handle(self, head: Head, wire: Wire) -> None:
        if not self._is_ours(head):
            _answer(wire, 407, "this is another command's way out")
            return
        authority = head.target if head.method == "CONNECT" else _authority(head)
        if isinstance(authority, Refusal):
            self._refuse(wire, authority)
            return
        try:
            where = destination(authority, self._allowed, look_up=self._look_up)
        except OSError:
            _answer(wire, 502, f"the name in {authority} is not known")
            return
        if isinstance(where, Refusal):
            self._refuse(wire, where)
            return
        self._connect(head, wire, where)

    def _is_ours(self, head: Head) -> bool:
        wanted = "Basic " + base64.b64encode(f"step:{self._token}".encode()).decode()
        return hmac.compare_digest(head.value("proxy-authorization").encode(), wanted.encode())

    def _connect(self, head: Head, wire: Wire, where: Destination) -> None:
        try:
            far = _open(where)
        except OSError as error:
            _answer(wire, 502, f"{where.host} does not answer ({type(error).__name__})")
            return
        with self._listener.sockets.kept(far):
            far.settimeout(self._idle_s)
            if head.method == "CONNECT":
                self._carry(wire, far)
            else:
                self._pass_on(head, wire, Wire(far, server=False), where=where)

    def _carry(self, wire: Wire, far: socket.socket) -> None:
        for _ in wire.chunks(limit=0):
            pass
        wire.send_answer(200, ())
        early = (wire.rest(), b"")
        tunnel(wire.sock, far, early=early, idle_s=self._idle_s, most=self._most, half_open=True)
        raise ConnectionError("the tunnel has ended")

    def _pass_on(self, head: Head, wire: Wire, far: Wire, *, where: Destination) -> None:
        parts = urlsplit(head.target)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        host = str(where.host).removesuffix(":80")
        far.send_request(head.method, path, (("host", host), *_end_to_end(head), *_framing(head)))
        for chunk in wire.chunks(limit=self._most):
            far.send_chunk(chunk)
        far.send_end()
        try:
            answer = far.answer()
        except (h11.RemoteProtocolError, ConnectionError):
            _answer(wire, 502, f"{where.host} does not speak HTTP/1.1")
            return
        wire.send_answer(answer.status, (*_end_to_end(answer), ("connection", "close")))
        for chunk in far.chunks(limit=self._most):
            wire.send_chunk(chunk)
        wire.send_end()

    def _refuse(self, wire: Wire, refusal: Refusal) -> None:
        with self._lock:
            if len(self._lines) < _MOST_TOLD:
                self._lines.append(f"refused: {refusal}")
        self._log.warning("egress_refused", reason=refusal.reason)
        _answer(wire, 403, f"refused by oncall-agent: {refusal}")


def _authority(head: Head) -> str | Refusal:
    """The host:port of a plain request for a proxy, `GET http://host/path`."""
    try:
        parts = urlsplit(head.target)
    except ValueError:
        return Refusal(f"{head.target[:100]!r} is not a URL", "write http://host:port/path")
    if parts.scheme != "http" or not parts.netloc or head.method not in _METHODS:
        reason = f"{head.method[:16]} {head.target[:100]!r} is nothing that a proxy is asked for"
        return Refusal(reason, "http:// URLs, and CONNECT host:port for https://")
    tail = parts.netloc.rpartition("]")[2]
    return parts.netloc if ":" in tail else f"{parts.netloc}:80"


def _open(where: Destination) -> socket.socket:
    """The first of the judged addresses that answers; nothing is looked up again."""
    problem = OSError("no address")
    for ip in where.ips:
        try:
            far = socket.create_connection((ip, where.port), timeout=_CONNECT_S)
        except OSError as error:
            problem = error
            continue
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return far
    raise problem


def _end_to_end(head: Head) -> Headers:
    named = {name.strip().lower() for name in head.value("connection").split(",")}
    gone = HOP_BY_HOP | named | {"host", "content-length"} if head.method else HOP_BY_HOP | named
    return tuple((key, value) for key, value in head.headers if key not in gone)


def _framing(head: Head) -> Headers:
    """How the body is framed onward: by its length, else in chunks; h11 has checked that it is one way."""
    if length := head.value("content-length"):
        return (("content-length", length),)
    return (("transfer-encoding", "chunked"),) if head.value("transfer-encoding") else ()


def _answer(wire: Wire, status: int, message: str) -> None:
    if not wire.may_still_answer():
        return
    body = f"{message}\n".encode()
    wire.send_answer(status, (*_TEXT, ("content-length", str(len(body)))))
    wire.send_chunk(body)
    wire.send_end()
