"""One HTTP request and its answer: sent once, no redirects, over in time and bounded in size, keys unseen.

What stopped it is a value in few words of ours; what httpcore or the peer says is never shown as it is.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import ssl
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import h11
import httpcore

from agent.adapters.patience import PatientBackend, until

#: An idle connection is not kept longer: a firewall may have forgotten it without a word to us.
_KEPT_IDLE_S = 5.0
_CONNECTIONS = 16


class Trouble(StrEnum):
    """Why there is no answer."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    CUT_OFF = "cut_off"
    NOT_HTTP = "not_http"
    TOO_LONG = "too_long"
    UNSENDABLE = "unsendable"


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """There was no whole answer; `words` hold neither address nor key."""

    trouble: Trouble
    words: str


class Exchange:
    """Sends requests to one vendor. Safe for several threads."""

    def __init__(self, base_url: str, *, timeout_s: float, max_bytes: int) -> None:
        logging.getLogger("httpcore").setLevel(logging.WARNING)  # below it shows what goes to and fro
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._pool = _pool(base_url)
        # whoever forgets us must not leave connections behind
        weakref.finalize(self, self._pool.close).atexit = False

    def close(self) -> None:
        """Give the connections back."""
        self._pool.close()

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> RawAnswer | NoAnswer:
        """Send once; from looking the name up to the last byte it takes no longer than the timeout."""
        try:
            with until(time.monotonic() + self._timeout_s):
                return self._sent(method, url, headers, content)
        except (httpcore.TimeoutException, TimeoutError):
            return NoAnswer(Trouble.TIMEOUT, f"was not answered within {self._timeout_s:g} s")
        except httpcore.ProxyError as error:
            return NoAnswer(Trouble.UNREACHABLE, f"cannot be reached (the proxy says {error})")
        except httpcore.RemoteProtocolError as error:
            return _cut_off() if error.__context__ is None else _not_http(error)
        except httpcore.NetworkError as error:
            return NoAnswer(Trouble.UNREACHABLE, f"cannot be reached ({why_not_reached(error)})")
        except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol, ValueError):
            return NoAnswer(Trouble.UNSENDABLE, "cannot be sent as HTTP")

    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> RawAnswer | NoAnswer:
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
        sent = {"Accept-Encoding": "identity", **headers}
        with self._pool.stream(
            method,
            url.encode("ascii"),
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()],
            content=content,
            extensions={"timeout": timeout},
        ) as response:
            body = bytearray()
            try:
                for chunk in response.iter_stream():
                    body += chunk
                    if len(body) > self._max_bytes:
                        return NoAnswer(Trouble.TOO_LONG, "was answered with an endless body")
            except (httpcore.RemoteProtocolError, httpcore.ReadError):
                return _cut_off()
            return RawAnswer(response.status, _lower(response.headers), bytes(body))


def is_loopback(url: str) -> bool:
    """Whether the URL stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@functools.cache
def trusted() -> ssl.SSLContext:
    """This host's certificates, read once; where SSL_CERT_FILE or SSL_CERT_DIR is set, those and no others.

    The well-known authorities are there also where the host has none (a slim container).
    """
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        context.load_verify_locations(certifi.where())
    return context


def _pool(base_url: str) -> httpcore.ConnectionPool:
    tls = trusted() if base_url.startswith("https:") else None
    proxy = _proxy_of(base_url)
    if not proxy:
        return httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=_CONNECTIONS,
            keepalive_expiry=_KEPT_IDLE_S,
            network_backend=PatientBackend(),
        )
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return httpcore.HTTPProxy(
        parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        proxy_auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
        proxy_ssl_context=trusted() if parts.scheme == "https" else None,
        ssl_context=tls,
        max_connections=_CONNECTIONS,
        keepalive_expiry=_KEPT_IDLE_S,
        network_backend=PatientBackend(),
    )


def _proxy_of(url: str) -> str:
    """The environment's proxies and NO_PROXY count, but never for this machine itself."""
    parts = urlsplit(url)
    if is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return ""
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all", "")


def _lower(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _cut_off() -> NoAnswer:
    return NoAnswer(Trouble.CUT_OFF, "was cut off before its answer was whole")


def _not_http(error: httpcore.RemoteProtocolError) -> NoAnswer:
    if isinstance(error.__context__, h11.RemoteProtocolError):
        return NoAnswer(Trouble.NOT_HTTP, "was answered with something that is not HTTP")
    return _cut_off()


def why_not_reached(error: BaseException | None) -> str:
    """What a library's error comes down to, in words that hold no address: a webhook's is a secret."""
    while error is not None:
        match error:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {error.verify_message}"
            case ssl.SSLError():
                return f"TLS failed: {error.reason or type(error).__name__}"
            case socket.gaierror() | UnicodeError():
                return "its name cannot be resolved"
            case OSError() if error.strerror:
                return error.strerror.lower()
        error = _beneath(error)
    return "the connection failed"


def _beneath(error: BaseException) -> BaseException | None:
    """What it was made of: raised from, raised within, or, as urllib3 does it, given along."""
    given = next((each for each in error.args if isinstance(each, BaseException)), None)
    return error.__cause__ or given or error.__context__
