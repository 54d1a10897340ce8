"""One request that may be sent on, and its answer back: whole, streamed, or a tunnel."""

from __future__ import annotations

from dataclasses import dataclass

import h11

from agent.adapters.proxies.gateway_tunnel import tunnel
from agent.adapters.proxies.gateway_wire import HOP_BY_HOP, Head, Headers, TooLargeError, Wire
from agent.adapters.proxies.metering_attempt import Cleared, MeteredAttempt
from agent.adapters.proxies.metering_status import JSON, denied_body, status_body, words_of
from agent.adapters.proxies.metering_upstream import LOST, Upstream
from agent.domain.command import Refusal

_MOST_ERROR = 256 * 1024
_QUIET_S = 120.0
_MOST_TRIES = 4
_SENT_ON = frozenset(
    {"accept", "accept-encoding", "content-type", "user-agent", "kubectl-command", "kubectl-session"}
)
_SENT_ON_UPGRADE = frozenset(
    {"connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"}
    | {"x-stream-protocol-version"}
)
_BACK_UPGRADE = _SENT_ON_UPGRADE | {"sec-websocket-accept"}
_NEVER_BACK = HOP_BY_HOP | {"set-cookie", "www-authenticate", "location", "alt-svc"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """Between a step (`near`) and the API server."""

    attempt: MeteredAttempt
    head: Head
    near: Wire
    upstream: Upstream

    def send(self, cleared: Cleared) -> None:
        """Send it, note how it ended, and bring the answer back."""
        status = 0
        try:
            self.upstream.ready()
        except OSError as error:
            reason = f"the API server cannot be reached ({type(error).__name__})"
            self.attempt.not_sent(cleared, reason)
            answer(self.near, 503, reason)
            return
        try:
            told, far = self._ask_until_it_holds(cleared)
            status = told.status
        except _NoLongerTrueError as error:
            status = 409
            self.attempt.refused(error.refusal, what=str(cleared.request))
            answer(self.near, 403, words_of(error.refusal))
            return
        except (*LOST, h11.LocalProtocolError, TooLargeError) as error:
            self.upstream.close()
            answer(self.near, 502, _lost(cleared, error))
            return
        finally:
            self.attempt.answered(cleared, status=status)
        self._bring_back(cleared, told, far)

    def _ask_until_it_holds(self, cleared: Cleared) -> tuple[Head, Wire]:
        """A change tied to a version is looked at and sent again when the object has moved under it."""
        for _ in range(_MOST_TRIES - 1):
            told, far = self._ask(cleared)
            if told.status != 409 or not cleared.is_pinned:
                return told, far
            far.body(limit=_MOST_ERROR)
            self.upstream.done()
            renewed = self.attempt.look_again(cleared, self.upstream)
            if isinstance(renewed, Refusal):
                raise _NoLongerTrueError(renewed)
            cleared = renewed
        return self._ask(cleared)

    def _ask(self, cleared: Cleared) -> tuple[Head, Wire]:
        request = cleared.request
        allowed = _SENT_ON | _SENT_ON_UPGRADE if request.is_exec else _SENT_ON
        headers = tuple((key, value) for key, value in self.head.headers if key in allowed)
        if cleared.body and not request.content_type:
            headers = (*headers, *JSON)  # what it was read as; kubectl's scale client names no type
        if cleared.verdict.change is None and request.method == "GET":
            return self.upstream.ask_again("GET", request.target, headers)
        return self.upstream.ask(request.method, request.target, headers, body=cleared.body)

    def _bring_back(self, cleared: Cleared, told: Head, far: Wire) -> None:
        if told.status == 101:
            self._carry(told, far)
        elif told.status == 403:
            body = denied_body(cleared.request, far.body(limit=_MOST_ERROR))
            send_whole(self.near, 403, body)
            self.upstream.done()
        elif 300 <= told.status < 400 and told.status != 304:
            self.upstream.close()
            answer(self.near, 502, f"the API server points elsewhere ({told.status}); it is not followed")
        else:
            self._stream(told, far, quiet_s=None if cleared.request.streams else _QUIET_S)

    def _stream(self, told: Head, far: Wire, *, quiet_s: float | None) -> None:
        far.sock.settimeout(quiet_s)
        back = tuple((key, value) for key, value in told.headers if key not in _NEVER_BACK)
        self.near.send_answer(told.status, back)
        try:
            for chunk in far.chunks():
                self.near.send_chunk(chunk)
        except h11.RemoteProtocolError:
            self.upstream.close()
            raise ConnectionError("the API server broke off") from None
        self.near.send_end()
        self.upstream.done()

    def _carry(self, told: Head, far: Wire) -> None:
        """From here on the two talk by themselves: what may run was settled by the argv."""
        headers: Headers = tuple((key, value) for key, value in told.headers if key in _BACK_UPGRADE)
        self.near.send_answer(101, headers)
        tunnel(self.near.sock, far.sock, early=(self.near.rest(), far.rest()))
        raise ConnectionError("the tunnel has ended")


class _NoLongerTrueError(Exception):
    """The world has changed between two tries of one change."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def _lost(cleared: Cleared, error: Exception) -> str:
    if cleared.verdict.taken is None:
        return f"the API server gave no answer ({type(error).__name__})"
    return f"{cleared.request} was sent and the connection was lost: it may have been done; it stays charged"


def answer(near: Wire, status: int, message: str) -> None:
    """A Status with our words, if an answer can still be given."""
    if near.may_still_answer():
        send_whole(near, status, status_body(status, message))


def send_whole(near: Wire, status: int, body: bytes) -> None:
    """A JSON answer."""
    near.send_answer(status, (*JSON, ("content-length", str(len(body)))))
    near.send_chunk(body)
    near.send_end()
