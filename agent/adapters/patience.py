"""Connections that are over at one moment, whatever the other side does.

A socket's timeout bounds each read by itself: a peer that sends one byte a second is read for ever. And a
name lookup cannot be bounded at all, so it runs in a thread that is not waited for any longer.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any

import httpcore

#: No more is handed to the kernel at once, so that the time left is looked at in between.
_PIECE = 16 * 1024

_until: ContextVar[float] = ContextVar("until", default=math.inf)


@contextmanager
def until(moment: float) -> Iterator[None]:
    """Whatever a patient connection does in here is over at this moment of the monotonic clock."""
    token = _until.set(moment)
    try:
        yield
    finally:
        _until.reset(token)


class Ending:
    """An exchange by a library that cannot be given an end: cut when its time is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self.is_over = False

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection too."""
        with self._lock:
            self._watched.append(connection)
            is_over = self.is_over
        if is_over:
            _cut(connection)

    def end(self) -> None:
        """Its time is over."""
        with self._lock:
            self.is_over = True
            watched = tuple(self._watched)
        for connection in watched:
            _cut(connection)


_ending: ContextVar[Ending | None] = ContextVar("ending", default=None)


@contextmanager
def ending_after(seconds: float) -> Iterator[Ending]:
    """Cut after so many seconds whatever `watched` was told of in here."""
    ending = Ending()
    timer = threading.Timer(seconds, ending.end)
    timer.daemon = True
    token = _ending.set(ending)
    timer.start()
    try:
        with until(time.monotonic() + seconds):
            yield ending
    finally:
        timer.cancel()
        _ending.reset(token)


def watched(connection: socket.socket | None) -> None:
    """This connection belongs to what is going on around us."""
    ending = _ending.get()
    if ending is not None and connection is not None:
        ending.watch(connection)


def _cut(connection: socket.socket) -> None:
    """Wake whoever reads from it; closed here, its number could be somebody else's while they still read."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def left_s() -> float:
    """Seconds until then; without a bound for ever."""
    return _until.get() - time.monotonic()


def _left_s(timeout: float | None, over: type[httpcore.TimeoutException]) -> float | None:
    try:
        left = time_left_s()
    except TimeoutError as error:
        raise over("its time is over") from error
    at_most = left if timeout is None else min(left, timeout)
    return None if math.isinf(at_most) else at_most


class PatientBackend(httpcore.NetworkBackend):
    """Opens connections for httpcore that keep to `until`."""

    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Look the name up and try its addresses in turn, each for its share of the time."""
        addresses = self._addresses(host, port, timeout)
        for tried, address in enumerate(addresses, 1):
            left = _left_s(timeout, httpcore.ConnectTimeout)
            share = left if left is None else left / (len(addresses) - tried + 1)
            try:
                made = self._backend.connect_tcp(address, port, share, local_address, socket_options)
                return _PatientStream(made)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if tried == len(addresses):
                    raise
        raise httpcore.ConnectError("it has no address")

    def _addresses(self, host: str, port: int, timeout: float | None) -> Sequence[str]:
        try:
            return addresses_of(host, port, timeout_s=_left_s(timeout, httpcore.ConnectTimeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("its name was not looked up in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("its name cannot be resolved") from error


class _PatientStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            piece = buffer[start : start + _PIECE]
            self._stream.write(piece, _left_s(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left_s(timeout, httpcore.ConnectTimeout)
        return _PatientStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Names:
    """Looks names up, each in a thread of its own: the system's resolver cannot be interrupted.

    Whoever asks for a name that is being looked up waits for the same thread, so one dead name server
    never costs more than one thread for each name.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int], Future[Sequence[str]]] = {}

    def addresses(self, host: str, port: int, timeout_s: float | None) -> Sequence[str]:
        """Every address of the host; OSError, UnicodeError or TimeoutError if there is none in time."""
        return (host,) if _is_address(host) else self._being_looked_up(host, port).result(timeout_s)

    def _being_looked_up(self, host: str, port: int) -> Future[Sequence[str]]:
        with self._lock:
            future = self._asked.get((host, port))
            if future is None:
                future = self._asked[host, port] = Future()
                threading.Thread(
                    target=self._look_up, args=(host, port, future), name="names", daemon=True
                ).start()
        return future

    def _look_up(self, host: str, port: int, future: Future[Sequence[str]]) -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            future.set_result(tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)))
        except (OSError, UnicodeError) as error:
            future.set_exception(error)
        finally:
            with self._lock:
                self._asked.pop((host, port), None)


_NAMES = _Names()


def addresses_of(host: str, port: int, *, timeout_s: float | None) -> Sequence[str]:
    """Every address of the host; OSError, UnicodeError or TimeoutError if there is none in time."""
    return _NAMES.addresses(host, port, timeout_s)


def time_left_s() -> float:
    """What is left of the time that `until` or `ending_after` set; TimeoutError if nothing is."""
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("its time is over")
    return left


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
