"""The metering proxy: the one way from a step's kubectl to the cluster, for what its command was priced for.

It speaks plain HTTP on loopback under a path that only this attempt knows, judges each request
(`safety.cluster_*`), looks at the live world before a change, charges it, and sends it on as it was read.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Sequence

import h11

from agent.adapters.proxies.gateway_listener import Gateway
from agent.adapters.proxies.gateway_wire import Head, TooLargeError, Wire
from agent.adapters.proxies.metering_attempt import MeteredAttempt
from agent.adapters.proxies.metering_exchange import Exchange, answer
from agent.adapters.proxies.metering_status import words_of
from agent.adapters.proxies.metering_upstream import ApiServer, Upstream
from agent.domain.access import Access
from agent.domain.command import Refusal
from agent.safety.cluster_requests import read

_MOST_BODY = 2 * 1024 * 1024
_IDLE_S = 120.0


class MeteringProxy(Gateway):
    """One attempt's door to the cluster; `with MeteringProxy(server, access) as proxy: proxy.url`."""

    def __init__(self, server: ApiServer, access: Access, *, marker: str = "") -> None:
        self._server = server
        self._attempt = MeteredAttempt(access, marker)
        super().__init__("metering-proxy")

    @property
    def url(self) -> str:
        """What the step's kubeconfig names as its server."""
        return f"http://127.0.0.1:{self.port}/{self._token}"

    def told(self) -> Sequence[str]:
        """A line for each change that was sent and each request that was refused."""
        return self._attempt.told()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_IDLE_S)
        near = Wire(connection, server=True)
        upstream = Upstream(self._server, self._listener.sockets)
        try:
            while (head := near.request()) is not None:
                self._handle(head, near, upstream)
                if not near.again():
                    return
        except TooLargeError as error:
            answer(near, 413, f"the request is too large for a step: {error}")
        except h11.RemoteProtocolError as error:
            answer(near, 400, f"not plain HTTP/1.1: {error}")
        except h11.LocalProtocolError as error:
            self._attempt.broken_off(str(error))
        finally:
            upstream.close()

    def _handle(self, head: Head, near: Wire, upstream: Upstream) -> None:
        body = near.body(limit=_MOST_BODY)
        token, _, rest = head.target.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            answer(near, 403, "this is another attempt's way to the cluster, or none")
            return
        request = read(head.method, f"/{rest}", head.headers)
        if isinstance(request, Refusal):
            self._refuse(near, request, what=head.method)
            return
        cleared = self._attempt.clear(request, body, upstream)
        if isinstance(cleared, Refusal):
            self._refuse(near, cleared, what=str(request))
            return
        Exchange(self._attempt, head, near, upstream).send(cleared)

    def _refuse(self, near: Wire, refusal: Refusal, *, what: str) -> None:
        self._attempt.refused(refusal, what=what)
        answer(near, 403, words_of(refusal))
